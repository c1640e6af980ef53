import { Problem } from '../../shared/errors.ts'
import type { Cache } from '../../shared/kubernetes/cache.ts'
import type { Target } from '../resources/kind.ts'
import { hasEnded, type Operation, phaseOf, targetKey } from '../resources/operation.ts'
import { emptyLedger, type LedgerHead } from './ledger.ts'

/** Indexes of the operations in the cache, for the journal. */
export type Register = {
  head(): LedgerHead
  /** All that are kept, by sequence. */
  all(): Operation[]
  /** Those of a target that have not ended, by sequence. */
  unended(key: string): Operation[]
  unendedTargets(): Target[]
  /** The newest operation of a target that succeeded and recorded the version it saw. */
  lastSucceeded(key: string): Operation | undefined
  /**
   * The operation that a request repeats: the one with its idempotency key. Without a key, it is the newest open operation of the
   * target, if its request was the same.
   * @throws Problem `idempotency-key-reused` when the key belongs to another request
   */
  repeatOf(request: { requestedBy: string; idempotencyKey?: string | undefined }, fingerprint: string): Operation | undefined
}

/** Follows the cache of operations for its whole life. */
export function createRegister(operations: Cache<Operation>): Register {
  const bySequence = new Map<number, Operation>()
  const byKey = new Map<string, Operation>()
  const byFingerprint = new Map<string, Operation>()
  const succeeded = new Map<string, Operation>()
  const unendedByTarget = new Map<string, Map<number, Operation>>()
  let head = emptyLedger

  operations.subscribe(({ type, object }) => {
    forget(object)
    if (type !== 'removed') learn(object)
  })

  function learn(operation: Operation): void {
    const { spec } = operation
    bySequence.set(spec.sequence, operation)
    if (spec.sequence > head.sequence) head = { sequence: spec.sequence, hash: spec.hash }
    if (spec.idempotencyKey !== undefined) byKey.set(keyOfRequest(spec.requestedBy, spec.idempotencyKey), operation)
    const key = targetKey(spec.target)
    const saw = phaseOf(operation) === 'Succeeded' && operation.status?.observed !== undefined
    if (saw && spec.sequence >= (succeeded.get(key)?.spec.sequence ?? 0)) succeeded.set(key, operation)
    if (hasEnded(operation)) return
    byFingerprint.set(spec.fingerprint, operation)
    const others = unendedByTarget.get(key)
    if (others) others.set(spec.sequence, operation)
    else unendedByTarget.set(key, new Map([[spec.sequence, operation]]))
  }

  function forget({ spec }: Operation): void {
    bySequence.delete(spec.sequence)
    if (spec.idempotencyKey !== undefined) byKey.delete(keyOfRequest(spec.requestedBy, spec.idempotencyKey))
    if (byFingerprint.get(spec.fingerprint)?.spec.sequence === spec.sequence) byFingerprint.delete(spec.fingerprint)
    const key = targetKey(spec.target)
    if (succeeded.get(key)?.spec.sequence === spec.sequence) succeeded.delete(key)
    const others = unendedByTarget.get(key)
    others?.delete(spec.sequence)
    if (others?.size === 0) unendedByTarget.delete(key)
  }

  function unended(key: string): Operation[] {
    return [...(unendedByTarget.get(key)?.values() ?? [])].sort(bySequenceOrder)
  }

  return {
    head: () => head,
    all: () => [...bySequence.values()].sort(bySequenceOrder),
    unended,
    lastSucceeded: (key) => succeeded.get(key),
    unendedTargets: () =>
      [...unendedByTarget.values()].flatMap((operations) => [...operations.values()].slice(0, 1)).map(({ spec }) => spec.target),
    repeatOf({ requestedBy, idempotencyKey }, fingerprint) {
      const keyed = idempotencyKey === undefined ? undefined : byKey.get(keyOfRequest(requestedBy, idempotencyKey))
      if (keyed && keyed.spec.fingerprint !== fingerprint)
        throw new Problem('idempotency-key-reused', `The key was used for operation ${keyed.metadata.name}, whose request was different.`)
      // With keys, the client itself determines which requests are the same.
      if (keyed || idempotencyKey !== undefined) return keyed
      const same = byFingerprint.get(fingerprint)
      const newest = same && unended(targetKey(same.spec.target)).at(-1)
      return newest?.spec.fingerprint === fingerprint ? newest : undefined
    },
  }
}

/** Each identity has its own keys. */
function keyOfRequest(requestedBy: string, idempotencyKey: string): string {
  return `${requestedBy}\n${idempotencyKey}`
}

function bySequenceOrder(a: Operation, b: Operation): number {
  return a.spec.sequence - b.spec.sequence
}
