import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, type TestContext, test } from 'node:test'
import {
  boundHoles,
  countHoles,
  firstRecord,
  type Hole,
  holesAfter,
  type Link,
  ledgerConfigMap,
  ledgerConfigMapName,
  newHoles,
  readLedgerRecord,
} from '../../../agent/operations/holes.ts'
import { createJournal } from '../../../agent/operations/journal.ts'
import { chainEntry, emptyLedger } from '../../../agent/operations/ledger.ts'
import { createLedgerKeeper } from '../../../agent/operations/ledger-keeper.ts'
import { createCaches } from '../../../agent/region/caches.ts'
import { type Operation, operationName } from '../../../agent/resources/operation.ts'
import { systemClock } from '../../../shared/clock.ts'
import { applyObject } from '../../../shared/kubernetes/apply.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { createLog } from '../../../shared/log.ts'
import { startCluster, type TestCluster, until } from '../../cluster/index.ts'
import { createClient } from '../../region/client.ts'
import { definitions, regionDefinitions } from '../../region/definitions.ts'
import { prepareRegion } from '../../region/index.ts'
import { connectTo, install, installObject } from '../../shared/kubernetes/connected.ts'
import { fc } from '../../shared/property.ts'
import { leaseInHand } from '../controllers/region.ts'

const hashOf = (sequence: number) => (sequence === 0 ? emptyLedger.hash : `hash-${sequence}`)
const link = (sequence: number): Link => ({ sequence, hash: hashOf(sequence), previousHash: hashOf(sequence - 1) })
const headAt = (sequence: number) => ({ sequence, hash: hashOf(sequence) })
const hole = (from: number, to: number, known: Partial<Hole> = {}): Hole => ({
  ...{ from, to, previousHash: hashOf(from - 1), hash: hashOf(to), noticedAt: null },
  ...known,
})

const missingIn = (holes: Hole[], kept: number[]) => countHoles(holes, kept.map(link)).reduce((sum, { missing }) => sum + missing, 0)

const cases: { name: string; kept: number[]; head: number; collectedUpTo?: number; holes?: Hole[]; expect: Hole[] }[] = [
  { name: 'a whole ledger has none', kept: [1, 2, 3], head: 3, expect: [] },
  { name: 'collected entries are none', kept: [3, 4], head: 4, collectedUpTo: 2, expect: [] },
  { name: 'collected entries that are still there are none', kept: [2, 3], head: 3, collectedUpTo: 2, expect: [] },
  { name: 'an entry between two others', kept: [1, 3], head: 3, expect: [hole(2, 2)] },
  { name: 'several', kept: [1, 4, 6], head: 6, expect: [hole(2, 3), hole(5, 5)] },
  {
    name: 'the oldest, which the collector has not passed',
    kept: [4],
    head: 4,
    collectedUpTo: 2,
    expect: [hole(3, 3, { previousHash: null })],
  },
  { name: 'the newest', kept: [1, 2], head: 4, expect: [hole(3, 4)] },
  { name: 'all of them', kept: [], head: 4, expect: [hole(1, 4)] },
  { name: 'one that is recorded is not found again', kept: [1, 3], head: 4, holes: [hole(2, 2)], expect: [hole(4, 4)] },
  { name: 'a neighbour of a recorded one', kept: [1, 4], head: 4, holes: [hole(2, 2)], expect: [hole(3, 3, { previousHash: null })] },
]
for (const { name, kept, head, collectedUpTo = 0, holes = [], expect } of cases)
  test(`holes of the ledger: ${name}`, () =>
    assert.deepEqual(newHoles(kept.map(link), { collectedUpTo, head: headAt(head), holes }), expect))

test('a ledger without a record takes what is missing before its oldest entry for collected', () => {
  assert.deepEqual(firstRecord([link(7), link(8)], headAt(8)), { collectedUpTo: 6, head: headAt(8), holes: [] })
  assert.deepEqual(firstRecord([], emptyLedger), { collectedUpTo: 0, head: emptyLedger, holes: [] })
})

