import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createStory } from '../../../agent/controllers/story.ts'
import { createJournal } from '../../../agent/operations/journal.ts'
import { createCaches } from '../../../agent/region/caches.ts'
import { type Operation, operationName } from '../../../agent/resources/operation.ts'
import { systemClock } from '../../../shared/clock.ts'
import type { Cluster, ClusterRequest } from '../../../shared/kubernetes/connection.ts'
import { createEventRecorder } from '../../../shared/kubernetes/event-recorder.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { createLog } from '../../../shared/log.ts'
import { startCluster, startStandIns, until } from '../../cluster/index.ts'
import { createClient } from '../../region/client.ts'
import { regionDefinitions } from '../../region/definitions.ts'
import { prepareRegion } from '../../region/index.ts'
import { smallDatabase } from '../operations/acting-region.ts'
import { leaseInHand } from './region.ts'

test('the Events of a project, a database and an operation tell the story: accepted, steps, blockers, the end', {
  timeout: 120_000,
}, async (t) => {
  const cluster = await startCluster({ crds: regionDefinitions() })
  t.after(() => cluster.stop())
  const region = await prepareRegion(cluster)
  t.after(() => region.close())
  const standIns = await startStandIns(cluster, { operator: { stepMs: 2 } })
  t.after(() => standIns.stop())
  const sqlUrl = `${standIns.database.url}/{namespace}/{database}/_sql`
  const operator = pathOf(kinds.Deployment, 'crate-operator', 'crate-operator')
  const scaleOperator = async (replicas: number) => {
    const contentType = 'application/merge-patch+json'
    await region.admin.request({ method: 'PATCH', path: operator, contentType, body: { spec: { replicas } } })
    await until(`it has ${replicas} replicas`, async () => {
      const { status } = await region.admin.request<KubernetesObject>({ method: 'GET', path: operator })
      return (status?.readyReplicas ?? 0) === replicas
    })
  }
  const agent = await region.startAgent({ config: { databases: { sqlUrl }, operations: { recheck: '500ms' } } })
  const client = createClient({ url: agent.url, ca: region.ca, token: region.token })
  t.after(() => client.close())
  /** As kubectl describe selects them, the oldest first. */
  const eventsOf = async (kind: string, name: string, namespace: string) => {
    const query = { fieldSelector: `involvedObject.kind=${kind},involvedObject.name=${name}` }
    const { items } = await region.admin.request<{ items: KubernetesObject[] }>({
      method: 'GET',
      path: pathOf(kinds.Event, namespace),
      query,
    })
    return items
      .filter(({ source }) => source?.component === 'skerry-agent')
      .sort((a, b) => Date.parse(a.firstTimestamp) - Date.parse(b.firstTimestamp))
      .map(({ type, reason, message, count }) => ({ type, reason, message: String(message), count }))
  }

  await client.call('PUT', '/v1/projects/harbour', { body: {}, headers: { prefer: 'wait=30' } })
  const ofProject = await until('the story of the project is told', async () => {
    const events = await eventsOf('Project', 'harbour', 'default')
    return events.some(({ reason }) => reason === 'Succeeded') && events
  })
  assert.match(
    ofProject.find(({ reason }) => reason === 'Accepted')?.message ?? '',
    /^op-0000000001: The request "put" of \S+ was accepted/,
  )

  await scaleOperator(0)
  const { body, text } = await client.call('PUT', '/v1/projects/harbour/databases/tide', { body: smallDatabase({ id: 'tide' }) })
  assert.ok(body.id, text)
  await until('the blocker is told', async () =>
    (await eventsOf('CrateDB', 'tide', 'project-harbour')).some(
      ({ type, reason }) => type === 'Warning' && reason === 'OperatorNotRunning',
    ),
  )
  await scaleOperator(1)
  const ended = await until('the operation has ended', async () => {
    const now = await client.call('GET', `/v1/operations/${body.id}`)
    return now.body.endedAt && now.body
  })
  const story = await until('the end is told', async () => {
    const events = await eventsOf('CrateDB', 'tide', 'project-harbour')
    return events.some(({ reason }) => reason === ended.phase) && events
  })
  const reasons = story.map(({ reason }) => reason)
  for (const reason of ['Accepted', 'StepBegan', 'OperatorNotRunning', 'BlockerGone'])
    assert.ok(reasons.includes(reason), `${reason}: ${reasons}`)
  assert.match(story.find(({ reason }) => reason === 'StepBegan')?.message ?? '', /^op-0000000002: The step "create" began\.$/)
  const ofOperation = await eventsOf('Operation', body.id, 'skerry')
  assert.deepEqual(new Set(ofOperation.map(({ reason }) => reason)), new Set(reasons))
  assert.ok(ofOperation.every(({ message }) => !message.includes('a long enough password')))
})

test('a new leader tells the story of every open operation of a large region, and what happens meanwhile at once', async (t) => {
  const written: KubernetesObject[] = []
  const cluster = {
    request: async ({ method, body }: ClusterRequest) => {
      if (method === 'GET') return { items: [] }
      if (written.push(body as KubernetesObject) === 10) accept(1_001)
      return body
    },
  } as unknown as Cluster
  const lines: string[] = []
  const log = createLog({ level: 'info', name: 'test', destination: { write: (line) => lines.push(line) } })
  const tools = { cluster, clock: systemClock, log }
  const caches = createCaches({ namespace: 'skerry' }, tools)
  const journal = createJournal({ namespace: 'skerry' }, { ...tools, ...caches })
  const lease = leaseInHand(false)
  const recorder = createEventRecorder({ fieldManager: 'skerry-agent' }, tools)
  const story = createStory({ caches, journal, recorder, lease })
  for (const part of [recorder, story]) await part.start(new AbortController().signal)
  t.after(() => recorder.stop(0))
  const blockers = [{ code: 'PodUnschedulable', message: 'No node is large enough.', evidence: [], cure: '', cures: [] }]
  const step = { name: 'create', startedAt: '2026-01-01T00:00:01Z' }
  const accept = (sequence: number) => {
    const target = { kind: 'database', project: 'harbour', database: `tide-${sequence}` }
    const of = { name: target.database, namespace: 'project-harbour', uid: `d-${sequence}`, resourceVersion: '1' }
    caches.databases.put({ apiVersion: 'cloud.crate.io/v1', kind: 'CrateDB', metadata: of })
    const metadata = { name: operationName(sequence), namespace: 'skerry', uid: `u-${sequence}`, resourceVersion: '1' }
    const spec = { sequence, hash: `h-${sequence}`, target, action: 'put', requestedBy: 'test', acceptedAt: '2026-01-01T00:00:00Z' }
    const status = { phase: 'Waiting', step, blockers }
    caches.operations.put({ apiVersion: 'skerry.dev/v1', kind: 'Operation', metadata, spec, status } as unknown as Operation)
  }
  const told = (kind: string, name: string) =>
    written.filter(({ involvedObject }) => involvedObject.kind === kind && involvedObject.name === name).map(({ reason }) => reason)
  for (let sequence = 1; sequence <= 1_000; sequence++) accept(sequence)
  lease.set(true)
  await until('all is told', async () => written.length >= 6 * 1_001, 30_000)
  for (let sequence = 1; sequence <= 1_001; sequence++) {
    const reasons = ['Accepted', 'StepBegan', 'PodUnschedulable']
    assert.deepEqual([told('Operation', operationName(sequence)), told('CrateDB', `tide-${sequence}`)], [reasons, reasons])
  }
  assert.ok(written.findLastIndex(({ involvedObject }) => involvedObject.name === 'tide-1001') < 20)
  assert.deepEqual(lines, [])
})
