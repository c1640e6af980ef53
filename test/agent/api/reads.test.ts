import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Validator } from '@seriousme/openapi-schema-validator'
import { systemClock } from '../../../shared/clock.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'
import { operatorAt, type QuietRegion, startQuietRegion, storageClasses, usualDatabase } from './region.ts'

let region: QuietRegion
/** The minute in which the first one can have been heard of. */
const startedAt = Math.floor(Date.now() / 60_000) * 60_000

before(async () => {
  region = await startQuietRegion()
  for (const storageClass of storageClasses) await region.stand(storageClass)
})
after(() => region?.close())

const labels = (database: string) => ({ 'app.kubernetes.io/part-of': 'cratedb', 'app.kubernetes.io/name': database })
const statefulSet = (project: string, database: string, replicas: number, ready: number): KubernetesObject => ({
  apiVersion: 'apps/v1',
  kind: 'StatefulSet',
  metadata: {
    name: `crate-data-hot-${database}`,
    namespace: `project-${project}`,
    labels: { ...labels(database), 'cloud.crate.io/node-name': 'hot' },
  },
  spec: {
    replicas,
    serviceName: 'cratedb',
    selector: { matchLabels: labels(database) },
    template: { metadata: { labels: labels(database) }, spec: { containers: [{ name: 'crate', image: 'crate:5.10.1' }] } },
  },
  status: { replicas, readyReplicas: ready },
})
const pod = (project: string, database: string, index: number, version: string): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: `crate-data-hot-${database}-${index}`, namespace: `project-${project}`, labels: labels(database) },
  spec: { containers: [{ name: 'crate', image: `crate:${version}` }] },
})
const operatorWith = (readyReplicas: number): KubernetesObject => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: operatorAt.deployment, namespace: operatorAt.namespace },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: 'operator' } },
    template: {
      metadata: { labels: { app: 'operator' } },
      spec: {
        containers: [
          {
            name: 'operator',
            image: 'crate/crate-operator:2.63.0',
            env: [{ name: 'CRATEDB_OPERATOR_DEBUG_VOLUME_STORAGE_CLASS', value: 'crate-premium' }],
          },
        ],
      },
    },
  },
  status: { replicas: 1, readyReplicas },
})

test('a database shows its nodes, versions, addresses and health', async () => {
  await region.standProject({ id: 'shown' })
  await region.standDatabase('shown', { id: 'gauge' })
  const path = '/v1/projects/shown/databases/gauge'
  region.seen(operatorWith(1))
  region.seen(pod('shown', 'gauge', 0, '5.10.1'))
  region.seen(pod('shown', 'gauge', 1, '5.10.2'))
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'crate-gauge', namespace: 'project-shown', labels: labels('gauge') },
    spec: {
      type: 'LoadBalancer',
      ports: [
        { name: 'http', port: 4200 },
        { name: 'psql', port: 5432 },
      ],
    },
    status: { loadBalancer: { ingress: [{ ip: '192.0.2.17' }] } },
  }
  region.seen(service)
  region.seen(statefulSet('shown', 'gauge', 3, 2))
  const { body } = await region.call('GET', path)
  const { phase, health, nodes, version, endpoints, operation, blockers } = body.status
  assert.deepEqual([phase, health.value, health.stale, operation, blockers], ['Degraded', 'GREEN', undefined, null, []])
  assert.ok(Math.abs(Date.parse(health.changedAt) - Date.now()) < 60_000, 'the health was first told while the agent watched')
  assert.deepEqual(nodes, { ready: 2, desired: 3, groups: [{ name: 'hot', ready: 2, desired: 3 }] })
  assert.deepEqual(version, { specified: '5.10.1', running: ['5.10.1', '5.10.2'] })
  assert.deepEqual(endpoints, {
    external: [{ http: 'http://192.0.2.17:4200', psql: 'postgresql://192.0.2.17:5432' }],
    inCluster: {
      http: 'http://crate-discovery-gauge.project-shown.svc.cluster.local:4200',
      psql: 'postgresql://crate-discovery-gauge.project-shown.svc.cluster.local:5432',
    },
  })

  region.seen(statefulSet('shown', 'gauge', 3, 3))
  region.seen(operatorWith(0))
  const { status } = (await region.call('GET', path)).body
  assert.deepEqual([status.phase, status.health.value], ['Running', 'GREEN'])
  assert.equal(status.health.stale, 'The Crate Operator is not ready, so this is its last report: the health is no longer checked.')
})

