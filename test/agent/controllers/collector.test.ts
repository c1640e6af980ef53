import assert from 'node:assert/strict'
import { test } from 'node:test'
import { collectable, createCollector } from '../../../agent/controllers/collector.ts'
import { chainEntry, emptyLedger } from '../../../agent/operations/ledger.ts'
import { pieceName } from '../../../agent/operations/request-secret.ts'
import { type Operation, operationName, type Phase } from '../../../agent/resources/operation.ts'
import { systemClock } from '../../../shared/clock.ts'
import { kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'
import { faultOfChain } from '../operations/chain.ts'
import { leaseInHand, log, startControlledRegion } from './region.ts'

const hour = 3_600_000
const now = Date.UTC(2026, 0, 31)

/** The name of the Secret of a request. */
const secretOf = (index: number) => `operation-00000000-0000-4000-8000-${String(index).padStart(12, '0')}`

/** A ledger of which each entry has the phase given and ended so many hours before `now`. */
function ledger(...entries: [phase: Phase, hoursAgo?: number][]): Operation[] {
  let head = emptyLedger
  return entries.map(([phase, hoursAgo], index) => {
    const spec = chainEntry(head, {
      acceptedAt: new Date(now - 100 * hour).toISOString(),
      requestedBy: 'cloud',
      requestId: `request-${index}`,
      fingerprint: `fingerprint-${index}`,
      action: 'put',
      target: { kind: 'project', project: 'harbour' },
      wanted: {},
      secretName: secretOf(index),
      timeoutSeconds: 60,
    })
    head = spec
    const endedAt = hoursAgo === undefined ? {} : { endedAt: new Date(now - hoursAgo * hour).toISOString() }
    const metadata = { name: operationName(spec.sequence), namespace: 'skerry' }
    return { apiVersion: 'skerry.dev/v1', kind: 'Operation', metadata, spec, status: { phase, ...endedAt } }
  })
}

const cases: { name: string; entries: [Phase, number?][]; keep?: { keepMs?: number; keepCount?: number }; gone: number }[] = [
  {
    name: 'takes those that ended long ago',
    entries: [
      ['Succeeded', 50],
      ['Failed', 40],
      ['Succeeded', 2],
      ['Succeeded', 1],
    ],
    gone: 2,
  },
  { name: 'stops at one that has not ended', entries: [['Succeeded', 50], ['Waiting'], ['Cancelled', 40], ['Succeeded', 1]], gone: 1 },
  {
    name: 'stops at one that is to be kept, though a later one is old',
    entries: [
      ['Succeeded', 2],
      ['Superseded', 50],
      ['Succeeded', 1],
    ],
    gone: 0,
  },
  {
    name: 'never takes the newest, which is the head of the ledger',
    entries: [
      ['Succeeded', 50],
      ['Succeeded', 40],
    ],
    gone: 1,
  },
  { name: 'keeps a ledger of one', entries: [['Succeeded', 50]], gone: 0 },
  {
    name: 'takes the oldest beyond the count, however young',
    entries: [
      ['Succeeded', 3],
      ['Succeeded', 2],
      ['Failed', 1],
      ['Succeeded', 0],
    ],
    keep: { keepCount: 2 },
    gone: 2,
  },
  {
    name: 'does not count its way past one that has not ended',
    entries: [['Applying'], ['Succeeded', 2], ['Succeeded', 1]],
    keep: { keepCount: 1 },
    gone: 0,
  },
  { name: 'has nothing to do with an empty ledger', entries: [], gone: 0 },
]
for (const { name, entries, keep, gone } of cases) {
  test(`collecting ${name}`, () => {
    const operations = ledger(...entries)
    const collected = collectable(operations, { keepMs: 24 * hour, keepCount: 100, ...keep }, now)
    assert.deepEqual(collected, operations.slice(0, gone))
  })
}

const region = await startControlledRegion()
const operationsPath = pathOf(kinds.Operation, region.namespace)
const secretsPath = pathOf(kinds.Secret, region.namespace)

async function names(path: string, labelSelector?: string): Promise<string[]> {
  const { items } = await region.admin.request({ method: 'GET', path, query: { labelSelector } })
  return items.map(({ metadata }: Operation) => metadata.name).sort()
}

async function write(operations: Operation[]): Promise<void> {
  for (const { status, ...body } of operations) {
    await region.admin.request({ method: 'POST', path: operationsPath, body })
    const path = `${operationsPath}/${body.metadata.name}/status`
    await region.admin.request({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body: { status } })
  }
}

async function keepSecret(name: string): Promise<void> {
  const metadata = { name, labels: { 'skerry.dev/operation-secret': 'true' } }
  await region.admin.request({
    method: 'POST',
    path: secretsPath,
    body: { apiVersion: 'v1', kind: 'Secret', metadata, stringData: { a: 'b' } },
  })
}

test('the collector leaves a chain without gaps, and of the Secrets those that an operation still needs', async (t) => {
  const operations = ledger(['Succeeded', 50], ['Failed', 40], ['Waiting'], ['Succeeded', 30], ['Accepted'])
  await write(operations)
  // Of an ended operation, of one that waits, and of a request that was never accepted, each with a piece of its file.
  for (const index of [1, 2, 9]) for (const name of [secretOf(index), pieceName(secretOf(index), 0)]) await keepSecret(name)
  await region.admin.request({ method: 'POST', path: secretsPath, body: { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'other' } } })

  let at = now
  const clock = { ...systemClock, now: () => at }
  const lease = leaseInHand(false)
  const config = { namespace: region.namespace, keepMs: 24 * hour, keepCount: 100, intervalMs: 20 }
  let looks = 0
  const all = () => {
    looks++
    return operations
  }
  const noted: number[] = []
  const keeper = { collect: async (upTo: number) => void noted.push(upTo) }
  const collector = createCollector(config, { cluster: region.cluster, journal: { all }, keeper, lease, clock, log })
  await collector.start(new AbortController().signal)
  t.after(() => collector.stop(0))

  await new Promise((resolve) => setTimeout(resolve, 60))
  assert.equal(looks, 0, 'it acts only while the Lease is held')
  lease.set(true)
  const kept = operations.slice(2).map(({ metadata }) => metadata.name)
  await until('the old operations are gone', async () => (await names(operationsPath)).length === kept.length)
  assert.deepEqual(await names(operationsPath), kept)
  assert.equal(faultOfChain(operations.slice(2)), undefined)
  assert.deepEqual([...new Set(noted)], [2], 'what it deletes is noted, so that it is no hole')

  const ofOperations = () => names(secretsPath, 'skerry.dev/operation-secret')
  assert.equal((await ofOperations()).length, 6, 'a Secret may belong to a request that is being accepted')
  at = Date.now() + 11 * 60_000
  await until('the orphans are gone', async () => (await ofOperations()).length === 2)
  assert.deepEqual(await ofOperations(), [secretOf(2), pieceName(secretOf(2), 0)])
  assert.equal((await names(secretsPath)).includes('other'), true)
})
