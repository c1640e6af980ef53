import assert from 'node:assert/strict'
import { request } from 'node:https'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { startCluster, until } from '../../cluster/index.ts'
import { type Client, createClient } from '../../region/client.ts'
import { prepareRegion, type Region } from '../../region/index.ts'
import { startActingRegion } from './acting-region.ts'

const leasePath = pathOf(kinds.Lease, 'skerry', 'skerry-agent')
/** A holder that is dead and promised a day; the Lease seems to be renewed in the far future. */
const pinned: KubernetesObject = {
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  metadata: { namespace: 'skerry', name: 'skerry-agent' },
  spec: {
    holderIdentity: 'agent-0_dead',
    leaseDurationSeconds: 86_400,
    acquireTime: '2099-01-01T00:00:00.000000Z',
    renewTime: '2099-01-01T00:00:00.000000Z',
    leaseTransitions: 3,
  },
}
/** Short enough that a test can wait for it, and long enough that nobody takes the Lease meanwhile. */
const lease = { duration: '60s', renewDeadline: '1s', retryPeriod: '200ms' }

async function start(t: TestContext): Promise<{ region: Region; client: Client; adminUrl: string }> {
  const cluster = await startCluster()
  t.after(() => cluster.stop())
  const region = await prepareRegion(cluster)
  t.after(() => region.close())
  await region.admin.request({ method: 'POST', path: pathOf(kinds.Lease, 'skerry'), body: pinned })
  const agent = await region.startAgent({ config: { lease } })
  const client = createClient({ url: agent.url, ca: region.ca, token: region.token })
  t.after(() => client.close())
  return { region, client, adminUrl: agent.adminUrl }
}

/** The columns of `kubectl get operation`. */
async function columnsOf({ cluster }: Region, name: string): Promise<Record<string, unknown>> {
  const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io'
  const headers = { accept, authorization: `Bearer ${cluster.adminToken}` }
  const url = new URL(pathOf(kinds.Operation, 'skerry', name), cluster.url)
  const table = await new Promise<string>((resolve, reject) => {
    const outgoing = request(url, { ca: cluster.ca, headers }, async (incoming) => resolve(await text(incoming)))
    outgoing.on('error', reject).end()
  })
  const { columnDefinitions, rows } = JSON.parse(table)
  return Object.fromEntries(columnDefinitions.map(({ name }: { name: string }, at: number) => [name, rows[0].cells[at]]))
}

const codesOf = (body: { blockers?: { code: string }[] }) => (body.blockers ?? []).map(({ code }) => code)

test('without a leader, operations, the region, readiness and metrics say who holds the Lease; the cure frees it', {
  timeout: 90_000,
}, async (t) => {
  const { region, client, adminUrl } = await start(t)
  const put = await client.call('PUT', '/v1/projects/harbour', { body: {} })
  assert.equal(put.status, 202, put.text)
  const operation = `/v1/operations/${put.body.id}`
  assert.equal((await columnsOf(region, put.body.id)).Phase, 'Accepted', 'from the start')
  const told = await until('it is told', async () => {
    const { body } = await client.call('GET', operation)
    return body.blockers?.length > 0 && body
  })
  const message =
    'No replica leads: the Lease skerry/skerry-agent is held by agent-0_dead, which does not renew it. Another one takes it 240 s after the last renewal.'
  assert.deepEqual([told.phase, told.reason, told.message], ['Accepted', 'NoLeader', message])
  assert.deepEqual([told.blockers[0].code, told.blockers[0].evidence], ['NoLeader', 'Lease skerry/skerry-agent'])
  assert.equal(told.startedAt, undefined, 'its time has not begun')
  const columns = await columnsOf(region, put.body.id)
  assert.deepEqual([columns.Phase, columns.Step, columns.Blocker, columns.Message], ['Accepted', null, 'NoLeader', message])

  const { body: shown } = await client.call('GET', '/v1/region')
  assert.deepEqual(shown.leader, { state: 'nobody', holder: 'agent-0_dead', trouble: message })
  const readyz = await fetch(`${adminUrl}/readyz`)
  assert.equal(readyz.status, 200, 'it answers and accepts')
  assert.equal(((await readyz.json()) as { facts: Record<string, unknown> }).facts.leadership, message)
  const metrics = await (await fetch(`${adminUrl}/metrics`)).text()
  assert.match(metrics, /^skerry_agent_leaderless 1$/m)
  assert.match(metrics, /^skerry_agent_operations_waiting\{reason="NoLeader"\} 1$/m)

  // As if it had been at work when the leader was lost.
  const obstacle = { ...told.blockers[0], code: 'ProjectNotReady', message: 'Its namespace is not ready.' }
  const status = { phase: 'Waiting', reason: obstacle.code, message: obstacle.message, startedAt: told.acceptedAt, blockers: [obstacle] }
  await region.admin.request({
    method: 'PATCH',
    path: `${pathOf(kinds.Operation, 'skerry', put.body.id)}/status`,
    contentType: 'application/merge-patch+json',
    body: { status },
  })
  const both = await until('it is told again', async () => {
    const { body } = await client.call('GET', operation)
    return body.reason === 'NoLeader' && body.phase === 'Waiting' && body
  })
  assert.deepEqual(codesOf(both), ['NoLeader', 'ProjectNotReady'], 'what it waited for still stands in its way')

  const free = told.blockers[0].cures.find(({ command = '' }) => command.includes(' patch lease ')).command
  const patch = /--patch '(.*)'$/.exec(free)?.[1] ?? ''
  await region.admin.request({ method: 'PATCH', path: leasePath, contentType: 'application/merge-patch+json', body: JSON.parse(patch) })
  const ended = await until('it has succeeded', async () => {
    const { body } = await client.call('GET', operation)
    return body.phase === 'Succeeded' && body
  })
  assert.deepEqual([codesOf(ended), ended.message], [[], 'Done.'])
  assert.equal((await client.call('GET', '/v1/region')).body.leader.state, 'leads')
})

