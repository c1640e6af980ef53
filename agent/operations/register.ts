import { Problem } from '../../shared/errors.ts'
import type { Cache } from '../../shared/kubernetes/cache.ts'
import { projectOfTarget, type Target } from '../resources/kind.ts'
import { hasEnded, type Operation, phaseOf, targetKey } from '../resources/operation.ts'
import { emptyLedger, type LedgerHead } from './ledger.ts'

/** The parts of a request that tell whether it repeats another. */
type Repeatable = { target: Target; requestedBy: string; formerly?: string | undefined; idempotencyKey?: string | undefined }

/** Indexes of the operations in the cache, for the journal. It follows the cache for its whole life. */
export class Register {
  readonly #bySequence = new Map<number, Operation>()
  readonly #byKey = new Map<string, Operation>()
  readonly #byFingerprint = new Map<string, Operation>()
  readonly #succeeded = new Map<string, Operation>()
  /** By target, the sequence of its newest entry, also if that is no longer kept. */
  readonly #newest = new Map<string, number>()
  readonly #unendedByTarget = new Map<string, Map<number, Operation>>()
  #head = emptyLedger
  #all: readonly Operation[] | undefined
  #membership = 0

  constructor(operations: Cache<Operation>) {
    operations.subscribe(({ type, object }) => {
      this.#all = undefined
      if (type !== 'changed') this.#membership++
      this.#forget(object)
      if (type === 'removed') this.#bySequence.delete(object.spec.sequence)
      else this.#learn(object)
    })
  }

  /** The newest entry up to which all are known, or known to be gone. */
  head(): LedgerHead {
    return this.#head
  }

  /** Every entry up to this one is known, or known to be gone. If it is gone itself, its number is still never given again. */
  raiseTo({ sequence, hash }: LedgerHead): void {
    if (sequence > this.#head.sequence) this.#head = { sequence, hash }
  }

  /** All that are kept, by sequence. */
  all(): readonly Operation[] {
    this.#all ??= [...this.#bySequence.values()].sort(bySequenceOrder)
    return this.#all
  }

  /** Goes up whenever an operation is added or removed: what follows from which ones are kept is current while this stays the same. */
  get membership(): number {
    return this.#membership
  }

  /** Those of a target that have not ended, by sequence. */
  unended(key: string): Operation[] {
    return [...(this.#unendedByTarget.get(key)?.values() ?? [])].sort(bySequenceOrder)
  }

  unendedTargets(): Target[] {
    return [...this.#unendedByTarget.values()].flatMap((operations) => [...operations.values()].slice(0, 1)).map(({ spec }) => spec.target)
  }

  /** The newest operation of a target that succeeded and recorded the version it saw. */
  lastSucceeded(key: string): Operation | undefined {
    return this.#succeeded.get(key)
  }

  /** The sequence of the newest entry of a target that this process knows of; 0 if there is none. */
  newestOf(key: string): number {
    return this.#newest.get(key) ?? 0
  }

  /**
   * The operation that a request repeats: the one with its idempotency key. Without a key, it is the newest open operation of the
   * target, if its request was the same.
   *
   * Version 0.1 wrote the identity without its source. Such an entry counts if its request was the same.
   * @throws Problem `idempotency-key-reused` when the key belongs to another request
   */
  repeatOf({ requestedBy, formerly, idempotencyKey, target }: Repeatable, fingerprint: string): Operation | undefined {
    const keyed = idempotencyKey === undefined ? undefined : this.#byKey.get(keyOfRequest(requestedBy, idempotencyKey))
    if (keyed && keyed.spec.fingerprint !== fingerprint) throw keyReused(keyed, target)
    if (!keyed && idempotencyKey !== undefined && formerly !== undefined) {
      const earlier = this.#byKey.get(keyOfRequest(formerly, idempotencyKey))
      if (earlier?.spec.fingerprint === fingerprint) return earlier
    }
    // With keys, the client itself determines which requests are the same.
    if (keyed || idempotencyKey !== undefined) return keyed
    const same = this.#byFingerprint.get(fingerprint)
    const newest = same && this.unended(targetKey(same.spec.target)).at(-1)
    return newest?.spec.fingerprint === fingerprint ? newest : undefined
  }

  #learn(operation: Operation): void {
    const { spec } = operation
    this.#bySequence.set(spec.sequence, operation)
    // The cache hears of entries in the order of the ledger.
    this.raiseTo(spec)
    if (spec.idempotencyKey !== undefined) this.#byKey.set(keyOfRequest(spec.requestedBy, spec.idempotencyKey), operation)
    const key = targetKey(spec.target)
    this.#newest.set(key, Math.max(spec.sequence, this.newestOf(key)))
    const saw = phaseOf(operation) === 'Succeeded' && operation.status?.observed !== undefined
    if (saw && spec.sequence >= (this.#succeeded.get(key)?.spec.sequence ?? 0)) this.#succeeded.set(key, operation)
    if (hasEnded(operation)) return
    this.#byFingerprint.set(spec.fingerprint, operation)
    const others = this.#unendedByTarget.get(key)
    if (others) others.set(spec.sequence, operation)
    else this.#unendedByTarget.set(key, new Map([[spec.sequence, operation]]))
  }

  #forget({ spec }: Operation): void {
    if (spec.idempotencyKey !== undefined) this.#byKey.delete(keyOfRequest(spec.requestedBy, spec.idempotencyKey))
    if (this.#byFingerprint.get(spec.fingerprint)?.spec.sequence === spec.sequence) this.#byFingerprint.delete(spec.fingerprint)
    const key = targetKey(spec.target)
    if (this.#succeeded.get(key)?.spec.sequence === spec.sequence) this.#succeeded.delete(key)
    const others = this.#unendedByTarget.get(key)
    others?.delete(spec.sequence)
    if (others?.size === 0) this.#unendedByTarget.delete(key)
  }
}

/** It names only an operation of the same project: the identity may meanwhile be bound to other projects. */
function keyReused({ metadata, spec }: Operation, target: Target): Problem {
  const by =
    projectOfTarget(spec.target) === projectOfTarget(target)
      ? `operation ${metadata.name}, whose request was different`
      : 'a different request'
  return new Problem('idempotency-key-reused', `The key was used for ${by}.`)
}

/** Each identity has its own keys. */
function keyOfRequest(requestedBy: string, idempotencyKey: string): string {
  return `${requestedBy}\n${idempotencyKey}`
}

function bySequenceOrder(a: Operation, b: Operation): number {
  return a.spec.sequence - b.spec.sequence
}
