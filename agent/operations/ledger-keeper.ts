import { isProblem } from '../../shared/errors.ts'
import { applyObject } from '../../shared/kubernetes/apply.ts'
import type { Part } from '../../shared/lifecycle.ts'
import { limitConcurrency } from '../../shared/limit-concurrency.ts'
import type { Caches } from '../region/caches.ts'
import { fieldManager } from '../resources/labels.ts'
import {
  boundHoles,
  firstRecord,
  holesAfter,
  type LedgerRecord,
  type Link,
  ledgerConfigMap,
  ledgerConfigMapName,
  newHoles,
  readLedgerRecord,
} from './holes.ts'
import type { Journal } from './journal.ts'
import type { LeaderTools } from './queue.ts'

/** Keeps the record of what is missing in the ledger. */
export type LedgerKeeper = Part & {
  /** Notes that entries up to this one will be deleted because of their age. To be awaited before the first is deleted. */
  collect(upTo: number): Promise<void>
}

export type LedgerKeeperParts = LeaderTools & {
  journal: Pick<Journal, 'all' | 'head' | 'catchUp'>
  caches: Pick<Caches, 'operations' | 'ledger'>
}

/** Pause between two looks, in milliseconds; a deletion is looked at at once. */
const lookMs = 10_000
/** A new entry is noted within this time, in milliseconds: however many are accepted, that is one write a second. */
const noteMs = 1_000
/** Entries that are remembered after their deletion, for their hashes. */
const mostRemembered = 1_000

/**
 * The leader's part that notices holes: entries of the ledger that are gone although the collector has not deleted them. It records each hole
 * once, with the time, in a ConfigMap that outlives restarts. There it also notes the newest entry, so that its deletion is noticed while no
 * agent runs.
 */
export function createLedgerKeeper({ namespace }: { namespace: string }, parts: LedgerKeeperParts): LedgerKeeper {
  const { cluster, lease, clock, journal, caches, log: parentLog } = parts
  const log = parentLog.child({ controller: 'ledger' })
  const ending = new AbortController()
  const oneByOne = limitConcurrency(1)
  const gone = new Map<number, Link>()
  let running: Promise<void> | undefined
  let wake = new AbortController()
  let unsubscribe: (() => void)[] = []

  const links = (): Link[] => journal.all().map(({ spec }) => spec)
  const stored = () => caches.ledger.get(`${namespace}/${ledgerConfigMapName}`)
  const isUnreadable = () => stored() !== undefined && readLedgerRecord(stored()) === undefined
  const present = () => readLedgerRecord(stored()) ?? firstRecord(links(), journal.head())

  async function write(record: LedgerRecord): Promise<void> {
    if (!lease.isLeader()) return
    const object = ledgerConfigMap(namespace, record, stored()?.metadata.resourceVersion)
    const replaces = isUnreadable()
    caches.ledger.put(await applyObject(cluster, object, { fieldManager, force: true, signal: ending.signal }))
    if (replaces)
      log.error(
        { configMap: `${namespace}/${ledgerConfigMapName}` },
        'the unreadable record of the ledger was replaced, holes that it had are lost',
      )
  }

  async function look(): Promise<void> {
    if (!lease.isLeader() || !caches.operations.synced || !caches.ledger.synced) return
    // A watch may lag. Up to the head, what is missing here is gone.
    await journal.catchUp()
    const record = present()
    const head = journal.head()
    const found = newHoles(links(), { ...record, head }, gone)
    const isNoted = stored() !== undefined && !isUnreadable() && record.head.sequence === head.sequence
    if (found.length === 0 && isNoted) return
    const noticedAt = new Date(clock.now()).toISOString()
    const holes = [...record.holes, ...found.map((hole) => ({ ...hole, noticedAt }))].sort((a, b) => a.from - b.from)
    await write({ ...record, head, holes: boundHoles(holes) })
    for (const { from, to, previousHash, hash } of found)
      log.error({ from, to, previousHash, hash }, 'entries of the ledger were deleted outside the agent')
  }

  async function run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      wake = new AbortController()
      const seen = journal.head().sequence
      await oneByOne(look).catch((error: unknown) => {
        if (!signal.aborted && !isProblem(error, 'conflict')) log.warn({ err: error }, 'the record of the ledger could not be written')
      })
      const next = AbortSignal.any([signal, wake.signal])
      for (let waited = 0; waited < lookMs && !next.aborted; waited += noteMs) {
        await clock.sleep(noteMs, next).catch(() => {})
        if (journal.head().sequence !== seen) break
      }
    }
  }

  return {
    name: 'ledger keeper',
    collect: (upTo) =>
      oneByOne(async () => {
        const record = present()
        await write({ ...record, collectedUpTo: Math.max(record.collectedUpTo, upTo), holes: holesAfter(upTo, record.holes) })
      }),
    async start() {
      unsubscribe = [
        lease.onChange((leads) => leads && wake.abort()),
        caches.operations.subscribe(({ type, object }) => {
          if (type !== 'removed') return
          const { sequence, hash, previousHash } = object.spec
          gone.set(sequence, { sequence, hash, previousHash })
          for (const old of gone.keys()) if (gone.size > mostRemembered) gone.delete(old)
          wake.abort()
        }),
      ]
      running = run(ending.signal)
    },
    async stop() {
      for (const end of unsubscribe) end()
      // The newest entry, which somebody may delete before the next agent starts.
      await oneByOne(look).catch(() => {})
      ending.abort()
      await running
    },
  }
}