test('whatever is deleted, each entry is kept, collected or in exactly one hole', () => {
  const ledgers = fc.record({ head: fc.nat(30), collectedUpTo: fc.nat(30), deleted: fc.array(fc.integer({ min: 1, max: 30 })) })
  fc.assert(
    fc.property(ledgers, ({ head, collectedUpTo, deleted }) => {
      const upTo = Math.min(collectedUpTo, head)
      const all = Array.from({ length: head }, (_, index) => index + 1)
      const kept = all.filter((sequence) => sequence > upTo && !deleted.includes(sequence))
      const found = newHoles(kept.map(link), { collectedUpTo: upTo, head: headAt(head), holes: [] })
      assert.equal(missingIn(found, kept), head - upTo - kept.length)
      for (const { from, to } of found) for (let at = from; at <= to; at++) assert.ok(at > upTo && !kept.includes(at) && at <= head)
      assert.deepEqual(newHoles(kept.map(link), { collectedUpTo: upTo, head: headAt(head), holes: found }), [])
    }),
  )
})

test('of very many holes the oldest are merged, and only what is missing counts, also when the collector has come that far', () => {
  const head = headAt(2 * 130)
  const kept = Array.from({ length: 130 }, (_, index) => 2 * index + 2)
  const noticed = (at: number) => `2026-01-01T00:00:${String(at % 60).padStart(2, '0')}.000Z`
  const found = newHoles(kept.map(link), { collectedUpTo: 0, head, holes: [] }).map((each, at) => ({ ...each, noticedAt: noticed(at) }))
  assert.equal(found.length, 130)
  const bounded = boundHoles(found)
  assert.equal(bounded.length, 100)
  assert.deepEqual(countHoles(bounded, kept.map(link)).slice(0, 2), [
    { from: 1, to: 61, previousHash: hashOf(0), hash: hashOf(61), noticedAt: noticed(30), missing: 31 },
    { ...(found[31] as Hole), missing: 1 },
  ])
  assert.equal(missingIn(bounded, kept), 130)
  assert.deepEqual(newHoles(kept.map(link), { collectedUpTo: 0, head, holes: bounded }), [])

  const [first, ...others] = holesAfter(40, bounded)
  assert.deepEqual([first?.from, first?.to, first?.previousHash, others.length], [41, 61, null, 99])
  assert.equal(
    missingIn(
      holesAfter(40, bounded),
      kept.filter((sequence) => sequence > 40),
    ),
    110,
  )
  assert.equal(holesAfter(61, bounded).length, 99)
})

test('an operation that somebody deletes leaves a hole that is told, also after a restart, and no number is given twice', async (t) => {
  const cluster = await startCluster()
  t.after(() => cluster.stop())
  const region = await prepareRegion(cluster)
  t.after(() => region.close())
  const logged: string[] = []
  const start = () => region.startAgent({ onLog: (line) => void logged.push(line) })
  let agent = await start()
  const client = createClient({ url: () => agent.url, ca: region.ca, token: region.token })
  t.after(() => client.close())
  const put = async (project: string) =>
    (await client.call('PUT', `/v1/projects/${project}`, { body: {}, headers: { prefer: 'wait=30' } })).body
  const remove = (name: string) => region.admin.request({ method: 'DELETE', path: pathOf(kinds.Operation, 'skerry', name) })
  const ledger = async () => {
    const { body, status } = await client.call('GET', '/v1/operations?since=0')
    // Until the leader has noticed that the oldest are missing, they count as collected.
    return status === 410 ? undefined : { ...body.ledger, ids: body.items.map(({ id }: { id: string }) => id) }
  }
  const [first, second, third, fourth] = [await put('amrum'), await put('baltrum'), await put('fanoe'), await put('juist')]

  await remove(second.id)
  const told = await until('the hole is recorded', async () => {
    const now = await ledger()
    return now?.holes[0]?.noticedAt && now
  })
  assert.deepEqual(told.ids, [first.id, third.id, fourth.id])
  const [{ noticedAt, ...found }] = told.holes
  assert.deepEqual(found, { from: 2, to: 2, missing: 1, previousHash: first.hash, hash: second.hash })
  assert.ok(Math.abs(Date.parse(noticedAt) - Date.now()) < 60_000)
  const gone = await client.call('GET', `/v1/operations/${second.id}`)
  assert.deepEqual([gone.status, gone.body.hole], [410, told.holes[0]])
  const { status } = await client.call('GET', '/v1/operations/op-0000000099')
  assert.equal(status, 404)
  assert.match(await (await fetch(`${agent.adminUrl}/metrics`)).text(), /^skerry_agent_ledger_missing_entries 1$/m)
  const line = await until('the hole is logged', async () =>
    logged.map((text) => JSON.parse(text)).find(({ msg }) => msg === 'entries of the ledger were deleted outside the agent'),
  )
  assert.deepEqual([line.level, line.from, line.to, line.hash], ['error', 2, 2, second.hash])

  // The newest is deleted while no agent runs.
  await agent.stop()
  await remove(fourth.id)
  agent = await start()
  const after = await until('the second hole is recorded', async () => {
    const now = await ledger()
    return now?.holes[1]?.noticedAt && now
  })
  assert.deepEqual(after.holes[0], told.holes[0], 'with the time at which it was noticed first')
  assert.deepEqual([after.holes[1].from, after.holes[1].previousHash, after.holes[1].hash], [4, third.hash, fourth.hash])
  const fifth = await put('sylt')
  assert.deepEqual([fifth.id, fifth.previousHash], ['op-0000000005', fourth.hash])

  await region.admin.request({ method: 'DELETE', path: pathOf(kinds.Operation, 'skerry') })
  const empty = await until('all are missing', async () => {
    const now = await ledger()
    return now?.holes.length > 2 && now.ids.length === 0 && now
  })
  assert.deepEqual([empty.oldest, empty.newest, empty.hash], [null, 5, fifth.hash])
})

