import { Problem } from '../../shared/errors.ts'
import type { Cache } from '../../shared/kubernetes/cache.ts'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Target } from '../resources/kind.ts'
import { type Operation, sequenceOf, targetKey } from '../resources/operation.ts'
import { Acceptance, type Accepted, type AcceptRequest, Writers } from './acceptance.ts'
import { CatchUp } from './catch-up.ts'
import { Entries, type EntriesParts } from './entries.ts'
import { fingerprintKey, fingerprintOf } from './fingerprint.ts'
import { type CountedHole, countHoles, firstRecord, newHoles } from './holes.ts'
import type { LedgerHead } from './ledger.ts'
import { Register } from './register.ts'

export type { AcceptRequest, Proposal } from './acceptance.ts'

/** The durable, ordered record of accepted requests. Ready once it has its key and the cache has every operation. */
export type Journal = Part & {
  /**
   * Writes one operation. When this resolves, the operation is in etcd.
   * @throws Problem those of `decide`; `rejected-by-cluster` and others from the dry run; `idempotency-key-reused`; `busy`;
   *   `cluster-unreachable` when it is unknown whether the operation was written
   */
  accept(request: AcceptRequest): Promise<Accepted>
  /** Requests the cancellation of an operation. @throws Problem `not-found`, `ended`, `conflict` */
  cancel(name: string, by: string): Promise<Operation>
  /** The operation once it has ended, or as it is when `ms` milliseconds have passed or the signal aborts. @throws Problem `not-found` */
  whenEnded(name: string, ms: number, signal: AbortSignal): Promise<Operation>
  /** A kept operation, even if another replica has just accepted it and the watch has not delivered it yet. */
  find(name: string): Promise<Operation | undefined>
  /** All that are kept, by sequence. */
  all(): readonly Operation[]
  /** The open operations of a target, by sequence. */
  unended(target: Target): Operation[]
  /** The newest operation of a target that succeeded and recorded the version it saw, as long as it is kept. */
  lastSucceeded(target: Target): Operation | undefined
  /** The sequence of the newest entry that has changed a target, or may have: any entry that is no longer kept may be one of this target. */
  lastChangeOf(target: Target): number
  /** The targets that have open operations. */
  unendedTargets(): Target[]
  /** The newest entry of the ledger, even if somebody has deleted it. All earlier ones are known here, or known to be gone. */
  head(): LedgerHead
  /** Until `head` has reached the newest entry that the record of the ledger has. @throws Problem as `Cluster.request` does */
  catchUp(): Promise<void>
  /** Entries that somebody else than the collector deleted, by sequence. */
  holes(): readonly CountedHole[]
}

/**
 * A journal whose entries are `Operation` objects named by their place in the ledger.
 *
 * Accepting is a compare-and-swap on the ledger's head: the entry is created under the next name. When two replicas try the same name,
 * the API server lets one through; the other reads that entry, decides again and takes the next place. A refusal is final only after the
 * next place and the open operations of the target were read from the API server, for a watch may lag. If the record of the ledger has a
 * later entry than the watch, those between are read first. So every decision was made with all earlier entries known, and numbers have no
 * gaps.
 */
export function createJournal({ namespace }: { namespace: string }, parts: EntriesParts & { ledger: Cache<KubernetesObject> }): Journal {
  const { cluster, operations, clock } = parts
  const register = new Register(operations)
  const entries = new Entries(namespace, parts)
  const catchUp = new CatchUp({ ledger: parts.ledger, operations, entries, register })
  const writers = new Writers()
  let key: Buffer | undefined

  function head(): LedgerHead {
    catchUp.isNeeded() // raises the head if no request is needed for that
    return register.head()
  }

  function findHoles(): CountedHole[] {
    const links = register.all().map(({ spec }) => spec)
    const known = catchUp.record ?? firstRecord(links, head())
    // Until the leader has noticed them. Before the oldest entry the collector may be at work, and after the newest the watch may lag.
    const [oldest = Number.POSITIVE_INFINITY, newest = 0] = [links[0]?.sequence, links.at(-1)?.sequence]
    const fresh = newHoles(links, { ...known, head: head() }).filter(({ from, to }) => from > oldest && to < newest)
    return countHoles(
      [...known.holes, ...fresh].sort((a, b) => a.from - b.from),
      links,
    )
  }

  const holes = whileSame(findHoles, () => [register.membership, catchUp.record, head()])

  /** The newest entry that is not kept, whoever deleted it; 0 while all are kept. */
  function newestGone(): number {
    const kept = register.all()
    const [oldest = 1, newest = 0] = [kept[0]?.spec.sequence, kept.at(-1)?.spec.sequence]
    const { sequence } = head()
    return newest < sequence ? sequence : Math.max(oldest - 1, holes().at(-1)?.to ?? 0)
  }

  return {
    name: 'journal',
    async start() {
      key = await fingerprintKey(cluster, namespace)
    },
    async stop() {},
    async accept(request) {
      if (!key) throw new Problem('not-ready', 'The journal has not read its key yet.')
      const fingerprint = fingerprintOf(request.canonical, key)
      return new Acceptance(request, fingerprint, namespace, { cluster, entries, register, catchUp, writers, clock }).run()
    },
    cancel: (name, by) => entries.cancel(name, by),
    whenEnded: (name, ms, signal) => entries.whenEnded(name, ms, signal),
    async find(name) {
      const known = entries.known(name)
      if (known || sequenceOf(name) <= register.head().sequence) return known
      const standing = await entries.standing(name)
      if (standing) await catchUp.upTo(standing.spec)
      return entries.known(name) ?? standing
    },
    all: () => register.all(),
    unended: (target) => register.unended(targetKey(target)),
    lastSucceeded: (target) => register.lastSucceeded(targetKey(target)),
    lastChangeOf: (target) => Math.max(register.newestOf(targetKey(target)), newestGone()),
    unendedTargets: () => register.unendedTargets(),
    head,
    catchUp: () => catchUp.run(),
    holes,
  }
}

/** A function whose result is kept for as long as what it depends on is the same. */
function whileSame<T>(compute: () => T, dependencies: () => unknown[]): () => T {
  let last: { of: unknown[]; result: T } | undefined
  return () => {
    const now = dependencies()
    if (last?.of.every((one, index) => one === now[index])) return last.result
    const result = compute()
    last = { of: now, result }
    return result
  }
}
