import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'
import { namespace, type QuietRegion, startQuietRegion, storageClasses, usualDatabase, usualNodes } from './region.ts'

let region: QuietRegion
const databases = '/v1/projects/harbour/databases'
const path = `${databases}/tidal-gauge`

before(async () => {
  region = await startQuietRegion()
  for (const storageClass of storageClasses) await region.stand(storageClass)
  await region.standProject({ id: 'harbour' })
  await region.standDatabase('harbour', { id: 'tidal-gauge' })
})
afterEach(async () => {
  for (const { metadata, status } of region.journal.all())
    if (!status?.endedAt) await region.end(metadata.name, { phase: 'Cancelled', reason: 'Cancelled', message: 'Cancelled by the test.' })
})
after(() => region?.close())

const secretOf = async (name: string | undefined): Promise<Record<string, string>> => {
  const secret = await region.admin.request<KubernetesObject>({ method: 'GET', path: pathOf(kinds.Secret, namespace, name) })
  return Object.fromEntries(
    Object.entries(secret.data as Record<string, string>).map(([place, value]) => [place, Buffer.from(value, 'base64').toString()]),
  )
}

test('a new database is accepted: 202, where the operation is, and the generated password once', async () => {
  const body = { ...usualDatabase, users: [{ name: 'harbourmaster' }, { name: 'reader', password: 'correct horse battery' }] }
  const headers = { 'idempotency-key': 'first' }
  const accepted = await region.call('PUT', `${databases}/new`, { body, headers })
  assert.equal(accepted.status, 202, accepted.text)
  assert.equal(accepted.headers.get('location'), `/v1/operations/${accepted.body.id}`)
  assert.equal(accepted.headers.get('cache-control'), 'no-store')
  assert.ok(Number(accepted.headers.get('retry-after')) > 0)
  assert.equal(accepted.body.phase, 'Accepted')
  const [{ user, password }, ...others] = accepted.body.credentials
  assert.deepEqual([user, others], ['harbourmaster', []])
  assert.match(password, /^[A-Za-z0-9_-]{32,}$/)
  assert.deepEqual(await secretOf(accepted.body.secretName), { 'users.0.password': password, 'users.1.password': 'correct horse battery' })
  const written = JSON.stringify(await region.journal.find(accepted.body.id))
  assert.ok(!written.includes(password) && !written.includes('correct horse'), 'a password stands in the operation')

  const again = await region.call('PUT', `${databases}/new`, { body, headers })
  assert.equal(again.body.id, accepted.body.id)
  assert.equal(again.body.credentials, undefined)
  assert.match(again.body.note, /accepted before/)

  const other = await region.call('PUT', `${databases}/new`, { body: { ...body, deletionProtection: true }, headers })
  assert.equal(other.body.type, 'https://skerry.dev/problems/idempotency-key-reused')

  const shown = await region.call('GET', `${databases}/new`)
  assert.equal(shown.body.status.phase, 'Pending')
  assert.equal(shown.body.status.operation.id, accepted.body.id)
  assert.ok(!shown.text.includes('password'))
})

test('a change of a database that is still to be made takes its passwords along', async () => {
  const first = await region.call('PUT', `${databases}/later`, { body: { ...usualDatabase, users: [{ name: 'harbourmaster' }] } })
  const second = await region.call('PATCH', `${databases}/later`, { body: { deletionProtection: true } })
  assert.equal(second.status, 202, second.text)
  assert.equal(second.body.credentials, undefined)
  assert.deepEqual(await secretOf(second.body.secretName), { 'users.0.password': first.body.credentials[0].password })
})

