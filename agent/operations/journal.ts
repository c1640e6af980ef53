import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import type { Secrets, Target } from '../resources/kind.ts'
import type { Action, Operation } from './operation.ts'

/** What is to be accepted, after everything was checked that can be checked without asking the API server. */
export type Proposal = {
  action: Action
  target: Target
  /** The desired state without secrets, as the resource's schema gives it; for `put`, `suspend` and `resume`. */
  wanted?: unknown
  parameters?: Record<string, unknown>
  /** Kept in a Secret until applied. */
  secrets?: Secrets
  timeoutSeconds: number
  /** Objects that the API server is asked about (dry run) before the operation is written. */
  tryOut: KubernetesObject[]
}

export type AcceptRequest = {
  /** The identity's name. */
  requestedBy: string
  requestId: string
  idempotencyKey?: string | undefined
  /** What the request is, in canonical form: method, path, body. Only a keyed hash of it is kept. */
  canonical: string
  /**
   * Decides on the request against everything accepted so far; `undefined` when there is nothing to do.
   * It is called again when another request was accepted meanwhile, so it must only read.
   * @throws Problem when the request is refused
   */
  decide: () => Proposal | undefined
}

export type Accepted =
  /** Written by this call. */
  | { outcome: 'accepted'; operation: Operation }
  /** The same request was accepted before: by its idempotency key, or it is the newest one of its target and has not ended. */
  | { outcome: 'repeated'; operation: Operation }
  | { outcome: 'unchanged' }

/** The durable, ordered record of what was accepted. */
export type Journal = {
  /**
   * Writes one operation. When this resolves the operation stands in etcd.
   * @throws Problem what `decide` throws; `rejected-by-cluster` and others from the dry run; `idempotency-key-reused`;
   *   `cluster-unreachable` when it could not be learned whether the operation was written
   */
  accept(request: AcceptRequest): Promise<Accepted>
  /** Asks for the end of an operation. @throws Problem `not-found`, `conflict` when it has ended */
  cancel(name: string, by: string): Promise<Operation>
  /** The operation once it has ended, or as it is when `ms` milliseconds have passed or the signal aborts. */
  whenEnded(name: string, ms: number, signal: AbortSignal): Promise<Operation>
  get(name: string): Operation | undefined
  /** All that are kept, by sequence. */
  all(): Operation[]
  /** Those of a target that have not ended, by sequence. */
  unended(target: Target): Operation[]
}
