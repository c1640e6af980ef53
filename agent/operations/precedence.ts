import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { outcomeOfStep } from '../resources/cratedb-run.ts'
import { isDeletion, isDeletionRecord, type Operation, type OperationStatus } from '../resources/operation.ts'

/** Whether an operation may proceed, given the other operations of its target and its project. */
export type Precedence =
  /** It proceeds. */
  | { kind: 'go' }
  /** It waits for an earlier operation of its project. */
  | { kind: 'hold' }
  /** It ends, and no more work is done for it. */
  | { kind: 'end'; status: Partial<OperationStatus> }

/**
 * Decides which operation takes precedence. The first rule that applies decides:
 *
 * | rule                                                                  | precedence  |
 * |-----------------------------------------------------------------------|-------------|
 * | it only records what has happened                                     | go          |
 * | its deletion, or its project's, was accepted later                    | Superseded  |
 * | its cancellation was requested                                        | Cancelled   |
 * | its deadline has passed                                               | Failed      |
 * | the next one has a desired state of its own, and this one can yield   | Superseded  |
 * | an earlier operation of its project has not ended; any, if it is new  | hold        |
 *
 * An operation on a database yields between two steps, or while only hosts for its nodes are missing. The first operation of a database
 * always creates it, since only that operation has the passwords. Likewise, an operation with other secrets first applies them. The API
 * server is asked whether the database exists: a cache may still hold a deleted one with that name. The controller of projects accepts
 * another desired state at any time.
 *
 * @param later the other open operations of the same target, by sequence
 * @param ofProject the open operations of the database's project
 * @param standing reads the CrateDB of the operation's target from the API server
 * @param now Unix time in milliseconds
 */
export async function precedenceOf(
  operation: Operation,
  later: Operation[],
  ofProject: Operation[],
  standing: () => Promise<KubernetesObject | undefined>,
  now: number,
): Promise<Precedence> {
  const { spec, status } = operation
  if (isDeletionRecord(operation)) return { kind: 'go' }
  const deletion = [...later, ...ofProject.filter((other) => other.spec.sequence > spec.sequence)].find(isDeletion)
  if (deletion && !isDeletion(operation)) return superseded(deletion, 'the deletion')
  if (status?.cancelRequested) return cancelled(operation)
  if (status?.deadline !== undefined && Date.parse(status.deadline) <= now) return outOfTime(operation)
  const [next] = later
  const isReplaced = spec.wanted !== undefined && next?.spec.wanted !== undefined
  if (isReplaced && (await canYield(operation, standing))) return superseded(next, 'a newer desired state')
  // A later operation may have taken over the one that creates the namespace.
  if (ofProject.some((other) => other.spec.sequence < spec.sequence)) return { kind: 'hold' }
  if (ofProject.length > 0 && (await standing()) === undefined) return { kind: 'hold' }
  return { kind: 'go' }
}

async function canYield({ spec, status }: Operation, standing: () => Promise<KubernetesObject | undefined>): Promise<boolean> {
  if (spec.target.kind !== 'database') return spec.target.kind === 'project'
  const { step, done = [] } = status ?? {}
  if (step !== undefined && step.name !== 'create') return false
  const database = await standing()
  if (database === undefined) return false
  // A creation that only lacks hosts for its nodes can yield to another desired state, such as one with fewer nodes.
  if (step !== undefined) return outcomeOfStep(database, 'create', undefined).state === 'succeeded'
  return spec.secretName === undefined || done.some(({ name }) => name === 'create' || name === 'credentials')
}

function superseded(by: Operation, what: string): Precedence {
  return {
    kind: 'end',
    status: { phase: 'Superseded', reason: 'Superseded', message: `Operation ${by.metadata.name} is ${what} of the same resource.` },
  }
}

function cancelled({ status }: Operation): Precedence {
  const by = status?.cancelRequested?.by
  const rest = status?.step ? ` The step "${status.step.name}" continues in the cluster; no further step begins.` : ' No step had begun.'
  return {
    kind: 'end',
    status: {
      phase: 'Cancelled',
      reason: 'Cancelled',
      message: `Cancelled by ${by}.${status?.done?.length && !status.step ? ' The completed steps are not undone.' : rest}`,
    },
  }
}

function outOfTime({ spec, status }: Operation): Precedence {
  const [blocker] = status?.blockers ?? []
  const why = blocker?.message ?? status?.message ?? 'its progress is unknown'
  const message = `Not done within ${spec.timeoutSeconds} s${status?.step ? `, in the step "${status.step.name}"` : ''}: ${why}`
  const action = blocker?.cure ?? 'Check the blockers in the status of the resource, remove them, and repeat the request.'
  return { kind: 'end', status: { phase: 'Failed', reason: 'DeadlineExceeded', message, action, blockers: status?.blockers ?? [] } }
}
