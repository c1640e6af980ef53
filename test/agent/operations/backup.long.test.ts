import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { isOurs } from '../../../agent/backups/statements.ts'
import type { BucketPlace, Finding } from '../../../agent/bucket/index.ts'
import { actions } from '../../../agent/operations/actions/index.ts'
import { DatabaseRefusal } from '../../../agent/region/sql.ts'
import type { Operation } from '../../../agent/resources/operation.ts'
import { kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'
import { smallDatabase } from './acting-region.ts'
import { type ActionScene, startActionScene } from './actions/scene.ts'

/* Backups by SQL, through the API, with the database that answers as CrateDB does. */

let scene: ActionScene
const path = '/v1/projects/harbour/databases/gauge'
const keys = { accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'a-secret-key' }
const s3 = { bucket: 'snaps', endpointUrl: 'https://s3.harbour.example:9000', ...keys }
/** What the trial of a bucket finds, and which buckets were tried. */
let findings: Finding[] = []
let probed: BucketPlace[] = []
async function probe(place: BucketPlace): Promise<Finding[]> {
  probed.push(place)
  return findings
}
const triedAs = (index: number) => [probed[index]?.bucket, probed[index]?.secretAccessKey]

before(async () => {
  scene = await startActionScene(actions, { probe })
  await sent('PUT', '/v1/projects/harbour', {})
  await sent('PUT', path, { ...smallDatabase({ id: 'gauge' }), id: undefined, snapshots: { s3, keep: 2 } })
})
after(() => scene?.close())
const usual = { ms: 0, held: false, ends: 'SUCCESS' as const, failures: [], reason: null }
beforeEach(() => {
  const { running, registered, behaviour, jobsLog } = database()
  for (const each of [running, jobsLog]) each.length = 0
  registered.clear()
  Object.assign(behaviour, usual)
  database().verificationHeld = false
  database().tables.set('doc.readings', { rows: 100, shards: 4 })
  bucket().fault = undefined
  bucket().folders.clear()
  probed = []
})
afterEach(async () => {
  Object.assign(database().behaviour, usual)
  database().verificationHeld = false
  findings = []
  await until('nothing is left to do', async () => scene.region.journal.unendedTargets().length === 0)
})

const database = () => scene.region.standIns.database.state('project-harbour', 'gauge')
const bucket = (name = 'snaps') => scene.region.standIns.database.bucket(name)
const stored = (name?: string) => [...bucket(name).folders.values()].flat()
const names = () => stored().map(({ name }) => name)
const stateOf = async () =>
  JSON.parse((await scene.region.cratedb('harbour', 'gauge')).metadata.annotations?.['skerry.dev/backups'] ?? '{}')

async function sent(method: string, to: string, body: unknown, status = 200) {
  const answer = await scene.api.call(method, to, { body, headers: { prefer: 'wait=60' } })
  assert.equal(answer.status, status, answer.text)
  if (status === 200) assert.equal(answer.body.phase, 'Succeeded', answer.text)
  return answer
}

const backup = (status?: number) => sent('POST', `${path}/actions/backup`, {}, status)

async function accepted(): Promise<Operation> {
  const answer = await scene.api.call('POST', `${path}/actions/backup`, { body: {} })
  assert.equal(answer.status, 202, answer.text)
  const operation = await scene.region.journal.find(answer.body.id)
  assert.ok(operation)
  return operation
}

async function failed(): Promise<Operation> {
  const ended = await scene.region.ended(await accepted())
  assert.equal(ended.status?.phase, 'Failed', JSON.stringify(ended.status))
  return ended
}

const whenSaid = (operation: Operation, says: RegExp) =>
  scene.region.whenOperation(operation, ({ status }) => says.test(status?.message ?? ''))
const during = (operation: Operation, step: string) =>
  scene.region.whenOperation(operation, ({ status }) => status?.step?.name === step && status.phase === 'Waiting')

test('a backup is a snapshot in the bucket, and the CrateDB says so', async () => {
  const before = await scene.region.cratedb('harbour', 'gauge')
  const { body } = await backup()
  const [only, ...more] = stored()
  assert.deepEqual(more, [])
  assert.ok(only && isOurs(only.name))
  assert.deepEqual(body.result.snapshot, only.name)
  assert.equal(body.message, `The snapshot ${only.name} was taken, of 1 table.`)
  const after = await scene.region.cratedb('harbour', 'gauge')
  assert.deepEqual(after.spec, before.spec)
  const state = await stateOf()
  assert.equal(state.lastSuccess.snapshot, only.name)
  assert.equal(state.failures, 0)
  assert.deepEqual(database().registered.get('skerry')?.settings, {
    ...{ bucket: 'snaps', base_path: 'harbour-1/harbour/gauge', protocol: 'https', endpoint: 's3.harbour.example:9000' },
    ...{ use_path_style_access: 'true', access_key: 'AKIAEXAMPLE', secret_key: 'a-secret-key' },
  })
})

test('what became of backups is in the status of the database, and what there is in its bucket can be listed', async () => {
  await backup()
  Object.assign(database().behaviour, { ends: 'FAILED', reason: 'no space left' })
  await failed()
  Object.assign(database().behaviour, usual)
  bucket()
    .folders.get('harbour-1/harbour/gauge')
    ?.push({ ...(stored()[0] as ReturnType<typeof stored>[number]), name: 'nightly', state: 'PARTIAL', failures: ['x'], started: 1 })
  const backups = await until('the failure is known', async () => {
    const { backups } = (await scene.api.call('GET', path)).body.status
    return backups.failures > 0 && backups
  })
  const [ours] = names().filter((name) => isOurs(name))
  assert.equal(backups.lastSuccess.snapshot, ours)
  assert.deepEqual([backups.failures, backups.lastFailure.reason], [1, 'SnapshotFailed'])
  const listed = await scene.api.call('GET', `${path}/snapshots`)
  assert.equal(listed.status, 200, listed.text)
  assert.deepEqual(listed.body.place, { bucket: 'snaps', basePath: 'harbour-1/harbour/gauge' })
  assert.deepEqual(
    listed.body.items.map(({ name, ours, state, tables, failures }: Record<string, unknown>) => [name, ours, state, tables, failures]),
    [
      [ours, true, 'SUCCESS', ['doc.readings'], []],
      ['nightly', false, 'PARTIAL', ['doc.readings'], ['x']],
    ],
  )
  assert.ok(!listed.text.includes('AKIA') && !listed.text.includes('xxxxx'))
})

test('a second backup finds the repository as it should be, and what a put writes leaves the state alone', async () => {
  await backup()
  await sent('PATCH', path, { deletionProtection: true })
  await sent('PATCH', path, { deletionProtection: false })
  assert.equal((await stateOf()).lastSuccess.snapshot, names()[0])
  database().statements.length = 0
  await backup()
  const [create, ...others] = database().statements.filter(({ stmt }) => /^(CREATE|DROP)/.test(stmt))
  assert.match(
    create?.stmt ?? '',
    /^CREATE SNAPSHOT skerry\.skerry_\d{14} ALL WITH \(wait_for_completion = false, ignore_unavailable = false\)$/,
  )
  assert.deepEqual(others, [])
})

test('the oldest beyond those that are kept are dropped, and those of others stay', async () => {
  await backup()
  const folder = bucket().folders.get('harbour-1/harbour/gauge')
  assert.ok(folder?.[0])
  const like = (name: string, change: object = {}) => folder.push({ ...(folder[0] as (typeof folder)[number]), name, ...change })
  like('nightly')
  like('skerry_old')
  like('skerry_20200101000000')
  like('skerry_20200102000000', { state: 'PARTIAL', failures: ['x'] })
  await backup()
  const [first, second] = names()
    .filter((name) => isOurs(name))
    .sort()
  assert.deepEqual(names().sort(), ['nightly', first, second, 'skerry_old'].sort())
  assert.ok(first !== undefined && first > 'skerry_2021')
})

test('what a folder had before stays: it may be all that is left of a former database of that name', async () => {
  await backup()
  await sent('PATCH', path, { snapshots: { s3: { basePath: 'former/gauge' }, keep: 1 } })
  const known = bucket().folders.get('harbour-1/harbour/gauge')?.[0]
  assert.ok(known)
  const names = ['skerry_20200101000000', 'skerry_20200102000000']
  bucket().folders.set(
    'former/gauge',
    names.map((name) => ({ ...known, name })),
  )
  const own: string[] = []
  for (const _ of [1, 2]) {
    own.push(String((await backup()).body.result.snapshot))
    const present = bucket().folders.get('former/gauge') ?? []
    assert.deepEqual(present.map(({ name }) => name).sort(), [...names, own.at(-1)])
  }
  await sent('PATCH', path, { snapshots: { s3: { basePath: 'harbour-1/harbour/gauge' }, keep: 2 } })
})

test('a changed place or key is a repository made anew, and its snapshots stay where they are', async () => {
  await backup()
  await sent('PATCH', path, { snapshots: { s3: { bucket: 'others' } } })
  await backup()
  assert.equal(stored('snaps').length, 1)
  assert.equal(stored('others').length, 1)
  await sent('PATCH', path, { snapshots: { s3: { bucket: 'snaps', secretAccessKey: 'another-key' } } })
  await backup()
  assert.equal(database().registered.get('skerry')?.settings.secret_key, 'another-key')
  bucket('others').folders.clear()
  await sent('PATCH', path, { snapshots: { s3: keys } })
})

test('a snapshot that goes on is told with what CrateDB knows of it', async () => {
  database().behaviour.held = true
  const says = /^skerry_\d{14} is being taken: 1 table, 4 shards\. CrateDB does not tell how many shards are done\.$/
  const operation = await whenSaid(await accepted(), says)
  const shown = await scene.api.call('GET', path)
  assert.equal(shown.body.status.phase, 'Running')
  database().behaviour.held = false
  assert.equal((await scene.region.ended(operation)).status?.phase, 'Succeeded')
})

const unfinished = [
  {
    state: 'PARTIAL' as const,
    change: { failures: ["SnapshotShardFailure{shardId=[readings][0], reason='node left', nodeId='n'}"] },
    reason: 'SnapshotPartial',
    says: /^The snapshot skerry_\d{14} is PARTIAL, and of no use: 1 of 4 shards failed: SnapshotShardFailure\{.*node left/,
  },
  {
    state: 'FAILED' as const,
    change: { reason: 'no space left' },
    reason: 'SnapshotFailed',
    says: /^The snapshot skerry_\d{14} is FAILED, and of no use: no space left$/,
  },
]
for (const { state, change, reason, says } of unfinished) {
  test(`a snapshot that ends as ${state} is a failure with its reason, and is dropped`, async () => {
    await backup()
    const [good] = names()
    Object.assign(database().behaviour, { ends: state, ...change })
    const { status } = await failed()
    assert.equal(status?.reason, reason)
    assert.match(status?.message ?? '', says)
    assert.deepEqual(names(), [good])
    const known = await stateOf()
    assert.deepEqual([known.lastSuccess.snapshot, known.lastFailure.reason, known.failures], [good, reason, 1])
  })
}

test('a bucket that CrateDB cannot use is a failure with its words, without the keys that they repeat', async () => {
  bucket().fault = 'denied'
  const { status, metadata } = await failed()
  assert.equal(status?.reason, 'RepositoryRefused')
  assert.match(
    status?.message ?? '',
    /^CrateDB could not use the bucket: RepositoryVerificationException.*<AWSAccessKeyId>\[masked\]<.*InvalidAccessKeyId/,
  )
  const written = JSON.stringify([await scene.region.journal.find(metadata.name), await stateOf(), scene.region.logged])
  assert.ok(!written.includes('AKIAEXAMPLE') && !written.includes('a-secret-key'), written)
  assert.equal(database().registered.size, 0)
})

test('a bucket that can no longer be written is a failure with its words', async () => {
  await backup()
  bucket().fault = 'read-only'
  const settings = database().registered.get('skerry')?.settings
  assert.ok(settings)
  settings.readonly = 'true'
  // Somebody else's setting is not wanted, so the repository is made anew, and verified.
  assert.match((await failed()).status?.message ?? '', /AccessDenied/)
})

test('a verification that takes longer than any request is waited for', async () => {
  database().verificationHeld = true
  const operation = await whenSaid(await accepted(), /^CrateDB verifies the repository/)
  database().verificationHeld = false
  assert.equal((await scene.region.ended(operation)).status?.phase, 'Succeeded')
})

test('a database without all its primaries is a failure with its words', async () => {
  scene.region.standIns.database.setHealth('project-harbour', 'gauge', 'RED')
  const { status } = await failed()
  assert.match(status?.message ?? '', /primary shards/)
  scene.region.standIns.database.setHealth('project-harbour', 'gauge', undefined)
})

test('one at a time: a snapshot of somebody else is waited for', async () => {
  database().snapshotStatement = 'CREATE SNAPSHOT system_backup.now ALL'
  const operation = await whenSaid(await accepted(), /^Another snapshot is being taken: system_backup\.now\. One at a time\.$/)
  database().snapshotStatement = undefined
  assert.equal((await scene.region.ended(operation)).status?.phase, 'Succeeded')
})

test('a cancelled backup leaves no half snapshot, and the ones before stay', async () => {
  await backup()
  const [good] = names()
  database().behaviour.held = true
  const operation = await during(await accepted(), 'snapshot')
  await until('CrateDB takes it', async () => database().running.length === 1)
  const answer = await scene.api.call('DELETE', `/v1/operations/${operation.metadata.name}`)
  assert.ok(answer.status < 300, answer.text)
  const { status } = await scene.region.ended(operation)
  assert.equal(status?.phase, 'Cancelled')
  assert.match(
    String(status?.message),
    /^Cancelled by [^ ]+\. What there is of its snapshot is dropped, unless it was complete; no further/,
  )
  assert.deepEqual(database().running, [])
  assert.deepEqual(names(), [good])
})

const refused: Finding = { code: 'NoSuchBucket', message: 'There is no bucket snaps.', action: 'Create it.', field: 'bucket' }
const onTheWay: Finding = { code: 'Unreachable', message: 'No route leads there.', action: 'Check the way.' }

test('the bucket is tried before a backup is accepted: what it says itself refuses it, what is on the way is told', async () => {
  findings = [refused]
  for (const to of [`${path}/actions/backup`, `${path}/actions/backup?dryRun=true`]) {
    const answer = await scene.api.call('POST', to, { body: {} })
    assert.equal(answer.status, 409, answer.text)
    assert.match(answer.body.detail, /the bucket cannot be used: There is no bucket snaps\. Create it\./)
  }
  assert.deepEqual(probed[0], {
    bucket: 'snaps',
    region: undefined,
    ...keys,
    endpointUrl: s3.endpointUrl,
    basePath: 'harbour-1/harbour/gauge',
    pathStyle: true,
  })
  findings = [onTheWay]
  const planned = await scene.api.call('POST', `${path}/actions/backup?dryRun=true`, { body: {} })
  assert.equal(
    planned.body.steps[0].consequences[1],
    'The agent could not try the bucket: No route leads there. CrateDB may reach it another way. Check the way.',
  )
  await backup()
})

test('a bucket that a request brings is tried with the keys that it will have, and one that stays is not', async () => {
  findings = [refused]
  const patch = (snapshots: object) => scene.api.call('PATCH', `${path}?dryRun=true`, { body: { snapshots } })
  assert.equal((await patch({ keep: 3 })).status, 200)
  assert.deepEqual(probed, [])
  const elsewhere = await patch({ s3: { bucket: 'other' } })
  assert.equal(elsewhere.status, 422, elsewhere.text)
  assert.deepEqual(elsewhere.body.faults, [
    { path: '/snapshots/s3/bucket', message: 'the bucket cannot be used: There is no bucket snaps. Create it.' },
  ])
  assert.deepEqual(triedAs(0), ['other', 'a-secret-key'])
  await patch({ s3: { secretAccessKey: 'another-key' } })
  assert.deepEqual(triedAs(1), ['snaps', 'another-key'])
  findings = [onTheWay]
  const doubtful = await patch({ s3: { bucket: 'other' } })
  assert.match(doubtful.body.steps[0].consequences.join(' '), /The agent could not try the bucket: No route leads there\./)
})

test('without both keys nobody is asked anything: CrateDB would take the keys that its host has', async () => {
  const ref = pathOf(kinds.Secret, 'project-harbour', 'snapshots-gauge')
  const change = (data: object) =>
    scene.region.admin.request({ method: 'PATCH', path: ref, contentType: 'application/merge-patch+json', body: { data } })
  await change({ 'secret-access-key': '' })
  const { status } = await failed()
  assert.equal(status?.reason, 'SecretMissing')
  assert.equal(
    status?.message,
    'The keys of the bucket are not in the Secret project-harbour/snapshots-gauge: patch the database with them.',
  )
  const asked = await scene.api.call('POST', `${path}/actions/restore`, { body: { from: 'snapshots', snapshot: 'latest' } })
  const restored = await scene.region.ended({ metadata: { name: asked.body.id } } as never)
  assert.equal(restored.status?.reason, 'KeysMissing', JSON.stringify(restored.status))
  assert.deepEqual(probed, [])
  assert.deepEqual([...database().registered], [])
  await sent('PATCH', path, { snapshots: { s3: keys } })
})

test('it is refused where it cannot be, and a plan writes nothing', async () => {
  await sent('PUT', '/v1/projects/harbour/databases/plain', { ...smallDatabase({ id: 'plain' }), id: undefined })
  const without = await scene.api.call('POST', '/v1/projects/harbour/databases/plain/actions/backup', { body: {} })
  assert.equal(without.status, 409, without.text)
  assert.match(without.body.detail, /does not say where its backups go; patch it with "snapshots" first/)
  const list = await scene.api.call('GET', '/v1/projects/harbour/databases/plain/snapshots')
  assert.equal(list.status, 409, list.text)
  database().statements.length = 0
  const planned = await scene.api.call('POST', `${path}/actions/backup?dryRun=true`, { body: {} })
  assert.equal(planned.status, 200, planned.text)
  assert.deepEqual(
    planned.body.steps.map(({ name }: { name: string }) => name),
    ['repository', 'snapshot', 'retention'],
  )
  assert.deepEqual(database().statements, [])
  await sent('POST', `${path}/actions/suspend`, {})
  const suspended = await scene.api.call('POST', `${path}/actions/backup`, { body: {} })
  assert.equal(suspended.status, 409, suspended.text)
  assert.match(suspended.body.detail, /suspended/)
  assert.equal((await scene.api.call('GET', `${path}/snapshots`)).status, 409)
  await sent('POST', `${path}/actions/resume`, {})
})

// The clock of the region does not come back from there: these are the last ones.
const deadlines = [
  { name: 'while its snapshot is taken', step: 'snapshot', hold: () => Object.assign(database().behaviour, { held: true }) },
  {
    name: 'while it waits for the snapshot of somebody else',
    step: 'repository',
    hold: () => Object.assign(database(), { snapshotStatement: 'CREATE SNAPSHOT system_backup.now ALL' }),
  },
]
for (const { name, step, hold } of deadlines) {
  test(`a backup whose time is up ${name} is counted as a failure, once`, async () => {
    await backup()
    const [good] = names()
    hold()
    const operation = await during(await accepted(), step)
    scene.region.pass(25 * 3_600_000)
    const { status } = await scene.region.ended(operation)
    assert.deepEqual([status?.phase, status?.reason], ['Failed', 'DeadlineExceeded'])
    Object.assign(database().behaviour, usual)
    database().snapshotStatement = undefined
    const known = await until('it is counted', async () => {
      const state = await stateOf()
      return state.failures > 0 && state
    })
    assert.deepEqual([known.failures, known.lastFailure.reason, known.lastFailure.message], [1, 'DeadlineExceeded', status?.message])
    assert.equal(known.lastSuccess.snapshot, good)
    await until('the API says so', async () => {
      const { failures, lastFailure } = (await scene.api.call('GET', path)).body.status.backups
      return failures === 1 && lastFailure.reason === 'DeadlineExceeded'
    })
    // Whoever leads next looks at the whole ledger.
    scene.region.lead(false)
    scene.region.lead(true)
    bucket().fault = 'denied'
    await failed()
    assert.equal((await stateOf()).failures, 2)
    bucket().fault = undefined
  })
}

test('a backup whose snapshot was taken in time is none that failed, although old ones are not dropped by its deadline', async () => {
  await backup()
  const folder = bucket().folders.get('harbour-1/harbour/gauge')
  assert.ok(folder?.[0])
  folder.push({ ...folder[0], name: 'skerry_20990101000000' }, { ...folder[0], name: 'skerry_20990102000000' })
  scene.region.interceptSql(async (statement, send) => {
    if (!statement.startsWith('DROP SNAPSHOT')) return send()
    throw new DatabaseRefusal('database', 'ConcurrentSnapshotExecutionException[another one]', 5030)
  })
  const operation = await during(await accepted(), 'retention')
  scene.region.pass(25 * 3_600_000)
  const { status } = await scene.region.ended(operation)
  scene.region.interceptSql()
  assert.deepEqual([status?.phase, status?.reason], ['Failed', 'DeadlineExceeded'])
  const shown = await until('its end is known', async () => {
    const { operation: open, backups } = (await scene.api.call('GET', path)).body.status
    return open === null && backups
  })
  assert.equal(shown.failures, 0)
  assert.ok(Date.parse(shown.lastSuccess.at) >= Date.parse(status?.startedAt ?? ''))
})
