import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { outcomeOfStep, undoneBy } from '../resources/cratedb-run.ts'
import { type NodesEvidence, undoOf } from '../resources/cratedb-undo.ts'
import type { StoredDatabaseSpec } from '../resources/database.ts'
import { isBackup, isDeletion, isDeletionRecord, isRehearsal, type Operation, type OperationStatus } from '../resources/operation.ts'

/** Whether an operation may proceed, given the other operations of its target and its project. */
export type Precedence =
  /** It proceeds. */
  | { kind: 'go' }
  /** It waits for an earlier operation of its project. */
  | { kind: 'hold' }
  /** A later operation of its target is carried out first. */
  | { kind: 'overtaken'; by: Operation }
  /** It ends, and no more work is done for it. */
  | { kind: 'end'; status: Partial<OperationStatus> }

/** Reads from the API server. */
export type Standing = {
  /** The CrateDB of the target; undefined if there is none, or if the target is not a database. */
  database(): Promise<KubernetesObject | undefined>
  /** Its nodes, if one of them has no host. */
  nodes(database: KubernetesObject): Promise<NodesEvidence | undefined>
  /** What becomes of a step if the operation is cancelled in it; undefined if it continues in the cluster. */
  afterCancel(step: string): string | undefined
}

/**
 * Decides which operation takes precedence. The first rule that applies decides:
 *
 * | rule                                                                        | precedence  |
 * |-----------------------------------------------------------------------------|-------------|
 * | it only records what has happened                                           | go          |
 * | its deletion, or its project's, was accepted later                          | Superseded  |
 * | its cancellation was requested                                              | Cancelled   |
 * | its deadline has passed                                                     | Failed      |
 * | it rehearses a restore, and anything but a backup was accepted later        | Superseded  |
 * | it rehearses a restore, and a backup was accepted later                     | overtaken   |
 * | it can yield to a later desired state, and has a desired state of its own   | Superseded  |
 * | it can yield to a later desired state, and has none                         | overtaken   |
 * | an earlier operation of its project has not ended; any, if it is new        | hold        |
 *
 * A rehearsal takes hours, in a database of its own: nobody waits for it, and no backup is late because of it.
 *
 * The newest desired state contains the earlier ones, since each patch is merged into the state that was accepted last. An operation on a
 * database yields
 *
 * - to the operation right after it, between two steps: then that one goes on from there;
 * - to the newest desired state, however many operations are in between, if that takes back a change that waits for hosts (decision 24).
 *   Otherwise it would wait as well.
 *
 * The first operation of a database always creates it, since only that operation has the passwords. Likewise, an operation with other secrets
 * first applies them. The API server is asked whether the database exists: a cache may still hold a deleted one with that name. The controller
 * of projects accepts another desired state at any time.
 *
 * @param later the other open operations of the same target, by sequence
 * @param ofProject the open operations of the database's project
 * @param standing reads from the API server what there is of the operation's target
 * @param moment Unix time in milliseconds, and whether the deadline of the operation has passed
 */
export async function precedenceOf(
  operation: Operation,
  later: Operation[],
  ofProject: Operation[],
  standing: Standing,
  { now, isOutOfTime }: { now: number; isOutOfTime: boolean },
): Promise<Precedence> {
  const { spec, status } = operation
  if (isDeletionRecord(operation)) return { kind: 'go' }
  const deletion = [...later, ...ofProject.filter((other) => other.spec.sequence > spec.sequence)].find(isDeletion)
  if (deletion && !isDeletion(operation)) return superseded(deletion, 'the deletion')
  if (status?.cancelRequested) return cancelled(operation, standing)
  if (isOutOfTime) return outOfTime(operation)
  if (isRehearsal(operation) && later.length > 0) {
    const wish = later.find((each) => !isBackup(each))
    return wish ? superseded(wish, 'a later request') : { kind: 'overtaken', by: later[0] as Operation }
  }
  const successor = await successorOf(operation, later, standing, now)
  if (successor) return hasState(operation) ? superseded(successor, 'a newer desired state') : { kind: 'overtaken', by: successor }
  const isHeld =
    heldBy(operation, ofProject, true) ?? (ofProject.length > 0 && heldBy(operation, ofProject, (await standing.database()) !== undefined))
  return { kind: isHeld ? 'hold' : 'go' }
}