test('the newest entry is noted at once: an agent that is killed writes nothing more', async (t) => {
  const cluster = await startCluster()
  t.after(() => cluster.stop())
  const region = await prepareRegion(cluster)
  t.after(() => region.close())
  const agent = await region.startAgent()
  const client = createClient({ url: () => agent.url, ca: region.ca, token: region.token })
  t.after(() => client.close())
  const noted = async () => {
    const path = pathOf(kinds.ConfigMap, 'skerry', ledgerConfigMapName)
    const record = await region.admin.request({ method: 'GET', path }).catch(() => undefined)
    return JSON.parse(record?.data.record ?? '{}').head?.sequence
  }
  await until('it leads', async () => (await client.call('GET', '/v1/region')).body.leader.state === 'leads')
  for (const sequence of [1, 2, 3]) {
    const { body } = await client.call('PUT', `/v1/projects/amrum-${sequence}`, { body: {} })
    assert.equal(body.sequence, sequence)
    await until(`entry ${sequence} is noted`, async () => (await noted()) === sequence, 5_000)
  }
})

let shared: TestCluster
let admin: Cluster
let namespaces = 0
before(async () => {
  shared = await startCluster({ crds: regionDefinitions() })
  admin = connectTo(shared)
  await install(admin, definitions.skerry)
})
after(async () => {
  admin?.close()
  await shared?.stop()
})

