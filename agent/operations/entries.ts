import { backoff, type Clock } from '../../shared/clock.ts'
import { isProblem, Problem } from '../../shared/errors.ts'
import type { Cache } from '../../shared/kubernetes/cache.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { keyOf, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { readObject } from '../../shared/kubernetes/read.ts'
import { limitConcurrency } from '../../shared/limit-concurrency.ts'
import { projectOfTarget } from '../resources/kind.ts'
import { label, managedBy } from '../resources/labels.ts'
import { hasEnded, type Operation, type OperationSpec, operationName } from '../resources/operation.ts'
import { chainEntry, type LedgerHead } from './ledger.ts'

/** How long an entry is retried under its name while the outcome of the first write is unknown, in milliseconds. */
const unknownOutcomeMs = 15_000
const pauses = { baseMs: 100, capMs: 2_000 }

/** How many entries are read at the same time. */
const parallelReads = 8

/** How often a cancellation is retried after a conflict with the executor's own write. */
const cancelAttempts = 10

export type EntriesParts = { cluster: Cluster; operations: Cache<Operation>; clock: Clock }

/** The entries of the ledger: one `Operation` object each, written to the API server and read back through the cache. */
export class Entries {
  readonly #namespace: string
  readonly #parts: EntriesParts

  constructor(namespace: string, parts: EntriesParts) {
    this.#namespace = namespace
    this.#parts = parts
  }

  /** The entry as the cache has it. */
  known(name: string): Operation | undefined {
    return this.#parts.operations.get(keyOf({ namespace: this.#namespace, name }))
  }

  /** An entry as the API server has it. */
  standing(name: string): Promise<Operation | undefined> {
    return readObject<Operation>(this.#parts.cluster, pathOf(kinds.Operation, this.#namespace, name))
  }

  /**
   * Reads an entry from the API server into the cache. It is one that the cache knows or the next one: whoever follows the cache hears of the
   * entries in the order of the ledger.
   */
  async read(name: string): Promise<Operation | undefined> {
    const standing = await this.standing(name)
    if (standing) this.#parts.operations.put(standing)
    return standing
  }

  /** Reads entries from the API server into the cache, in this order. */
  async readAll(names: string[]): Promise<void> {
    const limit = limitConcurrency(parallelReads)
    const found = await Promise.all(names.map((name) => limit(() => this.standing(name))))
    for (const standing of found) if (standing) this.#parts.operations.put(standing)
  }

  /** Whether one of these operations has ended since the cache read it. An end does not change the ledger's head. */
  async haveEnded(open: Operation[]): Promise<boolean> {
    const now = await Promise.all(open.map(({ metadata }) => this.read(metadata.name)))
    return now.some((operation) => operation !== undefined && hasEnded(operation))
  }

  /**
   * Creates the entry after `head`. Returns undefined if another entry has taken that place.
   * @throws Problem `cluster-unreachable` when the outcome stays unknown
   */
  async append(head: LedgerHead, entry: Omit<OperationSpec, 'sequence' | 'previousHash' | 'hash'>): Promise<Operation | undefined> {
    const operation = operationOf(chainEntry(head, entry), this.#namespace)
    const until = this.#parts.clock.monotonic() + unknownOutcomeMs
    let isUnknown = false
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#create(operation)
      } catch (error) {
        // Without an answer the entry may exist. The same name is retried until the outcome is known. Refusals by a starting server do not
        // count as an outcome.
        isUnknown ||= isProblem(error, 'cluster-unreachable', 'cluster-error')
        if (!isUnknown) throw error
        if (this.#parts.clock.monotonic() >= until) throw unknownOutcome(error)
        await this.#parts.clock.sleep(backoff(pauses, attempt, Math.random()))
      }
    }
  }

  async #create(operation: Operation): Promise<Operation | undefined> {
    try {
      const path = pathOf(kinds.Operation, this.#namespace)
      const written = await this.#parts.cluster.request<Operation>({ method: 'POST', path, body: operation })
      this.#parts.operations.put(written)
      return written
    } catch (error) {
      if (!isProblem(error, 'already-exists')) throw error
      // Either this entry, written by an attempt without an answer, or that of another writer.
      const standing = await this.read(operation.metadata.name)
      return standing?.spec.hash === operation.spec.hash ? standing : undefined
    }
  }

  /** Requests the cancellation. The executor writes the same object: on a conflict, the new version is read and tried again. */
  async cancel(name: string, by: string): Promise<Operation> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#tryToCancel(name, by)
      } catch (error) {
        if (!isProblem(error, 'conflict') || attempt === cancelAttempts) throw error
        await this.#parts.clock.sleep(20 * attempt)
        await this.read(name)
      }
    }
  }

  async #tryToCancel(name: string, by: string): Promise<Operation> {
    const operation = this.#existing(name)
    if (hasEnded(operation)) throw new Problem('ended', `Operation ${name} has ended: ${operation.status?.phase}.`)
    if (operation.status?.cancelRequested) return operation
    const cancelRequested = { by, at: new Date(this.#parts.clock.now()).toISOString() }
    const status = { phase: operation.status?.phase ?? 'Accepted', cancelRequested }
    const cancelled = await this.#parts.cluster.request<Operation>({
      method: 'PATCH',
      path: `${pathOf(kinds.Operation, this.#namespace, name)}/status`,
      contentType: 'application/merge-patch+json',
      body: { metadata: { resourceVersion: operation.metadata.resourceVersion }, status },
    })
    this.#parts.operations.put(cancelled)
    return cancelled
  }

  /** The operation once it has ended, or as it is after `ms` milliseconds or when the signal aborts. */
  whenEnded(name: string, ms: number, signal: AbortSignal): Promise<Operation> {
    const present = this.#existing(name)
    if (hasEnded(present) || ms <= 0) return Promise.resolve(present)
    const over = AbortSignal.any([signal, AbortSignal.timeout(ms)])
    return new Promise((resolve) => {
      const finish = () => {
        unsubscribe()
        over.removeEventListener('abort', finish)
        resolve(this.known(name) ?? present)
      }
      const unsubscribe = this.#parts.operations.subscribe(({ object }) => {
        if (object.metadata.name === name && hasEnded(object)) finish()
      })
      if (over.aborted) finish()
      else over.addEventListener('abort', finish, { once: true })
    })
  }

  /** @throws Problem `not-found` */
  #existing(name: string): Operation {
    const operation = this.known(name)
    if (!operation) throw new Problem('not-found', `There is no operation ${name}.`)
    return operation
  }
}

function operationOf(spec: OperationSpec, namespace: string): Operation {
  const { target } = spec
  const project = projectOfTarget(target)
  const labels = {
    ...managedBy,
    ...(project !== undefined && { [label.project]: project }),
    ...(target.kind === 'database' && { [label.database]: target.database }),
  }
  const metadata = { name: operationName(spec.sequence), namespace, labels }
  return { apiVersion: kinds.Operation.apiVersion, kind: 'Operation', metadata, spec }
}

function unknownOutcome(cause: unknown): Problem {
  return new Problem(
    'cluster-unreachable',
    'The API server gave no answer, so it is not known whether the request was accepted. Repeat it with the same Idempotency-Key.',
    { cause },
  )
}