/**
 * The operation of its project that an operation on a database waits for: an earlier one; any, if the database does not exist, since a later
 * one may have taken over the creation of the namespace.
 */
export function heldBy({ spec }: Operation, ofProject: Operation[], exists: boolean): Operation | undefined {
  return ofProject.find((other) => other.spec.sequence < spec.sequence) ?? (exists ? undefined : ofProject[0])
}

/**
 * The operation of the same target that is carried out before this one; undefined if none is. One that has begun by overtaking comes first.
 * @param open the open operations of the target, by sequence
 */
export function aheadOf(operation: Operation, open: Operation[]): Operation | undefined {
  if (hasBegun(operation)) return undefined
  const { sequence } = operation.spec
  return (
    open.findLast((other) => other.spec.sequence > sequence && hasBegun(other)) ?? open.findLast(({ spec }) => spec.sequence < sequence)
  )
}

/** Whether a step of it has begun. */
export function hasBegun({ status }: Operation): boolean {
  return status?.step !== undefined || (status?.done ?? []).length > 0
}

function hasState({ spec }: Operation): boolean {
  return spec.wanted !== undefined
}

/** The later operation to which this one yields now. */
async function successorOf(operation: Operation, later: Operation[], standing: Standing, now: number): Promise<Operation | undefined> {
  const newest = later.findLast(hasState)
  if (newest === undefined || isDeletion(operation)) return undefined
  const { kind } = operation.spec.target
  if (kind !== 'database') return kind === 'project' && hasState(operation) ? followingState(later) : undefined
  if (!canYield(operation)) return undefined
  const database = await standing.database()
  if (database === undefined) return undefined
  const step = operation.status?.step?.name
  // A creation that only lacks hosts for its nodes can yield to another desired state, such as one with fewer nodes.
  if (step === 'create' && outcomeOfStep(database, 'create', undefined).state !== 'succeeded') return undefined
  const following = hasState(operation) && (step === undefined || step === 'create') ? followingState(later) : undefined
  if (following) return following
  const begun = hasBegun(operation) ? undefined : later.find((other) => hasState(other) && hasBegun(other))
  if (begun) return begun
  const nodes = await standing.nodes(database)
  if (!nodes || !undoOf(database, newest.spec.wanted as StoredDatabaseSpec, nodes, now)) return undefined
  // Others with a desired state yield to the newest one in their turn, after their credentials have been applied.
  return hasState(operation) ? newest : later.find(hasState)
}

/** The last of the desired states that follow at once, without an operation of another kind before them. */
function followingState(later: Operation[]): Operation | undefined {
  const end = later.findIndex((operation) => !hasState(operation))
  return later.slice(0, end < 0 ? later.length : end).at(-1)
}

/** Whether an operation on a database has nothing to finish first. */
function canYield(operation: Operation): boolean {
  if (!hasState(operation)) return !hasBegun(operation)
  const { step, done = [] } = operation.status ?? {}
  if (step !== undefined) return step.name === 'create' || waitsForHosts.has(undoneBy(step.name) ?? step.name)
  return operation.spec.secretName === undefined || done.some(({ name }) => name === 'create' || name === 'credentials')
}

/** Steps that a new desired state can take back while they wait for hosts, as it can what takes these back. */
const waitsForHosts = new Set(['scale', 'compute'])

function superseded(by: Operation, what: string): Precedence {
  return {
    kind: 'end',
    status: {
      phase: 'Superseded',
      reason: 'Superseded',
      message: `Operation ${by.metadata.name} is ${what} of the same resource.`,
      result: { supersededBy: by.metadata.name },
    },
  }
}

function cancelled({ status }: Operation, { afterCancel }: Pick<Standing, 'afterCancel'>): Precedence {
  const by = status?.cancelRequested?.by
  const fate = (step: string) => afterCancel(step) ?? `The step "${step}" continues in the cluster`
  const rest = status?.step ? ` ${fate(status.step.name)}; no further step begins.` : ' No step had begun.'
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