test('of two that make the same database at the same moment one is told to try again, and nothing of it is left', async () => {
  const secrets = async () => {
    const { items } = await region.admin.request<{ items: KubernetesObject[] }>({ method: 'GET', path: pathOf(kinds.Secret, namespace) })
    return items.length
  }
  const before = await secrets()
  const bodies = [usualDatabase, { ...usualDatabase, deletionProtection: true }]
  const answers = await Promise.all(bodies.map((body) => region.call('PUT', `${databases}/raced`, { body })))
  assert.deepEqual(answers.map(({ status }) => status).sort(), [202, 409], answers.map(({ text }) => text).join('\n'))
  assert.equal(answers.find(({ status }) => status === 409)?.body.retry, 'backoff')
  assert.equal(await secrets(), before + 1)
})

test('a put that changes nothing is 200 with the database, and no operation', async () => {
  const count = region.journal.all().length
  const same = await region.call('PUT', path, { body: usualDatabase })
  assert.equal(same.status, 200, same.text)
  assert.equal(same.body.id, 'tidal-gauge')
  const read = await region.call('GET', path)
  assert.equal(same.headers.get('etag'), read.headers.get('etag'))
  const put = await region.call('PUT', path, { body: read.body })
  assert.equal(put.status, 200, 'what was read can be put back as it is')
  assert.equal(region.journal.all().length, count)
})

test('a patch is merged into what was accepted last, though nothing of that stands yet', async () => {
  await region.call('PATCH', path, { body: { nodes: { count: 4 } } })
  const second = await region.call('PATCH', path, { body: { nodes: { cpu: 3 } } })
  assert.deepEqual([second.body.wanted.nodes.count, second.body.wanted.nodes.cpu], [4, 3])
  const read = await region.call('GET', path)
  assert.deepEqual([read.body.nodes.count, read.body.nodes.cpu], [4, 3])
})

test('an edit is taken though the status moved on, and refused after another edit', async () => {
  const { headers } = await region.call('GET', path)
  const tag = headers.get('etag') ?? ''
  await region.operatorWrites('harbour', 'tidal-gauge', { status: { crateDBStatus: { health: 'YELLOW' } } })
  const moved = await region.call('GET', path, { headers: { 'if-none-match': tag } })
  assert.equal(moved.status, 200, 'the health is part of what a read shows')
  assert.equal((await region.call('GET', path, { headers: { 'if-none-match': moved.headers.get('etag') ?? '' } })).status, 304)
  const first = await region.call('PATCH', path, { body: { deletionProtection: true }, headers: { 'if-match': tag } })
  assert.equal(first.status, 202, first.text)
  const again = await region.call('PATCH', path, { body: { deletionProtection: true }, headers: { 'if-match': tag } })
  assert.deepEqual([again.status, again.body.id], [202, first.body.id], 'its own change does not stand against the repetition')
  const malformed = await region.call('PATCH', path, { body: { deletionProtection: true }, headers: { 'if-match': 'no tag' } })
  assert.equal(malformed.status, 422, 'though the same request is open')
  assert.deepEqual([malformed.body.faults[0].in, malformed.body.faults[0].name], ['header', 'If-Match'])
  const second = await region.call('PATCH', path, { body: { deletionProtection: false }, headers: { 'if-match': tag } })
  assert.equal(second.status, 412)
  assert.equal((await region.call('PUT', path, { body: usualDatabase, headers: { 'if-none-match': '*' } })).status, 412)
})

test('a given password that is the present one changes nothing', async () => {
  const same = await region.call('PATCH', path, { body: { users: [{ name: 'harbourmaster', password: 'correct horse battery' }] } })
  assert.equal(same.status, 200, same.text)
})

test('a rotated password is generated, given back once, and kept in a Secret', async () => {
  const rotated = await region.call('POST', `${path}/actions/rotate-password`, { body: { user: 'harbourmaster' } })
  assert.equal(rotated.status, 202, rotated.text)
  assert.deepEqual(await secretOf(rotated.body.secretName), { password: rotated.body.credentials[0].password })
  const chosen = await region.call('POST', `${path}/actions/rotate-password`, {
    body: { user: 'harbourmaster', password: 'a chosen password' },
  })
  assert.equal(chosen.body.credentials, undefined)
})

