import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createApi } from '../../../agent/api/app.ts'
import type { AuditRecord } from '../../../agent/api/audit.ts'
import { createEvents, type Events, usualEvents } from '../../../agent/api/events/index.ts'
import { limitsConfig } from '../../../agent/api/limits.ts'
import { reachOf } from '../../../agent/api/reach.ts'
import { scopes } from '../../../agent/api/resources.ts'
import type { Route } from '../../../agent/api/route.ts'
import { systemClock } from '../../../shared/clock.ts'
import { until } from '../../cluster/index.ts'
import { createKeptLog } from './harbour.ts'
import { namespace, type QuietRegion, startQuietRegion, storageClasses, usualDatabase } from './region.ts'

let region: QuietRegion
let events: Events
const { log } = createKeptLog()
const records: AuditRecord[] = []
/** Operations of the project `dock`. */
const foreign: string[] = []

const s3 = { bucket: 'snapshots', region: 'eu-north-1', accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'secret' }

before(async () => {
  region = await startQuietRegion()
  for (const storageClass of storageClasses) await region.stand(storageClass)
  events = createEvents(usualEvents, { sources: region.resources.events, observe: () => {}, clock: systemClock, log })
  await events.start(AbortSignal.timeout(5_000))
  for (const id of ['harbour', 'dock']) {
    await region.standProject({ id, displayName: `The ${id}`, quota: { cpu: '100' } })
    await region.standDatabase(id, { id: `${id}-gauge`, ...(id === 'dock' && { snapshots: { s3, schedule: '1 * * * *' } }) })
  }
  await standDeleted('dock')
  for (const project of ['harbour', 'dock']) {
    const { status, body } = await region.call('POST', `/v1/projects/${project}/databases/${project}-gauge/actions/restart`)
    assert.equal(status, 202)
    if (project === 'dock') foreign.push(body.id)
  }
})
after(async () => {
  await events?.stop(0)
  await region?.close()
})

/** A database of the project that was deleted. */
async function standDeleted(project: string): Promise<void> {
  const claim = `project-${project}/data0-crate-data-hot-${project}-ebb-0`
  const facts = { origin: 'found', deletedAt: '2026-11-30T10:00:00Z', deletedBy: 'nobody knows', secrets: [] }
  await region.stand({
    apiVersion: 'skerry.dev/v1',
    kind: 'RetainedDatabase',
    metadata: { name: `${project}-ebb.00000001`, namespace },
    spec: { project, database: `${project}-ebb`, ...facts, volumes: [{ volume: 'pvc-1', uid: 'uid-1', claim, capacity: '8Gi' }] },
  })
  await until('it is known', async () => region.caches.retained.size === 1)
}

/** The whole API, for an identity with every scope, bound to these projects. */
function apiOf(projects: string[] | undefined) {
  const identity = { name: 'token:tenant', scopes: new Set(scopes), ...(projects && { projects: new Set(projects) }) }
  const app = createApi(limitsConfig.parse({ requestsPerSecond: 1e6, burst: 1e6 }), {
    routes: routes(),
    authentication: { identify: async () => identity },
    audit: { record: (record) => void records.push(record) },
    observe: () => {},
    version: '0.0.0',
    clock: systemClock,
    log,
  })
  return async (method: string, path: string, { body, headers = {} }: { body?: unknown; headers?: Record<string, string> } = {}) => {
    const contentType = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'
    const given = body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': contentType, ...headers } }
    const response = await app.request(`/v1${path}`, { method, headers, ...given })
    return response
  }
}

const routes = (): Route[] => [...region.resources.routes, events.route]
const at = ({ path }: Route, names: Record<string, string>) => path.replaceAll(/\{(\w+)\}/g, (_, name: string) => names[name] ?? 'x')

test('every route is closed, filtered or about one project for an identity that is bound to projects', async () => {
  const call = apiOf(['harbour'])
  const filtered: string[] = []
  for (const route of routes()) {
    const reach = reachOf(route)
    if (reach === 'filtered') filtered.push(route.operationId)
    if (reach === 'region') {
      const answer = await call(route.method, at(route, {}))
      assert.equal(answer.status, 403, route.operationId)
      assert.match(await answer.text(), /bound to projects/)
    }
    if (reach !== 'project') continue
    const told: unknown[] = []
    for (const project of ['dock', 'nowhere']) {
      const answer = await call(route.method, at(route, { project, database: `${project}-gauge` }))
      assert.equal(answer.status, 404, `${route.operationId} of ${project}`)
      const { instance: _, requestId: __, ...problem } = (await answer.json()) as Record<string, unknown>
      told.push(JSON.parse(JSON.stringify(problem).replaceAll(project, 'PROJECT')))
    }
    assert.deepEqual(told[0], told[1], `${route.operationId} tells what exists from what does not`)
  }
  // What a new route here shows must be checked in this file.
  assert.deepEqual(filtered.sort(), ['cancelOperation', 'getOperation', 'getRegion', 'listOperations', 'listProjects', 'watchEvents'])
})