test('a database that is not well, with nothing under way, shows what stands in the way', async () => {
  await region.standProject({ id: 'sick' })
  await region.standDatabase('sick', { id: 'gauge' })
  await region.operatorWrites('sick', 'gauge', { status: { crateDBStatus: { health: 'RED' } } })
  const obstacle = {
    code: 'PodUnschedulable',
    message: 'No host has room.',
    evidence: 'Pod project-sick/x',
    cure: 'Add one.',
    cures: [{ effect: 'Add one.', destructive: false }],
  }
  region.obstacles.of = async () => [obstacle]
  const { body, headers } = await region.call('GET', '/v1/projects/sick/databases/gauge')
  region.obstacles.of = async () => []
  assert.deepEqual([body.status.phase, body.status.blockers], ['Degraded', [obstacle]])
  assert.equal(body.status.etag, headers.get('etag'))
})

test('what stood in the way before cures were data is still shown', async () => {
  const project = await region.standProject({ id: 'dated' })
  const blocker = { code: 'SecretMissing', message: 'It is gone.', evidence: 'Secret skerry/quay', cure: 'Create it.' }
  const condition = { type: 'Ready', status: 'False', reason: 'Waits', message: 'It waits.', lastTransitionTime: '2026-01-01T00:00:00Z' }
  const { apiVersion, kind, spec } = project
  await region.stand({
    apiVersion,
    kind,
    metadata: { name: 'dated' },
    spec,
    status: { conditions: [condition], blockers: [blocker] },
  } as KubernetesObject)
  const { body } = await region.call('GET', '/v1/projects/dated')
  assert.deepEqual(body.status.blockers, [{ ...blocker, cures: [] }])
})

test('a list has every database once, page by page, each as it is read alone', async () => {
  await region.standProject({ id: 'many' })
  const ids = ['a', 'b', 'c', 'd', 'e']
  for (const id of ids) await region.standDatabase('many', { id })
  const seen: unknown[] = []
  let next: string | undefined = '/v1/projects/many/databases?limit=2'
  while (next !== undefined) {
    const page = await region.call('GET', next)
    assert.ok(page.body.items.length <= 2)
    seen.push(...page.body.items)
    const link = page.headers.get('link')
    assert.equal(link !== null, page.body.next !== undefined)
    next = link?.match(/^<([^>]+)>; rel="next"$/)?.[1]
  }
  const alone = await Promise.all(ids.map(async (id) => (await region.call('GET', `/v1/projects/many/databases/${id}`)).body))
  assert.deepEqual(seen, alone)
  const whole = await region.call('GET', '/v1/projects/many/databases')
  assert.deepEqual(whole.body, { items: alone })
  const foreign = await region.call('GET', '/v1/projects/shown/databases?limit=2&cursor=bm9uZQ')
  assert.equal(foreign.status, 422)
})

test('a list tells a change at once, and leaves out what is gone', async () => {
  await region.standProject({ id: 'lively' })
  await region.standDatabase('lively', { id: 'one' })
  const list = () => region.call('GET', '/v1/projects/lively/databases')
  assert.equal((await list()).body.items[0].status.health.value, 'GREEN')
  await region.operatorWrites('lively', 'one', { status: { crateDBStatus: { health: 'RED' } } })
  assert.equal((await list()).body.items[0].status.health.value, 'RED')
  const accepted = await region.call('PUT', '/v1/projects/lively/databases/two', { body: usualDatabase })
  assert.deepEqual(
    (await list()).body.items.map(({ id }: { id: string }) => id),
    ['one', 'two'],
  )
  await region.end(accepted.body.id, { phase: 'Failed', reason: 'Told', message: 'As the test said.' })
  assert.deepEqual(
    (await list()).body.items.map(({ id }: { id: string }) => id),
    ['one'],
  )
})

test('a database whose last operation failed says why', async () => {
  await region.standProject({ id: 'failing' })
  await region.standDatabase('failing', { id: 'gauge' })
  const path = '/v1/projects/failing/databases/gauge'
  const accepted = await region.call('PATCH', path, { body: { version: '5.10.2' } })
  assert.equal((await region.call('GET', path)).body.status.phase, 'Updating')
  await region.end(accepted.body.id, {
    phase: 'Failed',
    reason: 'UpgradeRolledBack',
    message: 'It was rolled back.',
    action: 'See the log.',
  })
  const { status, version } = (await region.call('GET', path)).body
  assert.deepEqual(
    [version, status.failure],
    ['5.10.1', { operation: accepted.body.id, reason: 'UpgradeRolledBack', message: 'It was rolled back.', cure: 'See the log.' }],
  )
})