test('new backup credentials go along whole, so that the Secret can be applied whole', async () => {
  const aws = { bucket: 'snapshots', region: 'eu-north-1', cron: '17 * * * *', accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'old' }
  await region.standDatabase('harbour', { id: 'saved', backups: { aws } })
  const changed = await region.call('PATCH', `${databases}/saved`, { body: { backups: { aws: { secretAccessKey: 'new' } } } })
  assert.equal(changed.status, 202, changed.text)
  assert.deepEqual(await secretOf(changed.body.secretName), {
    'backups.aws.accessKeyId': 'AKIAEXAMPLE',
    'backups.aws.secretAccessKey': 'new',
  })
})

test('a database that is being deleted takes no more requests, and says by which operation', async () => {
  await region.standDatabase('harbour', { id: 'doomed' })
  const deleted = await region.call('DELETE', `${databases}/doomed?retainVolumes=false`)
  assert.equal(deleted.status, 202, deleted.text)
  assert.deepEqual(deleted.body.parameters, { retainVolumes: false })
  const late = await region.call('PATCH', `${databases}/doomed`, { body: { deletionProtection: true } })
  assert.equal(late.body.type, 'https://skerry.dev/problems/wrong-state')
  assert.equal(late.body.operation, deleted.body.id)
  assert.equal((await region.call('GET', `${databases}/doomed`)).body.status.phase, 'Deleting')
})

test('waiting ends with the operation: 200 when it succeeded, 202 when it did not', async () => {
  const outcomes = [
    { phase: 'Succeeded', status: 200 },
    { phase: 'Failed', status: 202 },
  ]
  for (const { phase, status } of outcomes) {
    const fresh = nextAccepted()
    const waiting = region.call('POST', `${path}/actions/restart`, { headers: { prefer: 'wait=30' } })
    await region.end(await fresh, { phase, reason: 'Told', message: 'As the test said.' })
    const answer = await waiting
    assert.equal(answer.status, status, answer.text)
    assert.deepEqual(
      [answer.body.phase, answer.headers.get('preference-applied'), answer.headers.get('retry-after')],
      [phase, 'wait=30', null],
    )
  }
})

test('waiting ends when the agent stops, with the operation as it is', { timeout: 20_000 }, async () => {
  const stop = new AbortController()
  const fresh = nextAccepted()
  const waiting = region.call('POST', `${path}/actions/restart`, { headers: { prefer: 'wait=60' }, stopping: stop.signal })
  const id = await fresh
  stop.abort()
  const { status, body } = await waiting
  assert.deepEqual([status, body.id, body.phase], [202, id, 'Accepted'])
})

/** The name of the next operation that is accepted. */
function nextAccepted(): Promise<string> {
  const known = new Set(region.journal.all().map(({ metadata }) => metadata.name))
  return new Promise((resolve) => {
    const unsubscribe = region.caches.operations.subscribe(({ object }) => {
      if (known.has(object.metadata.name)) return
      unsubscribe()
      resolve(object.metadata.name)
    })
  })
}

test('what the API server would refuse is refused at once, with its words, and nothing is written', async () => {
  const count = region.journal.all().length
  await region.standProject({ id: 'strict' })
  const quota = { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'none', namespace: 'project-strict' } }
  await region.stand({ ...quota, spec: { hard: { 'count/cratedbs.cloud.crate.io': '0', 'count/leases.coordination.k8s.io': '0' } } })
  const lease = {
    method: 'POST',
    path: `${pathOf(kinds.Lease, 'project-strict')}?dryRun=All`,
    body: { metadata: { name: 'one' } },
  } as const
  // The API server admits by what its own watch has told it of the quota.
  await until('the quota is in force', () =>
    region.admin.request(lease).then(
      () => false,
      (error) => /exceeded quota/.test(String(error)),
    ),
  )
  const answer = await region.call('PUT', '/v1/projects/strict/databases/new', { body: usualDatabase })
  assert.equal(answer.status, 422, answer.text)
  assert.equal(answer.body.type, 'https://skerry.dev/problems/quota-exceeded')
  assert.match(answer.body.detail, /exceeded quota: none, requested: count\/cratedbs\.cloud\.crate\.io=1/)
  assert.equal(region.journal.all().length, count)
})

