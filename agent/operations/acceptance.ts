import { isDeepStrictEqual } from 'node:util'
import type { Clock } from '../../shared/clock.ts'
import { Problem } from '../../shared/errors.ts'
import { applyObject } from '../../shared/kubernetes/apply.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { limitConcurrency } from '../../shared/limit-concurrency.ts'
import type { Secrets, Step, Target } from '../resources/kind.ts'
import { fieldManager } from '../resources/labels.ts'
import { type Operation, operationName, targetKey } from '../resources/operation.ts'
import type { CatchUp } from './catch-up.ts'
import type { Entries } from './entries.ts'
import type { LedgerHead } from './ledger.ts'
import type { Register } from './register.ts'
import { RequestSecret } from './request-secret.ts'

/** The entry that a request leads to, after every check that does not need the API server. */
export type Proposal = {
  /** The name of an action. */
  action: string
  target: Target
  /** For an action that requests a state: the desired state without secrets, as the output of the resource's schema. */
  wanted?: unknown
  parameters?: Record<string, unknown>
  /** Kept in a Secret until applied. */
  secrets?: Secrets
  /** The file that came with the request, in packed pieces of at most `maxPieceBytes`, each kept in a Secret until the operation has ended. */
  pieces?: readonly Buffer[]
  timeoutSeconds: number
  /** Objects that are applied as a dry run before the operation is written. */
  tryOut: KubernetesObject[]
  /** The steps as far as they are known now. A dry run shows them. */
  plan: Step[]
}

export type AcceptRequest = {
  target: Target
  /** The identity's name. */
  requestedBy: string
  /** Its name in entries of version 0.1, for requests that are repeated after an upgrade. */
  formerly?: string | undefined
  requestId: string
  idempotencyKey?: string | undefined
  /** The request in canonical form: method, path, body. Only a keyed hash of it is kept. */
  canonical: string
  /**
   * Decides on the request, given everything that has been accepted so far; returns undefined when there is nothing to do.
   * It is called again whenever another request is accepted meanwhile, here or at another replica, so it must only read.
   * @throws Problem when the request is refused
   */
  decide: () => Proposal | undefined
}

export type Accepted =
  /** Written by this call. */
  | { outcome: 'accepted'; operation: Operation }
  /** The same request was accepted earlier: it has the same idempotency key, or is the newest open operation of its target. */
  | { outcome: 'repeated'; operation: Operation }
  | { outcome: 'unchanged' }

/** The maximum number of requests that wait to be written. Further ones are refused as `busy`. */
const maxWaiting = 500

/** Lets the requests of one replica write one at a time. */
export class Writers {
  readonly #limit = limitConcurrency(1)
  #waiting = 0

  /** @throws Problem `busy` when too many wait already */
  async run<T>(write: () => Promise<T>): Promise<T> {
    if (this.#waiting >= maxWaiting)
      throw new Problem('busy', `${this.#waiting} requests are waiting to be accepted.`, { retryAfterSeconds: 2 })
    this.#waiting++
    try {
      return await this.#limit(write)
    } finally {
      this.#waiting--
    }
  }
}

export type AcceptanceParts = { cluster: Cluster; entries: Entries; register: Register; catchUp: CatchUp; writers: Writers; clock: Clock }

/**
 * Accepts one request: it is decided, tried out on the API server, and appended to the ledger. If the head of the ledger moves meanwhile,
 * all of that is repeated. The tried objects and the Secret are reused if the new decision needs the same.
 */
export class Acceptance {
  readonly #request: AcceptRequest
  readonly #fingerprint: string
  readonly #parts: AcceptanceParts
  readonly #secret: RequestSecret
  #triedOut: KubernetesObject[] | undefined

  constructor(request: AcceptRequest, fingerprint: string, namespace: string, parts: AcceptanceParts) {
    this.#request = request
    this.#fingerprint = fingerprint
    this.#parts = parts
    this.#secret = new RequestSecret(parts.cluster, namespace)
  }