test('a project shows its phase, its usage and what is under way', async () => {
  const put = await region.call('PUT', '/v1/projects/fresh', { body: { displayName: 'Fresh' } })
  assert.equal(put.status, 202, put.text)
  assert.deepEqual(put.body.target, { kind: 'project', project: 'fresh' })
  const pending = (await region.call('GET', '/v1/projects/fresh')).body
  assert.deepEqual([pending.displayName, pending.status.phase, pending.status.operation.id], ['Fresh', 'Pending', put.body.id])
  await region.standProject({ id: 'fresh', displayName: 'Fresh' })
  await region.end(put.body.id, { phase: 'Succeeded', reason: 'Done', message: 'Done.' })
  await region.standDatabase('fresh', { id: 'gauge' })
  const { body, headers } = await region.call('GET', '/v1/projects/fresh')
  assert.deepEqual([body.status.phase, body.status.usage, body.status.namespace], ['Ready', { databases: 1 }, 'project-fresh'])
  assert.equal((await region.call('PUT', '/v1/projects/fresh', { body })).status, 200)
  const patched = await region.call('PATCH', '/v1/projects/fresh', {
    body: { quota: { databases: 1 } },
    headers: { 'if-match': headers.get('etag') ?? '' },
  })
  assert.equal(patched.status, 202, patched.text)
  assert.ok(
    (await region.call('GET', '/v1/projects')).body.items.some(
      ({ id, quota }: { id: string; quota?: { databases: number } }) => id === 'fresh' && quota?.databases === 1,
    ),
  )
})

test('a project is deleted with its databases when that is said, and a dry run names them first', async () => {
  await region.standProject({ id: 'old' })
  await region.standDatabase('old', { id: 'gauge' })
  const plan = await region.call('DELETE', '/v1/projects/old?cascade=true&dryRun=true')
  assert.deepEqual(
    plan.body.steps.map(({ name, objects }: { name: string; objects: { kind: string; name: string }[] }) => [
      name,
      objects.map(({ kind, name }) => `${kind} ${name}`),
    ]),
    [
      ['databases', ['CrateDB gauge']],
      ['delete', ['Project old', 'Namespace project-old']],
    ],
  )
  const deleted = await region.call('DELETE', '/v1/projects/old?cascade=true')
  assert.deepEqual(deleted.body.parameters, { cascade: true, retainVolumes: true, keepDays: 7 })
  const late = await region.call('PUT', '/v1/projects/old/databases/new', { body: usualDatabase })
  assert.equal(late.body.type, 'https://skerry.dev/problems/wrong-state')
})

test('the ledger is told in order from any place on, and each entry is chained to the one before', async () => {
  const whole = (await region.call('GET', '/v1/operations?since=0')).body
  assert.ok(whole.items.length >= 3)
  for (const [index, { sequence, previousHash }] of whole.items.entries()) {
    assert.equal(sequence, index + 1)
    if (index > 0) assert.equal(previousHash, whole.items[index - 1].hash)
  }
  const newest = whole.items.at(-1)
  assert.deepEqual(whole.ledger, { oldest: 1, newest: newest.sequence, hash: newest.hash, holes: [] })
  assert.deepEqual((await region.call('GET', '/v1/operations?since=2')).body.items, whole.items.slice(2))
  assert.deepEqual((await region.call('GET', `/v1/operations?since=${newest.sequence}`)).body.items, [])
})

test('operations are listed newest first, filtered, and page by page', async () => {
  const whole = (await region.call('GET', '/v1/operations')).body.items
  const sequences = whole.map(({ sequence }: { sequence: number }) => sequence)
  assert.deepEqual(
    sequences,
    sequences.toSorted((a: number, b: number) => b - a),
  )
  const first = await region.call('GET', '/v1/operations?limit=2')
  const second = await region.call('GET', `/v1/operations?limit=2&cursor=${first.body.next}`)
  assert.deepEqual([...first.body.items, ...second.body.items], whole.slice(0, 4))
  const failed = (await region.call('GET', '/v1/operations?phase=Failed&project=failing')).body.items
  assert.deepEqual(
    failed.map(({ phase, target }: { phase: string; target: { database: string } }) => [phase, target.database]),
    [['Failed', 'gauge']],
  )
  assert.equal((await region.call('GET', '/v1/operations?phase=Fine')).status, 422)
})

test('an operation is cancelled by who may change its target, once', async () => {
  await region.standProject({ id: 'cancelled' })
  await region.standDatabase('cancelled', { id: 'gauge' })
  const { body } = await region.call('POST', '/v1/projects/cancelled/databases/gauge/actions/restart')
  const path = `/v1/operations/${body.id}`
  assert.equal((await region.as(['region:read'])('DELETE', path)).status, 403)
  const asked = await region.call('DELETE', path)
  assert.deepEqual([asked.status, asked.body.cancelRequested.by], [202, 'cloud'])
  await region.end(body.id, { phase: 'Cancelled' })
  assert.equal((await region.call('DELETE', path)).body.type, 'https://skerry.dev/problems/ended')
  assert.equal((await region.call('GET', path)).body.phase, 'Cancelled')
  assert.equal((await region.call('GET', '/v1/operations/op-9999999999')).status, 404)
})

