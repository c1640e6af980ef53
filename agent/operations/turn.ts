import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { outcomeOfStep } from '../resources/cratedb-run.ts'
import { isDeletion, isDeletionRecord, type Operation, type OperationStatus } from '../resources/operation.ts'

/** What is to happen with the first open operation of a target. */
export type Turn =
  /** It is worked on. */
  | { kind: 'go' }
  /** It waits for an earlier one of its project. */
  | { kind: 'hold' }
  /** It ends without more being done for it. */
  | { kind: 'end'; status: Partial<OperationStatus> }

/**
 * Whose turn it is. Rules in the order in which they are asked:
 *
 * | rule                                                            | turn        |
 * |-----------------------------------------------------------------|-------------|
 * | it only writes down what has happened                           | go          |
 * | its deletion, or its project's, was accepted later              | Superseded  |
 * | its end was asked for                                           | Cancelled   |
 * | it ran out of time                                              | Failed      |
 * | the next one says the desired state anew, and it can yield      | Superseded  |
 * | an earlier operation of its project has not ended; any, if new  | hold        |
 *
 * An operation on a database yields between two steps, or while all it waits for are hosts for nodes. One that does not exist yet is
 * created first: only that operation has its passwords. Likewise one that brings other secrets puts them into force first. Whether it
 * exists is asked of the API server: a cache may still have the one of that name that was deleted before. A project is made by its
 * controller, which can be told something else at any time.
 *
 * @param later the other open operations of the same target, by sequence
 * @param ofProject the open operations of the database's project
 * @param standing reads the CrateDB of the operation's target as it is at this moment
 * @param now Unix time in milliseconds
 */
export async function turnOf(
  operation: Operation,
  later: Operation[],
  ofProject: Operation[],
  standing: () => Promise<KubernetesObject | undefined>,
  now: number,
): Promise<Turn> {
  const { spec, status } = operation
  if (isDeletionRecord(operation)) return { kind: 'go' }
  const deletion = [...later, ...ofProject.filter((other) => other.spec.sequence > spec.sequence)].find(isDeletion)
  if (deletion && !isDeletion(operation)) return superseded(deletion, 'the deletion')
  if (status?.cancelRequested) return cancelled(operation)
  if (status?.deadline !== undefined && Date.parse(status.deadline) <= now) return outOfTime(operation)
  const [next] = later
  const isSaidAnew = spec.wanted !== undefined && next?.spec.wanted !== undefined
  if (isSaidAnew && (await canYield(operation, standing))) return superseded(next, 'a newer desired state')
  // A later one may have taken over from that which makes the namespace.
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
  // A creation of which only nodes without a host are missing can be told something else, such as to do with fewer.
  if (step !== undefined) return outcomeOfStep(database, 'create', undefined).state === 'succeeded'
  return spec.secretName === undefined || done.some(({ name }) => name === 'create' || name === 'credentials')
}

function superseded(by: Operation, what: string): Turn {
  return {
    kind: 'end',
    status: { phase: 'Superseded', reason: 'Superseded', message: `Operation ${by.metadata.name} is ${what} of the same resource.` },
  }
}

function cancelled({ status }: Operation): Turn {
  const by = status?.cancelRequested?.by
  const rest = status?.step
    ? ` What the step "${status.step.name}" began goes on in the cluster; nothing more is begun.`
    : ' Nothing was begun.'
  return {
    kind: 'end',
    status: {
      phase: 'Cancelled',
      reason: 'Cancelled',
      message: `Cancelled by ${by}.${status?.done?.length && !status.step ? ' The steps done so far stay.' : rest}`,
    },
  }
}

function outOfTime({ spec, status }: Operation): Turn {
  const [blocker] = status?.blockers ?? []
  const why = blocker?.message ?? status?.message ?? 'nothing was heard of it'
  const message = `Not done within ${spec.timeoutSeconds} s${status?.step ? `, in the step "${status.step.name}"` : ''}: ${why}`
  const action = blocker?.cure ?? 'See what stands in the way in the status of the resource; repeat the request when it is gone.'
  return { kind: 'end', status: { phase: 'Failed', reason: 'DeadlineExceeded', message, action, blockers: status?.blockers ?? [] } }
}
