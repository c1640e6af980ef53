import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createAcceptedState } from '../../../agent/operations/accepted.ts'
import { deleteDatabase } from '../../../agent/operations/actions/delete-database.ts'
import type { Timeouts } from '../../../agent/operations/deciding/decision.ts'
import type { Proposal } from '../../../agent/operations/journal.ts'
import { databaseSpec, splitSecrets } from '../../../agent/resources/database.ts'
import type { Operation } from '../../../agent/resources/operation.ts'
import { projectSpec } from '../../../agent/resources/project.ts'
import { systemClock } from '../../../shared/clock.ts'
import { problemOfAnswer } from '../../../shared/kubernetes/failures.ts'
import { kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'
import { type ActingRegion, changed, smallDatabase, startActingRegion } from './acting-region.ts'

/*
 * What may be known too late, or be told wrongly for a moment: none of it may lose what was accepted, do it twice, or say that it is done.
 */

let region: ActingRegion
before(async () => {
  region = await startActingRegion()
  await region.ended(await region.putProject('harbour'))
})
afterEach(() => {
  region.intercept()
  region.lead(true)
})
after(() => region?.close())

const phase = ({ status }: Operation) => status?.phase
const database = (id: string) => ({ kind: 'database' as const, project: 'harbour', database: id })
const nodes = (count: number) => ({ count, cpu: '500m', memory: '1Gi', disk: { size: '8Gi', storageClass: 'crate-premium' } })

/** The deletion of a database as a request for it is decided at this moment. */
function decidedDeletion(target: ReturnType<typeof database>): Proposal {
  const { journal, caches, admin: cluster } = region
  const heapDumpVolume = () => ({ size: '64Gi', storageClass: undefined })
  const operatorRelease = () => ({ version: '2.63.0', image: undefined })
  const backupImage = () => 'set' as const
  const config = {
    region: 'eu-north',
    imageRegistry: 'crate',
    namespace: 'skerry',
    timeouts: { delete: 60_000 } as Timeouts,
    allowedKeys: { labels: [], annotations: [] },
    endpoints: { allowed: [], clusterNetworks: () => [], namespaces: [] },
    hostFolders: [],
  }
  const sql = { query: () => assert.fail('a deletion asks no database') }
  const parts = {
    accepted: createAcceptedState({ journal, caches }),
    caches,
    journal,
    cluster,
    sql,
    heapDumpVolume,
    operatorRelease,
    backupImage,
    clock: systemClock,
    probe: async () => [],
    config,
  }
  const [request] = deleteDatabase.requests
  const asked = { target, guard() {}, params: {}, query: { retainVolumes: false }, body: undefined, passwordAt: () => '' }
  const proposed = request?.decide(parts, asked)
  assert.ok(proposed)
  return { action: deleteDatabase.name, target, tryOut: [], ...proposed }
}

async function succeeded(operation: Operation): Promise<Operation> {
  const ended = await region.ended(operation)
  assert.equal(phase(ended), 'Succeeded', JSON.stringify(ended.status))
  return ended
}

test('a change that brings other keys is not superseded by a later one that does not bring them', async () => {
  const aws = { bucket: 'harbour', region: 'eu-west-1', cron: '0 4 * * *', accessKeyId: 'AKIAOLD', secretAccessKey: 'old-secret' }
  const given = (id: string, change: object) =>
    splitSecrets(databaseSpec.parse(smallDatabase({ id, backups: { aws: { ...aws, ...change } } } as never)))
  const first = given('keys', {})
  const target = database('keys')
  const creation = await succeeded(await region.accept({ action: 'put', target, wanted: first.spec, secrets: first.secrets }))
  const { secrets } = given('keys', { accessKeyId: 'AKIANEW', secretAccessKey: 'new-secret' })
  const keys = Object.fromEntries(Object.entries(secrets).filter(([place]) => place.startsWith('backups.')))
  region.lead(false)
  const rotation = await region.accept({ action: 'put', target, wanted: first.spec, secrets: keys })
  const later = await region.accept({ action: 'put', target, wanted: changed(creation, { allowedCIDRs: ['10.2.0.0/16'] }) })
  region.lead(true)
  const { status } = await region.ended(rotation)
  assert.ok(
    status?.done?.some(({ name }) => name === 'credentials'),
    JSON.stringify(status),
  )
  await succeeded(later)
  const { items } = await region.admin.request({ method: 'GET', path: pathOf(kinds.Secret, 'project-harbour') })
  const values = items.flatMap(({ data }: { data?: Record<string, string> }) => Object.values(data ?? {}))
  assert.ok(values.includes(Buffer.from('AKIANEW').toString('base64')))
})

test('only the next operation supersedes a change: what stands between is done on what the change made', async () => {
  const before = await succeeded(await region.putDatabase('harbour', { id: 'between' }))
  const target = database('between')
  region.lead(false)
  const change = await region.accept({ action: 'put', target, wanted: changed(before, { allowedCIDRs: ['10.3.0.0/16'] }) })
  const restart = await region.accept({ action: 'restart', target })
  const last = await region.accept({ action: 'put', target, wanted: changed(before, { allowedCIDRs: ['10.4.0.0/16'] }) })
  region.lead(true)
  for (const operation of [change, restart, last]) await succeeded(operation)
})

test('a restart takes no node down when the health has gone between the hold and the deletion', async () => {
  await succeeded(await region.putDatabase('harbour', { id: 'frail', nodes: nodes(2) as never }))
  const { setHealth, state } = region.standIns.database
  let deleted = 0
  let held = false
  region.intercept(async ({ method, path, body }, send) => {
    if (method === 'DELETE' && path.includes('/pods/')) deleted++
    const answer = await send()
    const note = (body as Operation | undefined)?.status?.step?.note as { holding?: boolean } | undefined
    if (!held && note?.holding) {
      held = true
      setHealth('project-harbour', 'frail', 'YELLOW')
    }
    return answer
  })
  const restart = await region.accept({ action: 'restart', target: database('frail') })
  await region.whenOperation(restart, ({ status }) => /is YELLOW/.test(status?.message ?? ''))
  assert.equal(deleted, 0)
  assert.equal(state('project-harbour', 'frail').settings.persistent.size, 0, 'the hold is released meanwhile')
  setHealth('project-harbour', 'frail', undefined)
  await succeeded(restart)
  assert.equal(deleted, 2)
})

test('a restart that gives way to a deletion releases its hold', async () => {
  await succeeded(await region.putDatabase('harbour', { id: 'leaving', nodes: nodes(2) as never }))
  const target = database('leaving')
  const stays = region.standIns.kubelet
  stays.setFaults('crate-data-hot-leaving-*', { neverGone: true })
  const restart = await region.accept({ action: 'restart', target })
  await region.whenOperation(restart, ({ status }) => /is stopping/.test(status?.message ?? ''))
  const { settings } = region.standIns.database.state('project-harbour', 'leaving')
  assert.equal(settings.persistent.size, 1)
  await region.accept({ action: 'delete', target, parameters: { retainVolumes: false } })
  assert.equal(phase(await region.ended(restart)), 'Superseded')
  assert.equal(settings.persistent.size, 0)
  stays.clearFaults()
})

test('a project that was changed while its controller was at it is not done before the change is', async () => {
  const wanted = (cpu: string) => projectSpec.parse({ id: 'growing', quota: { cpu } })
  const target = { kind: 'project' as const, project: 'growing' }
  await succeeded(await region.accept({ action: 'put', target, wanted: wanted('1') }))
  const path = pathOf(kinds.ResourceQuota, 'project-growing')
  const cpuInForce = async () => (await region.admin.request({ method: 'GET', path })).items[0]?.spec.hard['requests.cpu']
  let second: Operation | undefined
  region.intercept(async ({ method, path: asked, body }, send) => {
    // Time enough to say too early that it is done.
    if (asked.includes('/resourcequotas/') && JSON.stringify(body ?? '').includes('"requests.cpu":"3"')) await sleep(300)
    const answer = await send()
    if (second === undefined && method === 'PATCH' && asked.includes('/resourcequotas/')) {
      second = await region.accept({ action: 'put', target, wanted: wanted('3') })
      const there = async () => (await region.admin.request({ method: 'GET', path: pathOf(kinds.Project, undefined, 'growing') })).spec
      await until('the second change is written', async () => String((await there()).quota.cpu) === '3')
    }
    return answer
  })
  await region.accept({ action: 'put', target, wanted: wanted('2') })
  await until('a second change was accepted', async () => second !== undefined)
  await succeeded(second as unknown as Operation)
  assert.equal(await cpuInForce(), '3')
})

test('a creation outlives the moment in which its namespace is made anew', async () => {
  const body = { kind: 'Status', reason: 'NotFound', details: { name: 'project-harbour', kind: 'namespaces' } }
  let refusals = 2
  region.intercept(async ({ method, path }, send) => {
    if (method === 'PATCH' && path.includes('/cratedbs/') && refusals-- > 0) throw problemOfAnswer('PATCH', 404, JSON.stringify(body))
    return send()
  })
  await succeeded(await region.putDatabase('harbour', { id: 'patient' }))
  assert.ok(refusals < 0)
})

test('a new leader does nothing for an operation that has ended without its having heard of that', async (t) => {
  region.intercept(async ({ method, path }, send) => {
    if (method === 'PATCH' && path.endsWith('/projects/ended')) throw problemOfAnswer('PATCH', 503, '')
    return send()
  })
  const operation = await region.putProject('ended')
  await region.whenOperation(operation, ({ status }) => status?.step?.name === 'apply' && (status.attempts ?? 0) > 0)
  region.lead(false)
  region.intercept()
  t.after(region.withhold('operations'))
  await region.admin.request({
    method: 'PATCH',
    path: `${pathOf(kinds.Operation, 'skerry', operation.metadata.name)}/status`,
    contentType: 'application/merge-patch+json',
    body: { status: { phase: 'Superseded', step: null } },
  })
  region.lead(true)
  assert.equal(phase(await region.ended(operation)), 'Superseded')
  await assert.rejects(region.admin.request({ method: 'GET', path: pathOf(kinds.Project, undefined, 'ended') }), { type: 'not-found' })
})

test('a deletion that was accepted without the protection being known is refused when it is carried out', async () => {
  await succeeded(await region.putDatabase('harbour', { id: 'precious', deletionProtection: true }))
  const operation = await region.ended(await region.accept({ action: 'delete', target: database('precious') }))
  assert.deepEqual([phase(operation), operation.status?.reason], ['Failed', 'Protected'])
  await region.cratedb('harbour', 'precious')
})

test('a deletion that was accepted after the protection was lifted is carried out, though it supersedes the lifting', async () => {
  const before = await succeeded(await region.putDatabase('harbour', { id: 'lifted', deletionProtection: true }))
  const target = database('lifted')
  region.lead(false)
  const lifting = await region.accept({ action: 'put', target, wanted: changed(before, { deletionProtection: false }) })
  const deletion = await region.accept(decidedDeletion(target))
  region.lead(true)
  await succeeded(deletion)
  assert.equal(phase(await region.ended(lifting)), 'Superseded')
})

test('a deletion that ended badly can be asked for again, and takes away what it left', async () => {
  await succeeded(await region.putDatabase('harbour', { id: 'half-gone' }))
  const target = database('half-gone')
  const holdOn = (finalizers: string[]) =>
    region.admin.request({
      method: 'PATCH',
      path: pathOf(kinds.CrateDB, 'project-harbour', 'half-gone'),
      contentType: 'application/merge-patch+json',
      body: { metadata: { finalizers } },
    })
  await holdOn(['example.com/held'])
  const parameters = { retainVolumes: false }
  const first = await region.ended(await region.accept({ action: 'delete', target, parameters, timeoutSeconds: 1 }))
  assert.deepEqual([phase(first), first.status?.reason], ['Failed', 'DeadlineExceeded'])
  const second = await region.accept(decidedDeletion(target))
  await holdOn([])
  await succeeded(second)
  const query = { labelSelector: 'skerry.dev/database=half-gone' }
  const { items } = await region.admin.request({ method: 'GET', path: pathOf(kinds.Secret, 'project-harbour'), query })
  assert.deepEqual(items, [])
})

test('an operation that waits for its turn ends as soon as its end is asked for', async () => {
  const before = await succeeded(await region.putDatabase('harbour', { id: 'queued' }))
  const target = database('queued')
  region.intercept(async ({ method, path }, send) => {
    if (method === 'PATCH' && path.includes('/cratedbs/queued')) throw problemOfAnswer('PATCH', 503, '')
    return send()
  })
  const first = await region.accept({ action: 'put', target, wanted: changed(before, { allowedCIDRs: ['10.5.0.0/16'] }) })
  const second = await region.accept({ action: 'restart', target })
  await region.whenOperation(first, ({ status }) => status?.step !== undefined)
  await region.journal.cancel(second.metadata.name, 'test')
  assert.equal(phase(await region.ended(second)), 'Cancelled')
  region.intercept()
  await succeeded(first)
})
