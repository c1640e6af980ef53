import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { type TestContext, test } from 'node:test'
import type { Cluster, ClusterRequest } from '../../../shared/kubernetes/connection.ts'
import { createEventRecorder } from '../../../shared/kubernetes/event-recorder.ts'
import { createLog } from '../../../shared/log.ts'
import { createFakeClock } from '../fake-clock.ts'

const database = { apiVersion: 'cloud.crate.io/v1', kind: 'CrateDB', metadata: { namespace: 'project-harbour', name: 'tide', uid: 'u-1' } }
const project = { apiVersion: 'skerry.dev/v1', kind: 'Project', metadata: { name: 'harbour', uid: 'u-2' } }

// biome-ignore lint/suspicious/noExplicitAny: Events as they were sent
type Kept = Map<string, any>

/** A recorder whose Events end in a map, as the API server would keep them. */
async function start(t: TestContext, request?: Cluster['request'], kept: Kept = new Map()) {
  const clock = createFakeClock()
  let writes = 0
  const keep = async ({ method, path, query, body }: ClusterRequest) => {
    if (method === 'GET') {
      const event = kept.get(`${path}/${String(query?.fieldSelector).replace('metadata.name=', '')}`)
      return { items: event ? [event] : [] }
    }
    writes++
    kept.set(path, body)
    return body
  }
  const lines: string[] = []
  const log = createLog({ level: 'debug', name: 'test', destination: { write: (line) => lines.push(line) } })
  const cluster = { request: request ?? keep } as unknown as Cluster
  const recorder = createEventRecorder({ fieldManager: 'skerry-agent' }, { cluster, clock, log })
  await recorder.start(new AbortController().signal)
  t.after(() => recorder.stop(0))
  const settle = () => new Promise((resolve) => setTimeout(resolve, 20))
  return { clock, recorder, kept, lines, settle, writes: () => writes }
}

const blocked = (message: string) => ({ about: database, type: 'Warning', reason: 'PodUnschedulable', message }) as const

test('equal occasions are one Event that counts them', async (t) => {
  const { recorder, clock, kept, settle } = await start(t)
  for (let round = 0; round < 3; round++) {
    recorder.record(blocked('no node is large enough'))
    await settle()
    await clock.advance(60_000)
  }
  assert.equal(kept.size, 1)
  const [[path, event]] = [...kept] as [[string, Record<string, unknown>]]
  assert.match(path, /^\/api\/v1\/namespaces\/project-harbour\/events\/tide\.[0-9a-f]{16}$/)
  const { count, firstTimestamp, lastTimestamp, involvedObject, source } = event
  assert.deepEqual([count, firstTimestamp, lastTimestamp], [3, '2026-01-01T00:00:00Z', '2026-01-01T00:02:00Z'])
  assert.deepEqual(involvedObject, { apiVersion: database.apiVersion, kind: 'CrateDB', ...database.metadata })
  assert.deepEqual(source, { component: 'skerry-agent' })
})

test('what happens once is written once, by the next leader too', async (t) => {
  const occasion = {
    about: database,
    type: 'Normal',
    reason: 'Accepted',
    message: 'op-1: accepted',
    at: '2025-12-31T23:59:00.123Z',
  } as const
  const [one, next] = [await start(t), await start(t)]
  for (const { recorder } of [one, one, next]) recorder.record(occasion)
  await one.settle()
  assert.equal(one.writes(), 1)
  assert.deepEqual([...next.kept], [...one.kept])
  assert.deepEqual([...one.kept.values()][0].lastTimestamp, '2025-12-31T23:59:00Z')
})

test('the next leader goes on counting', async (t) => {
  const one = await start(t)
  for (let round = 0; round < 3; round++) one.recorder.record(blocked('no node is large enough'))
  await one.settle()
  const next = await start(t, undefined, one.kept)
  await next.clock.advance(60_000)
  for (let round = 0; round < 2; round++) next.recorder.record(blocked('no node is large enough'))
  await next.settle()
  const [{ count, firstTimestamp, lastTimestamp }] = [...one.kept.values()]
  assert.deepEqual([one.kept.size, count, firstTimestamp, lastTimestamp], [1, 5, '2026-01-01T00:00:00Z', '2026-01-01T00:01:00Z'])
})

