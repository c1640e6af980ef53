import * as z from 'zod'
import { Problem, type ProblemType } from '../../../shared/errors.ts'
import {
  type DatabaseTarget,
  isKnownKind,
  type ProjectTarget,
  type Secrets,
  type Target,
  type TargetKind,
  type TargetOf,
} from '../../resources/kind.ts'
import type { Operation } from '../../resources/operation.ts'
import type { DecisionParts, Guard, Proposed } from '../deciding/decision.ts'
import type { Work } from '../work/context.ts'

/**
 * What can be done to a target of one kind. Everything about it stands in its file; routes, the OpenAPI document, the CRD, the executor
 * and the representations take what they need from the table.
 */
export type Action<T extends Target = Target> = {
  /** What it is called in the ledger, in metrics and in the CRD, and in its path if it is asked for by POST. */
  name: string
  /** The ways to ask for it; none where the leader itself has a reason. */
  requests: readonly ActionRequest<T>[]
  /** The phase of its target while the operation has not ended; undefined where that depends on the target alone. */
  phase: string | undefined
  work: Work<T>
}

/** The actions on each kind of target. */
export type Actions = { readonly [Kind in TargetKind]: readonly Action<TargetOf<Kind>>[] }

/** A request as a decision sees it: read, and valid by its schemas. */
export type Asked<T extends Target = Target, Query = unknown, Body = unknown> = {
  target: T
  guard: Guard
  query: Query
  body: Body
  /** A generated password for each place in the request. */
  passwordAt(place: string): string
  /** The secrets that a database has; undefined if `prepare` did not read them. */
  presentSecrets?: Secrets | undefined
}

/**
 * One way to ask for an action: its route is made from this, and the route's part of the OpenAPI document. The functions get what the
 * schemas give.
 */
export type ActionRequest<T extends Target = Target, Query = unknown, Body = unknown> = {
  /** PUT, PATCH and DELETE go to the target's own path, POST to `actions/<name>` below it. */
  method: 'PUT' | 'PATCH' | 'POST' | 'DELETE'
  /** One word for programs, unique: `restartDatabase`. */
  operationId: string
  summary: string
  description?: string
  /** Parameters of the query besides `dryRun`. */
  query?: z.ZodRawShape
  /** A JSON body; if it may be left out, its schema takes undefined. */
  body?: z.ZodType
  /** A merge patch of what this schema describes. */
  patch?: z.ZodType
  /** An example of the body. */
  example?: unknown
  /** Problems of its own, besides those of every request that changes something. */
  problems?: readonly ProblemType[]
  /** It asks for a state, not for an event: where there is nothing to do, the answer is the resource as it is. */
  asksForState: boolean
  /** Another kind of target that this request deletes or changes as well, so that its scope is needed too. */
  takesAlong?(query: Query): TargetKind | undefined
  /** The body in the form that is compared: requests that mean the same are the same request. */
  normalize?(body: Body, target: T): Body
  /** Reads what the decision needs and no cache has. */
  prepare?(parts: DecisionParts, asked: Asked<T, Query, Body>): Promise<Asked<T, Query, Body>>
  /**
   * Decides against what is accepted at that moment, as often as the journal wants. It waits for nothing.
   * @returns undefined when there is nothing to do
   * @throws Problem when the request is refused; all reasons in one
   */
  decide(parts: DecisionParts, asked: Asked<T, Query, Body>): Proposed | undefined
}

type Nothing = Record<never, never>
type MergePatch = Record<string, unknown>

function typed<T extends Target>() {
  return <Q extends z.ZodRawShape = Nothing, B extends z.ZodType = z.ZodUndefined, M extends z.ZodType | undefined = undefined>(
    request: ActionRequest<T, z.output<z.ZodObject<Q>>, M extends z.ZodType ? MergePatch : z.output<B>> & {
      query?: Q
      body?: B
      patch?: M
    },
  ) => request as ActionRequest<T>
}

/** Types a request about a project: `decide` gets what the schemas give. */
export const projectRequest = typed<ProjectTarget>()
/** Types a request about a database: `decide` gets what the schemas give. */
export const databaseRequest = typed<DatabaseTarget>()

/** A body that says nothing, and may be left out. @param description what happens all the same */
export function emptyBody(description: string) {
  return z.strictObject({}).describe(description).meta({ example: {} }).optional()
}

/** A parameter of the query that is `true` or `false`. @param usual what it is if left out; undefined if left out as well */
export function flag<Usual extends boolean | undefined = undefined>(description: string, usual?: Usual) {
  const text = z.enum(['true', 'false']).optional()
  const value = text.transform((given) => (given === undefined ? (usual as Usual) : given === 'true'))
  return value
    .describe(description)
    .meta({ override: { type: 'boolean', enum: undefined, ...(usual !== undefined && { default: usual }) } })
}

/** The action of an operation; undefined where a newer version of the agent accepted one that this version does not know. */
function actionOf(actions: Actions, { spec }: Operation): Action | undefined {
  const { kind } = spec.target
  const ofKind: readonly Action[] = isKnownKind(kind) ? actions[kind] : []
  return ofKind.find(({ name }) => name === spec.action)
}

/** The names of all actions, each once. */
export function actionNames(actions: Actions): string[] {
  return [...new Set(Object.values(actions).flatMap((ofKind) => ofKind.map(({ name }) => name)))]
}

/** The phase of a target while this operation has not ended; undefined where that depends on the target alone. */
export function phaseMeanwhile(actions: Actions, operation: Operation): string | undefined {
  const action = actionOf(actions, operation)
  return action === undefined ? 'Updating' : action.phase
}

/** The work of an operation; of an action that this version does not know, what can be done about it all the same. */
export function workOf(actions: Actions, operation: Operation): Work {
  return actionOf(actions, operation)?.work ?? unknownWork
}

/** Waits for a leader of a newer version until the deadline. */
const unknownWork: Work = {
  async advance({ operation: { spec } }) {
    throw new Problem('unknown-action', `This version of the agent does not know the action ${spec.action} of a ${spec.target.kind}.`)
  },
  async leave({ operation: { spec, status } }) {
    return `What the step "${status?.step?.name}" began still stands: this version of the agent does not know how to take back the action ${spec.action}.`
  },
}
