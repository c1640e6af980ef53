import type { Clock } from '../../../shared/clock.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import type { OperatorFailures } from '../../region/operator-failures.ts'
import type { DatabaseSql } from '../../region/sql.ts'
import type { Secrets, Target } from '../../resources/kind.ts'
import type { Operation, OperationStatus, StepRecord } from '../../resources/operation.ts'
import type { WorkCluster } from './cluster.ts'

/** What one look at an operation came to. */
export type Progress =
  /** Something ended; look again at once. */
  | { next: 'again' }
  /** Look again when the target changes, or after a while; `recheckMs` where no watch tells of what is waited for. */
  | { next: 'wait'; message?: string | undefined; recheckMs?: number }
  /** `observed`: the target's object at which nothing was left to do. */
  | { next: 'done'; message?: string; observed?: OperationStatus['observed'] }
  | { next: 'failed'; reason: string; message: string; action?: string }

/**
 * One kind of operation. `advance` looks at the whole present state and does the next thing that is to do; it is called
 * again and again until it says that all is done, and it may be cut off at any instruction: whoever calls it next, in
 * whatever process, must come to the same end. What it needs to remember it records before it acts.
 */
export type Work<T extends Target = Target> = {
  advance(context: WorkContext<T>): Promise<Progress>
  /**
   * Takes back what must not outlive an operation that ends before it is through. It too may be cut off and called again.
   * Resolves with what is left for people to do, if it could not.
   */
  leave?(context: WorkContext<T>): Promise<string | undefined>
}

export type WorkContext<T extends Target = Target> = {
  readonly operation: Operation
  readonly target: T
  cluster: WorkCluster
  sql: DatabaseSql
  failures: OperatorFailures
  clock: Clock
  options: { imageRegistry: string; namespace: string }
  /** The secrets that came with the request. @throws Problem `not-found` when they are gone */
  secrets(): Promise<Secrets>
  /** Makes a change of the status durable. What follows it may rely on it. @throws Problem `conflict` when someone else wrote */
  record(change: Partial<OperationStatus>): Promise<void>
  /** Begins a step: durable before anything of it is done. */
  begin(name: string, note?: Record<string, unknown>): Promise<StepRecord>
  /** Ends the step in hand. */
  finish(message?: string): Promise<void>
}

/** What is recorded of an object that was seen. */
export function observedOf({ metadata }: KubernetesObject): NonNullable<OperationStatus['observed']> {
  return { uid: metadata.uid as string, resourceVersion: metadata.resourceVersion as string }
}

/** Whether a step of that name has ended in this operation. */
export function isDone({ status }: Operation, step: string): boolean {
  return status?.done?.some(({ name }) => name === step) ?? false
}

/** Records which object is about to be deleted: a cache that still has it afterwards is behind. */
export async function noteObserved(context: WorkContext, object: KubernetesObject): Promise<void> {
  if (context.operation.status?.observed?.uid !== object.metadata.uid) await context.record({ observed: observedOf(object) })
}
