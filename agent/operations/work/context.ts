import type { Clock } from '../../../shared/clock.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import type { OperatorFailures } from '../../region/operator-failures.ts'
import type { DatabaseSql } from '../../region/sql.ts'
import type { Secrets, Target } from '../../resources/kind.ts'
import type { Obstacle, Operation, OperationStatus, StepRecord } from '../../resources/operation.ts'
import type { OwnRequest } from '../own-request.ts'
import type { WorkCluster } from './cluster.ts'

/** The result of one call of `advance`. */
export type Progress =
  /** A step ended; call again at once. */
  | { next: 'again' }
  /**
   * Call again when the target changes, or after a while; after `recheckMs` if no watch reports the expected change.
   * `obstacle`: what the step itself finds in its way. It is shown before those of the target.
   */
  | { next: 'wait'; message?: string | undefined; recheckMs?: number; obstacle?: Obstacle | undefined }
  /** `observed`: the target's object when nothing was left to do. */
  | { next: 'done'; message?: string; observed?: OperationStatus['observed'] }
  | { next: 'failed'; reason: string; message: string; action?: string }

/**
 * The work of one kind of operation. `advance` looks at the whole present state and does the next thing. It is called repeatedly until it
 * reports the end. It may be interrupted at any point: the next call, perhaps in another process, must reach the same end. It records what it
 * needs to remember before it acts.
 */
export type Work<T extends Target = Target> = {
  advance(context: WorkContext<T>): Promise<Progress>
  /**
   * Reverts changes that must not remain when an operation ends early. It too may be interrupted and called again.
   * Resolves with what people have to do, if it could not revert them.
   */
  leave?(context: WorkContext<T>): Promise<string | undefined>
  /** What becomes of a step if the operation is cancelled in it, as a sentence without its end. Undefined: it continues in the cluster. */
  afterCancel?(step: string): string | undefined
}

export type WorkContext<T extends Target = Target> = {
  readonly operation: Operation
  readonly target: T
  cluster: WorkCluster
  sql: DatabaseSql
  failures: OperatorFailures
  /**
   * Asks for another operation, in the name of who asked for this one. A repeated call with the same key meets the same entry of the ledger.
   * Resolves with that operation as it is now; undefined if there was nothing to do.
   * @throws Problem whatever refuses the request
   */
  ask(request: Omit<OwnRequest, 'requestedBy'>): Promise<Operation | undefined>
  /** An operation as the watch has it; undefined if it does not know of it, perhaps not yet. An end that it has seen is final. */
  known(operation: string): Operation | undefined
  clock: Clock
  options: { imageRegistry: string; namespace: string }
  /** The secrets that came with the request. @throws Problem `not-found` when they are gone */
  secrets(): Promise<Secrets>
  /** A packed piece of the file that came with the request. @throws Problem `not-found` when it is gone */
  piece(index: number): Promise<Buffer>
  /** Makes a change of the status durable. @throws Problem `conflict` when another writer came first */
  record(change: Partial<OperationStatus>): Promise<void>
  /** Records the start of a step, before any of its work is done. */
  begin(name: string, note?: Record<string, unknown>): Promise<StepRecord>
  /** Records the end of the current step. */
  finish(message?: string): Promise<void>
}

/** The record of an object that was seen. */
export function observedOf({ metadata }: KubernetesObject): NonNullable<OperationStatus['observed']> {
  return { uid: metadata.uid as string, resourceVersion: metadata.resourceVersion as string }
}

/** Whether this operation has completed a step with that name. */
export function isDone({ status }: Operation, step: string): boolean {
  return status?.done?.some(({ name }) => name === step) ?? false
}

/** Records the object that is about to be deleted. A cache that still has it afterwards is stale. */
export async function noteObserved(context: WorkContext, object: KubernetesObject): Promise<void> {
  if (context.operation.status?.observed?.uid !== object.metadata.uid) await context.record({ observed: observedOf(object) })
}
