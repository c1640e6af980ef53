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
import type { Entries } from './entries.ts'
import type { LedgerHead } from './ledger.ts'
import type { Register } from './register.ts'
import { RequestSecret } from './request-secret.ts'

/** The entry that a request asks for, after every check that does not need the API server. */
export type Proposal = {
  /** The name of an action. */
  action: string
  target: Target
  /** The desired state without secrets, as the resource's schema gives it; for an action that asks for a state. */
  wanted?: unknown
  parameters?: Record<string, unknown>
  /** Kept in a Secret until applied. */
  secrets?: Secrets
  timeoutSeconds: number
  /** Objects that the API server is asked about (dry run) before the operation is written. */
  tryOut: KubernetesObject[]
  /** The steps that it will take, as far as is known now; a dry run shows them. */
  plan: Step[]
}

export type AcceptRequest = {
  target: Target
  /** The identity's name. */
  requestedBy: string
  requestId: string
  idempotencyKey?: string | undefined
  /** The request in canonical form: method, path, body. Only a keyed hash of it is kept. */
  canonical: string
  /**
   * Decides on the request against everything accepted so far; `undefined` when there is nothing to do.
   * It is called again whenever another request was accepted meanwhile, here or at another replica, so it must only read.
   * @throws Problem when the request is refused
   */
  decide: () => Proposal | undefined
}

export type Accepted =
  /** Written by this call. */
  | { outcome: 'accepted'; operation: Operation }
  /** The same request was accepted before: it has the same idempotency key, or is the newest open operation of its target. */
  | { outcome: 'repeated'; operation: Operation }
  | { outcome: 'unchanged' }

/** Requests that may wait to be written; the next one is refused as `busy`. */
const maxWaiting = 500

/** The writers of one replica, one at a time. */
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

export type AcceptanceParts = { cluster: Cluster; entries: Entries; register: Register; writers: Writers; clock: Clock }

/**
 * One request on its way into the ledger: decided, tried out on the API server, appended at the head. When the head moves meanwhile it
 * starts over; objects and Secret of the earlier attempt are reused if the new decision needs the same.
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

  /** Undefined when it was decided on stale data. */
  async #attempt(): Promise<Accepted | undefined> {
    const { entries, register, writers } = this.#parts
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

  /** The proposal, or why the request is refused; neither when there is nothing to do. */
  #decide(): { proposal?: Proposal | undefined; refusal?: unknown } {
    try {
      return { proposal: this.#request.decide() }
    } catch (refusal) {
      return { refusal }
    }
  }

  /** Whether the API server has a later entry, or the end of an open operation of the target, that the watch has not delivered. */
  async #isBehind(): Promise<boolean> {
    const { entries, register } = this.#parts
    if (await entries.read(operationName(register.head().sequence + 1))) return true
    return entries.haveEnded(register.unended(targetKey(this.#request.target)))
  }

  /** Dry run and Secret, side by side: each costs as much as the entry itself. */
  async #prepare({ tryOut, secrets }: Proposal): Promise<void> {
    const done = await Promise.allSettled([this.#tryOut(tryOut), this.#secret.hold(secrets)])
    for (const part of done) if (part.status === 'rejected') throw part.reason
  }

  /** Makes the API server refuse now whatever it would refuse later, with its own field paths. */
  async #tryOut(objects: KubernetesObject[]): Promise<void> {
    if (isDeepStrictEqual(this.#triedOut, objects)) return
    await Promise.all(objects.map((object) => applyObject(this.#parts.cluster, object, { fieldManager, force: true, dryRun: true })))
    this.#triedOut = objects
  }

  /** Undefined when the ledger has moved and the decision no longer holds, or another entry took the place. */
  async #append(proposal: Proposal, decidedAt: LedgerHead): Promise<Operation | undefined> {
    const { entries, register } = this.#parts
    const holds =
      register.head() === decidedAt ||
      (!register.repeatOf(this.#request, this.#fingerprint) && isDeepStrictEqual(this.#decide().proposal, proposal))
    if (!holds) return undefined
    // The entry may be written even if no answer comes: only another entry in its place shows that it was not.
    this.#secret.handedOver = true
    const written = await entries.append(register.head(), this.#entryOf(proposal))
    this.#secret.handedOver = written !== undefined
    return written
  }

  #entryOf({ action, target, wanted, parameters, timeoutSeconds, plan }: Proposal) {
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
      ...(parameters && { parameters }),
      ...(secretName !== undefined && { secretName }),
    }
  }
}