test('a dry run tells each step with its consequences and what the API server would make of each object, and writes nothing', async () => {
  const count = region.journal.all().length
  const plan = await region.call('PATCH', `${path}?dryRun=true`, { body: { nodes: { count: 5, cpu: 4 }, version: '5.10.2' } })
  assert.equal(plan.status, 200, plan.text)
  assert.deepEqual(
    plan.body.steps.map(({ name, objects }: { name: string; objects: { diff: { path: string; from: unknown; to: unknown }[] }[] }) => [
      name,
      objects.flatMap(({ diff }) => diff.map(({ path, from, to }) => `${path}: ${from} → ${to}`)),
    ]),
    [
      ['compute', ['/spec/nodes/data/0/resources/limits/cpu: 2 → 4', '/spec/nodes/data/0/resources/requests/cpu: 2 → 4']],
      ['scale', ['/metadata/annotations/skerry.dev~1nodes-when-resumed: 3 → 5', '/spec/nodes/data/0/replicas: 3 → 5']],
      ['upgrade', ['/spec/cluster/version: 5.10.1 → 5.10.2']],
    ],
  )
  assert.deepEqual(plan.body.steps[1].consequences, [
    'Starts 2 more nodes, each on a host of its own, with volumes of its own.',
    'Its 5 nodes need a host each, and 0 can take one at the moment: the others start when there are more.',
  ])
  assert.equal(region.journal.all().length, count)
  const now = await region.admin.request<KubernetesObject>({ method: 'GET', path: pathOf(kinds.CrateDB, 'project-harbour', 'tidal-gauge') })
  assert.equal(now.spec.cluster.version, '5.10.1')
})

test('a dry run of a creation shows every object and masks what is secret', async () => {
  const plan = await region.call('PUT', `${databases}/planned?dryRun=true`, { body: usualDatabase })
  const [{ name, objects }] = plan.body.steps
  assert.equal(name, 'create')
  assert.deepEqual(
    objects.map(({ kind, namespace, name, change }: Record<string, string>) => [kind, namespace, name, change]),
    [
      ['Secret', 'project-harbour', 'user-password-planned-0', 'create'],
      ['CrateDB', 'project-harbour', 'planned', 'create'],
    ],
  )
  assert.ok(objects[0].diff.some(({ path, to }: { path: string; to: string }) => path === '/data/password' && to === '[masked]'))
  assert.ok(!plan.text.includes(Buffer.from('correct horse battery').toString('base64')))
})

test('a dry run of a deletion says what goes', async () => {
  const plan = await region.call('DELETE', `${path}?dryRun=true&retainVolumes=false`)
  const [{ consequences, objects }] = plan.body.steps
  assert.ok(
    consequences.includes('3 × 64 GiB will be deleted: the storage class reclaims them. Nothing of the data is left.'),
    consequences.join('\n'),
  )
  assert.deepEqual(
    objects.map(({ kind, change }: Record<string, string>) => [kind, change]),
    [
      ['CrateDB', 'delete'],
      ['Secret', 'delete'],
    ],
  )
})

test('what is accepted bears the name of who asked, and the audit names the operation', async () => {
  const accepted = await region.call('PATCH', path, {
    body: { nodes: usualNodes, retainVolumes: false },
    headers: { 'x-request-id': 'asked-1' },
  })
  assert.deepEqual([accepted.body.requestedBy, accepted.body.requestId], ['cloud', 'asked-1'])
  assert.equal(region.records.find(({ requestId }) => requestId === 'asked-1')?.operation, accepted.body.id)
})

test('an identity without the scope is refused before anything is decided', async () => {
  const reader = region.as(['region:read'])
  assert.equal((await reader('PUT', path, { body: usualDatabase })).status, 403)
  assert.equal((await reader('GET', path)).status, 200)
})