test('an operation that waits for another one, or for a free worker, says so until it is worked on', { timeout: 90_000 }, async (t) => {
  const region = await startActingRegion()
  t.after(() => region.close())
  const held = Promise.withResolvers<void>()
  t.after(() => held.resolve())
  region.intercept(async ({ method, path }, send) => {
    if (method === 'PATCH' && path.startsWith(pathOf(kinds.Project))) await held.promise
    return send()
  })
  const first = await region.putProject('harbour')
  const database = await region.putDatabase('harbour', { id: 'tide' })
  const behind = await region.putDatabase('harbour', { id: 'tide', version: '5.10.2' })
  for (const id of ['b', 'c', 'd', 'e', 'f', 'g', 'h']) await region.putProject(`pier-${id}`)
  const last = await region.putProject('pier-z')
  const reason = async (operation: typeof first) => {
    const { status } = await region.whenOperation(operation, (now) => now.status?.blockers?.[0] !== undefined)
    return [status?.phase, status?.reason, status?.message, status?.blockers?.[0]?.evidence]
  }
  const name = ({ metadata }: typeof first) => metadata.name
  assert.deepEqual(await reason(behind), [
    'Accepted',
    'OperationAhead',
    `Waits for ${name(database)}, which was accepted for the same database and has not ended.`,
    `Operation skerry/${name(database)}`,
  ])
  assert.deepEqual(await reason(database), [
    'Accepted',
    'OperationAhead',
    `Waits for ${name(first)}, which was accepted for its project and has not ended.`,
    `Operation skerry/${name(first)}`,
  ])
  assert.deepEqual(await reason(last), [
    'Accepted',
    'NoFreeWorker',
    'Waits for a free worker: the leading agent works for at most 8 projects and databases at the same time.',
    `Operation skerry/${name(last)}`,
  ])
  held.resolve()
  for (const operation of [first, last, behind]) {
    const { status } = await region.ended(operation)
    assert.deepEqual([status?.phase, status?.blockers], ['Succeeded', []], name(operation))
  }
})

test('an operation that waits for hosts still says so while all workers are busy', { timeout: 90_000 }, async (t) => {
  const held = Promise.withResolvers<void>()
  t.after(() => held.resolve())
  const region = await startActingRegion()
  t.after(() => region.close())
  await region.ended(await region.putProject('harbour'))
  const nodes = { count: 4, cpu: 1, memory: '1Gi', heapRatio: 0.25, disk: { count: 1, size: '8Gi', storageClass: 'crate-premium' } }
  const database = await region.putDatabase('harbour', { id: 'tide', nodes })
  await region.whenOperation(database, ({ status }) => status?.reason === 'PodUnschedulable')
  region.intercept(async ({ method, path }, send) => {
    if (method === 'PATCH' && path.startsWith(pathOf(kinds.Project))) await held.promise
    return send()
  })
  for (const id of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) await region.putProject(`pier-${id}`)
  // Its turn to look again has come meanwhile. What has its first turn says that it waits for a worker.
  const last = await region.putProject('pier-z')
  await region.whenOperation(last, ({ status }) => status?.reason === 'NoFreeWorker')
  const another = await region.putProject('pier-y')
  await region.whenOperation(another, ({ status }) => status?.reason === 'NoFreeWorker')
  const { status } = await region.whenOperation(database, () => true)
  assert.equal(status?.reason, 'PodUnschedulable', status?.message)
})