test('lists, counts and the ledger hold nothing of other projects', async () => {
  const call = apiOf(['harbour'])
  const all = apiOf(undefined)
  const paths = ['/projects', '/operations', '/operations?since=0', '/operations?project=dock', '/projects/harbour/databases', '/region']
  for (const path of paths) {
    const answer = await call('GET', path)
    assert.equal(answer.status, 200, path)
    assert.doesNotMatch(await answer.text(), /dock/, path)
    if (path !== '/projects/harbour/databases' && path !== '/region') assert.match(await (await all('GET', path)).text(), /dock/, path)
  }
  const read = async (api: typeof call) => (await (await api('GET', '/region')).json()) as Record<string, unknown> & { capacity: object }
  const [bound, whole] = [await read(call), await read(all)]
  assert.deepEqual([bound.projects, bound.databases, whole.projects, whole.databases], [1, 1, 2, 2])
  assert.deepEqual(
    [bound.backups, whole.backups],
    [
      { scheduled: 0, unscheduled: 1, failing: 0 },
      { scheduled: 1, unscheduled: 1, failing: 0 },
    ],
  )
  const none = { databases: 0, volumes: 0, storage: '0', nextExpiry: null }
  assert.deepEqual([bound.retained, whole.retained], [none, { databases: 1, volumes: 1, storage: '8Gi', nextExpiry: null }])
  assert.deepEqual([bound.hosts, bound.storageClasses], [whole.hosts, whole.storageClasses])
  assert.deepEqual(
    [bound, whole].map(({ databaseStates }) => Object.keys(databaseStates as object)),
    [['harbour/harbour-gauge'], ['dock/dock-gauge', 'harbour/harbour-gauge']],
  )
  // The hash of the newest entry would tell that somebody else did something.
  for (const field of ['ledger', 'amrc', 'tunnel', 'components', 'sealing'])
    assert.ok(bound[field] == null && !(field in (bound.parts as object)), field)
  assert.ok(whole.ledger && whole.amrc)
  assert.equal((bound.capacity as { requested: { databases: number } }).requested.databases, 1)
  assert.deepEqual((await read(apiOf(['nowhere']))).projects, 0)
})

test('an operation of another project is unknown, to reading as to cancelling', async () => {
  const call = apiOf(['harbour'])
  const [id] = foreign
  for (const method of ['GET', 'DELETE']) {
    const there = await call(method, `/operations/${id}`)
    const nowhere = await call(method, '/operations/op-0000009999')
    assert.deepEqual([there.status, nowhere.status], [404, 404])
    const [one, other] = [await there.text(), await nowhere.text()]
    assert.equal(
      one.replaceAll(/op-\d+|"(instance|requestId)":"[^"]*"/g, ''),
      other.replaceAll(/op-\d+|"(instance|requestId)":"[^"]*"/g, ''),
    )
  }
  const standing = await region.journal.find(id as string)
  assert.equal(standing?.status?.cancelRequested, undefined)
})

test('what belongs to its projects is changed as by anybody else; what does not is neither planned nor repeated', async () => {
  const call = apiOf(['harbour'])
  const body = { ...usualDatabase, id: undefined }
  assert.equal((await call('PUT', '/projects/harbour/databases/new?dryRun=true', { body })).status, 200)
  assert.equal((await call('PUT', '/projects/dock/databases/new?dryRun=true', { body })).status, 404)
  assert.equal((await call('PUT', '/projects/new', { body: {} })).status, 404)
  const headers = { 'idempotency-key': 'order-4711' }
  const first = await apiOf(undefined)('POST', '/projects/dock/databases/dock-gauge/actions/suspend', { headers })
  assert.equal(first.status, 202)
  const again = await call('POST', '/projects/dock/databases/dock-gauge/actions/suspend', { headers })
  assert.equal(again.status, 404)
  const reused = await call('POST', '/projects/harbour/databases/harbour-gauge/actions/suspend', { headers })
  assert.equal(reused.status, 422)
  assert.doesNotMatch(await reused.text(), /op-|dock/)
})

test('the stream has events of its projects alone, also those that it missed', async () => {
  const call = apiOf(['harbour'])
  const open = async (path: string, until: RegExp) => {
    const response = await call('GET', path)
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    let text = ''
    while (!until.test(text)) {
      const { value, done } = await reader.read()
      if (done) break
      text += Buffer.from(value).toString()
    }
    return { text, close: () => reader.cancel() }
  }
  const before = await open('/events', /id: /)
  await before.close()
  const lastId = /id: (\S+)/.exec(before.text)?.[1]
  for (const project of ['dock', 'harbour'])
    await region.operatorWrites(project, `${project}-gauge`, { status: { crateDBStatus: { health: 'RED' } } })
  const missed = await open(`/events?lastEventId=${lastId}`, /harbour-gauge/)
  assert.doesNotMatch(missed.text, /dock/)
  await missed.close()
  const other = await open(`/events?lastEventId=${lastId}&project=dock`, /retry/)
  assert.doesNotMatch(other.text, /dock/)
  await other.close()
})

test('an attempt to look outside is in the audit, although a read is not', async () => {
  records.length = 0
  const call = apiOf(['harbour'])
  await call('GET', '/projects/harbour')
  await call('GET', '/projects/dock')
  assert.deepEqual(
    records.map(({ identity, status, target }) => [identity, status, target]),
    [['token:tenant', 404, { project: 'dock' }]],
  )
})