test('entries that are no longer kept are gone, and the oldest one is named', async () => {
  const oldest = region.journal.all()[0]
  assert.ok(oldest)
  const { namespace = '', name } = oldest.metadata
  await region.admin.request({ method: 'DELETE', path: `/apis/skerry.dev/v1/namespaces/${namespace}/operations/${name}` })
  const deadline = AbortSignal.timeout(30_000)
  while (await region.journal.find(name)) {
    deadline.throwIfAborted()
    await new Promise((resolve) => setImmediate(resolve))
  }
  const gone = await region.call('GET', '/v1/operations?since=0')
  assert.deepEqual([gone.status, gone.body.oldest], [410, 2])
  assert.equal((await region.call('GET', '/v1/operations?since=1')).status, 200)
  assert.equal((await region.call('GET', `/v1/operations/${name}`)).status, 410)
})

test('the region says what it is and what of it is taken', async () => {
  const { body, headers } = await region.call('GET', '/v1/region')
  assert.deepEqual(
    [body.id, body.name, body.kubernetes.version, body.projects],
    ['harbour-1', 'Harbour', 'v1.35.0', region.caches.projects.size],
  )
  assert.deepEqual(
    body.storageClasses.map(({ name, expandable }: { name: string; expandable: boolean }) => [name, expandable]),
    [
      ['crate-premium', true],
      ['crate-rigid', false],
    ],
  )
  assert.equal((await region.call('GET', '/v1/region', { headers: { 'if-none-match': headers.get('etag') ?? '' } })).status, 304)
})

test('a region of which only the age has changed is not sent again, and one that has changed is', async (t) => {
  const first = await region.call('GET', '/v1/region')
  const tag = first.headers.get('etag') ?? ''
  assert.match(tag, /^W\/"/, 'its bytes differ')
  const now = systemClock.now()
  const set = t.mock.method(systemClock, 'now', () => now + 300_000)
  const later = await region.call('GET', '/v1/region')
  assert.notEqual(later.body.parts.hosts.observedAt, first.body.parts.hosts.observedAt)
  assert.equal((await region.call('GET', '/v1/region', { headers: { 'if-none-match': tag } })).status, 304)
  set.mock.restore()
  await region.standProject({ id: 'one-more' })
  assert.equal((await region.call('GET', '/v1/region', { headers: { 'if-none-match': tag } })).status, 200)
})

test('the region shows each database in a line, what stands in the way, the head of the ledger, and how old all that is', async () => {
  await region.standProject({ id: 'told' })
  await region.standDatabase('told', { id: 'gauge' })
  region.seen(statefulSet('told', 'gauge', 3, 2))
  const { body: accepted } = await region.call('POST', '/v1/projects/told/databases/gauge/actions/restart')
  const blocker = { code: 'PodUnschedulable', message: 'm'.repeat(300), evidence: 'Pod x', cure: 'c', cures: [] }
  await region.end(accepted.id, { phase: 'Waiting', blockers: [blocker, { ...blocker, code: 'NoFreeWorker' }] })
  const shown = await until('the blocker is shown', async () => {
    const { body } = await region.call('GET', '/v1/region')
    return body.databaseStates['told/gauge']?.blockers && body
  })
  const state = { health: 'GREEN', ready: 2, desired: 3, version: '5.10.1', blockers: ['PodUnschedulable', 'NoFreeWorker'] }
  assert.deepEqual({ ...shown.databaseStates['told/gauge'], phase: undefined }, { ...state, phase: undefined })
  assert.deepEqual(
    shown.blockers.filter(({ project }: { project: string }) => project === 'told'),
    [{ project: 'told', database: 'gauge', code: 'PodUnschedulable', message: 'm'.repeat(200) }],
    'what waits for others is not in the way',
  )
  const after = Date.now()
  const { sequence, hash } = region.journal.head()
  assert.deepEqual(shown.ledger, { sequence, hash })
  assert.equal(shown.amrc.hosts.length, shown.hosts.length)
  // Nobody follows these here: they were never known.
  for (const field of ['components', 'platform', 'sealing']) assert.deepEqual([shown[field], shown.parts[field]], [undefined, undefined])
  for (const field of ['hosts', 'databaseStates', 'ledger', 'blockers', 'amrc']) {
    const observedAt = Date.parse(shown.parts[field].observedAt)
    assert.ok(observedAt >= startedAt && observedAt <= after, field)
    assert.equal(shown.parts[field].stale, undefined)
  }
})

test('the document of the API is valid OpenAPI', async () => {
  const { valid, errors } = await new Validator().validate(JSON.parse(JSON.stringify(region.conformance.document)))
  assert.ok(valid, JSON.stringify(errors))
})

test('the end of a project with its databases needs the scope for databases too', async () => {
  const { status, body } = await region.as(['region:read', 'projects:write'])('DELETE', '/v1/projects/any?cascade=true')
  assert.deepEqual([status, body.scope], [403, 'databases:write'])
})