test('what may wait is asked for when nothing else waits, and all of it is written', async (t) => {
  const { recorder, kept, settle } = await start(t)
  const reasons = () => [...kept.values()].map(({ reason }) => reason)
  const about = (index: number) => ({ ...database, metadata: { ...database.metadata, name: `tide-${index}` } })
  let asked = 0
  function* old() {
    for (; asked < 1_000; asked++) {
      if (asked === 10) recorder.record({ about: about(0), type: 'Normal', reason: 'Fresh', message: 'fresh' })
      yield { about: about(asked), type: 'Normal', reason: 'Old', message: 'old' } as const
    }
  }
  recorder.recordWhenIdle(old())
  while (asked < 1_000) await settle()
  await settle()
  assert.equal(reasons().indexOf('Fresh'), 11)
  assert.equal(reasons().length, 1_001)
})

test('an object without a namespace has its Events in "default"', async (t) => {
  const { recorder, kept, settle } = await start(t)
  recorder.record({ about: project, type: 'Normal', reason: 'Accepted', message: 'accepted' })
  await settle()
  const [[path, { involvedObject }]] = [...kept] as [[string, { involvedObject: object }]]
  assert.match(path, /^\/api\/v1\/namespaces\/default\/events\/harbour\./)
  assert.deepEqual(involvedObject, { apiVersion: project.apiVersion, kind: 'Project', name: 'harbour', uid: 'u-2' })
})

test('many similar occasions share one Event', async (t) => {
  const { recorder, kept, settle } = await start(t)
  for (let count = 1; count <= 15; count++) recorder.record(blocked(`${count} of 40 nodes are too small`))
  await settle()
  const events = [...kept.values()]
  assert.equal(events.length, 11)
  const combined = events.at(-1)
  assert.deepEqual([combined.count, combined.message], [5, '(combined from similar events): 15 of 40 nodes are too small'])
})

test('the rate is bounded for each object, and what waits is bounded', async (t) => {
  const { recorder, clock, settle, writes, lines } = await start(t)
  for (let count = 0; count < 2_000; count++) recorder.record(blocked('no node is large enough'))
  recorder.record({ about: project, type: 'Normal', reason: 'Accepted', message: 'dropped: too many wait' })
  await settle()
  assert.equal(writes(), 25)
  assert.deepEqual(
    lines.map((line) => JSON.parse(line).msg),
    ['events are dropped, too many wait to be written'],
  )
  recorder.record({ about: project, type: 'Normal', reason: 'Accepted', message: 'another object' })
  await settle()
  assert.equal(writes(), 26)
  await clock.advance(10 * 60_000)
  for (let count = 0; count < 10; count++) recorder.record(blocked('no node is large enough'))
  await settle()
  assert.equal(writes(), 28)
})

test('an API server that takes no Events stops nothing, and is logged once', async (t) => {
  const { recorder, lines, settle } = await start(t, async () => {
    throw new Error('namespace is terminating')
  })
  for (const message of ['one', 'two', 'three']) recorder.record(blocked(message))
  await settle()
  assert.equal(lines.length, 1)
})

test('waiting for the next occasion leaves nothing behind, however many there were', async (t) => {
  let signal: AbortSignal | undefined
  const { recorder } = await start(t, async (request: ClusterRequest) => {
    signal = request.signal
    return request.body as never
  })
  const listeners = () => (signal === undefined ? -1 : getEventListeners(signal, 'abort').length)
  const counts: number[] = []
  for (let round = 0; round < 20; round++) {
    recorder.record({ ...blocked(`reason ${round}`), about: { ...database, metadata: { ...database.metadata, uid: `u-${round}` } } })
    await new Promise((resolve) => setImmediate(resolve))
    counts.push(listeners())
  }
  assert.equal(counts.at(-1), counts[0], counts.join(' '))
})