  /** @throws Problem as `Journal.accept` does */
  async run(): Promise<Accepted> {
    try {
      for (;;) {
        const accepted = await this.#attempt()
        if (accepted) return accepted
      }
    } finally {
      await this.#secret.discard()
    }
  }

  /** @returns undefined if the decision was made on stale data */
  async #attempt(): Promise<Accepted | undefined> {
    const { entries, register, catchUp, writers } = this.#parts
    await catchUp.run()
    const repeated = register.repeatOf(this.#request, this.#fingerprint)
    if (repeated) {
      // Without a key a request repeats only an operation that has not ended.
      const isOver = this.#request.idempotencyKey === undefined && (await entries.haveEnded([repeated]))
      return isOver ? undefined : { outcome: 'repeated', operation: repeated }
    }
    const decidedAt = register.head()
    const { proposal, refusal } = this.#decide()
    if (!proposal) {
      if (await this.#isBehind()) return undefined
      if (refusal !== undefined) throw refusal
      return { outcome: 'unchanged' }
    }
    await this.#prepare(proposal)
    const operation = await writers.run(() => this.#append(proposal, decidedAt))
    return operation && { outcome: 'accepted', operation }
  }

  /** The proposal, or the reason for a refusal; neither if there is nothing to do. */
  #decide(): { proposal?: Proposal | undefined; refusal?: unknown } {
    try {
      return { proposal: this.#request.decide() }
    } catch (refusal) {
      return { refusal }
    }
  }

  /** Whether the API server has a later entry, or an open operation of the target has ended there, and the watch has not delivered it. */
  async #isBehind(): Promise<boolean> {
    const { entries, register } = this.#parts
    if (await entries.read(operationName(register.head().sequence + 1))) return true
    return entries.haveEnded(register.unended(targetKey(this.#request.target)))
  }

  /** Does the dry run and writes the Secrets in parallel: each takes as long as writing the entry. */
  async #prepare({ tryOut, secrets, pieces }: Proposal): Promise<void> {
    const done = await Promise.allSettled([this.#tryOut(tryOut), this.#secret.hold({ secrets, pieces })])
    for (const part of done) if (part.status === 'rejected') throw part.reason
  }

  /** The API server refuses now what it would refuse later, with its own field paths. */
  async #tryOut(objects: KubernetesObject[]): Promise<void> {
    if (isDeepStrictEqual(this.#triedOut, objects)) return
    await Promise.all(objects.map((object) => applyObject(this.#parts.cluster, object, { fieldManager, force: true, dryRun: true })))
    this.#triedOut = objects
  }

  /** @returns undefined if the ledger has moved and the decision no longer holds, or if another entry took the place */
  async #append(proposal: Proposal, decidedAt: LedgerHead): Promise<Operation | undefined> {
    const { entries, register, catchUp } = this.#parts
    if (catchUp.isNeeded()) return undefined
    const holds =
      register.head() === decidedAt ||
      (!register.repeatOf(this.#request, this.#fingerprint) && isDeepStrictEqual(this.#decide().proposal, proposal))
    if (!holds) return undefined
    // Without an answer, the entry may still be written. Only another entry in its place proves that it was not.
    this.#secret.handedOver = true
    const written = await entries.append(register.head(), this.#entryOf(proposal))
    this.#secret.handedOver = written !== undefined
    return written
  }

  #entryOf({ action, target, wanted, parameters, pieces, timeoutSeconds, plan }: Proposal) {
    const { requestedBy, requestId, idempotencyKey } = this.#request
    const { name: secretName } = this.#secret
    return {
      acceptedAt: new Date(this.#parts.clock.now()).toISOString(),
      requestedBy,
      requestId,
      fingerprint: this.#fingerprint,
      action,
      target,
      ...(plan.length > 0 && { planned: plan.map(({ name }) => name).join(',') }),
      timeoutSeconds,
      ...(idempotencyKey !== undefined && { idempotencyKey }),
      ...(wanted !== undefined && { wanted }),
      ...((parameters || pieces) && { parameters: { ...parameters, ...(pieces && { pieces: pieces.length }) } }),
      ...(secretName !== undefined && { secretName }),
    }
  }
}