/** A ledger of so many entries without the agent, its record, and a keeper that leads over it. */
async function kept(t: TestContext, { length, hears }: { length: number; hears: boolean }) {
  const namespace = `ledger-${namespaces++}`
  const lines: string[] = []
  const log = createLog({ level: 'error', name: 'test', destination: { write: (line) => lines.push(line) } })
  const tools = { clock: systemClock, log }
  await installObject(admin, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
  let head = emptyLedger
  const path = pathOf(kinds.Operation, namespace)
  const append = async () => {
    const target = { kind: 'project' as const, project: 'harbour' }
    const given = { acceptedAt: '2026-01-01T00:00:00Z', requestedBy: 'test', requestId: 'r', fingerprint: 'f', action: 'put', target }
    head = chainEntry(head, { ...given, timeoutSeconds: 60 })
    const metadata = { name: operationName(head.sequence), namespace }
    await admin.request({ method: 'POST', path, body: { apiVersion: 'skerry.dev/v1', kind: 'Operation', metadata, spec: head } })
  }
  const remove = (sequence: number) => admin.request({ method: 'DELETE', path: `${path}/${operationName(sequence)}` })
  const note = (data?: { record: string }) => {
    const object = ledgerConfigMap(namespace, { collectedUpTo: 0, head, holes: [] }, undefined)
    return applyObject(admin, { ...object, ...(data && { data }) }, { fieldManager: 'test', force: true })
  }
  const reading = { now: 0, most: 0, all: 0 }
  const cluster: Cluster = {
    ...admin,
    async request(request) {
      if (request.method !== 'GET' || !request.path.startsWith(`${path}/`)) return admin.request(request)
      reading.all++
      reading.most = Math.max(reading.most, ++reading.now)
      return admin.request(request).finally(() => reading.now--)
    },
    async *watch(path, query, signal) {
      if (hears || !path.endsWith('/operations')) yield* admin.watch(path, query, signal)
      else await once(signal, 'abort')
    },
  }
  const lease = leaseInHand()
  const start = async () => {
    const caches = createCaches({ namespace }, { ...tools, cluster })
    const followed = [caches.operations, caches.ledger]
    const journal = createJournal({ namespace }, { ...tools, ...caches, cluster })
    const keeper = createLedgerKeeper({ namespace }, { ...tools, cluster, caches, journal, lease })
    for (const part of [...followed, journal, keeper]) await part.start(AbortSignal.timeout(10_000))
    t.after(async () => {
      await keeper.stop(0)
      for (const cache of followed) await cache.stop(0)
    })
    return { caches, journal }
  }
  for (let index = 0; index < length; index++) await append()
  const record = async () =>
    readLedgerRecord(await admin.request({ method: 'GET', path: pathOf(kinds.ConfigMap, namespace, ledgerConfigMapName) }))
  return { append, remove, note, start, lines, record, reading, head: () => head, look: () => lease.set(true) }
}

test('a leader whose watch lags records as holes only what is gone, and reads few entries at the same time', async (t) => {
  const { append, remove, note, start, record, reading, head, look } = await kept(t, { length: 2, hears: false })
  const { caches } = await start()
  for (let index = 0; index < 60; index++) await append()
  for (const sequence of [3, 30, 62]) await remove(sequence)
  await note()
  await until('the record is known', async () => readLedgerRecord([...caches.ledger.values()][0])?.head.sequence === 62)
  look()
  const { holes } = await until('the holes are recorded', async () => {
    const now = await record()
    return now && now.holes.length > 0 && now
  })
  assert.deepEqual(
    holes.map(({ from, to }) => [from, to]),
    [3, 30, 62].map((sequence) => [sequence, sequence]),
  )
  assert.equal(holes.at(-1)?.hash, head().hash)
  assert.equal(caches.operations.size, 59)
  assert.ok(reading.most <= 8, `${reading.most} at the same time`)
})

test('a leader that starts finds many holes without asking for each', async (t) => {
  const { remove, note, start, record, reading } = await kept(t, { length: 60, hears: true })
  await note()
  for (let sequence = 2; sequence <= 60; sequence += 2) await remove(sequence)
  const { journal } = await start()
  assert.equal(journal.head().sequence, 60)
  const { holes } = await until('the holes are recorded', async () => {
    const now = await record()
    return now && now.holes.length > 0 && now
  })
  assert.equal(holes.length, 30)
  assert.equal(reading.all, 0)
})

test('a record that somebody made unreadable is replaced, and that is logged once', async (t) => {
  const { append, note, start, record, lines } = await kept(t, { length: 2, hears: true })
  await note({ record: '{"head":' })
  await start()
  const replaced = await until('the record is readable', record)
  assert.equal(replaced.head.sequence, 2)
  await append()
  await until('the next entry is noted', async () => (await record())?.head.sequence === 3)
  assert.deepEqual(
    lines.map((line) => JSON.parse(line).msg),
    ['the unreadable record of the ledger was replaced, holes that it had are lost'],
  )
})

test('holes are found again only when entries come or go', async (t) => {
  const { append, remove, start } = await kept(t, { length: 5, hears: true })
  const { journal, caches } = await start()
  await remove(3)
  await until('the hole is noticed', async () => journal.holes()[0]?.noticedAt)
  const [told, all] = [journal.holes(), journal.all()]
  assert.equal(journal.holes(), told)
  assert.equal(journal.all(), all)
  const [operation] = all as [Operation]
  const { resourceVersion, ...metadata } = operation.metadata
  caches.operations.put({ ...operation, metadata: { ...metadata, resourceVersion: `${resourceVersion}0` }, status: { phase: 'Waiting' } })
  assert.equal(journal.holes(), told)
  assert.deepEqual(
    journal.all().map(({ spec, status }) => [spec.sequence, status?.phase]),
    [[1, 'Waiting'], ...[2, 4, 5].map((sequence) => [sequence, 'Accepted'])],
  )
  await append()
  await until('the new entry is known', async () => journal.head().sequence === 6)
  assert.deepEqual([journal.all().at(-1)?.spec.sequence, journal.holes().length], [6, 1])
})
