import * as z from 'zod'
import { Problem, type ProblemType } from '../../../shared/errors.ts'
import type { Finding } from '../../bucket/index.ts'
import type { SnapshotSize } from '../../resources/copied-database.ts'
import type { NodesEvidence } from '../../resources/cratedb-undo.ts'
import type { ForeignBodies } from '../../resources/foreign-bodies.ts'
import {
  type DatabaseTarget,
  isKnownKind,
  type ProjectTarget,
  type RegionTarget,
  type Secrets,
  type Step,
  type Target,
  type TargetKind,
  type TargetOf,
} from '../../resources/kind.ts'
import type { Operation } from '../../resources/operation.ts'
import type { UndeleteEvidence } from '../../resources/undelete.ts'
import type { SnapshotFacts } from '../../resources/volume-snapshots.ts'
import type { DecisionParts, Guard, Proposed } from '../deciding/decision.ts'
import type { StandingRegion } from '../deciding/standing-region.ts'
import type { Work } from '../work/context.ts'
import type { FileBody } from './file-body.ts'

/**
 * Something that can be done to a target of one kind. All of it is in one file. Routes, the OpenAPI document, the CRD, the executor and the
 * representations are derived from the table of actions.
 */
export type Action<T extends Target = Target> = {
  /** Its name in the ledger, in metrics, in the CRD, and, if it is requested by POST, in its path. */
  name: string
  /** The requests for it; none for an action that only the leader starts. */
  requests: readonly ActionRequest<T>[]
  /** The phase of the target until the operation ends; undefined if the phase depends on the target alone. */
  phase: string | undefined
  work: Work<T>
}

/** The actions on each kind of target. */
export type Actions = { readonly [Kind in TargetKind]: readonly Action<TargetOf<Kind>>[] }

/** Why a snapshot cannot be restored, or what it has. */
export type ForeseenRestore = { refused: string } | { snapshot: string; tables: number }

/** A request that has been read and is valid by its schemas. */
export type Asked<T extends Target = Target, Query = unknown, Body = unknown> = {
  target: T
  /** Those of the path, by name. */
  params: Readonly<Record<string, string>>
  guard: Guard
  query: Query
  body: Body
  /** A generated password for each place in the request. */
  passwordAt(place: string): string
  /** The secrets that a database has; undefined if `prepare` did not read them. */
  presentSecrets?: Secrets | undefined
  /** Whether the CRD of the Crate Operator has a field for the address of a store; undefined if `prepare` did not find out. */
  keepsEndpoint?: boolean | undefined
  /** What is wrong with the bucket of a database; undefined if `prepare` did not try it. */
  findings?: readonly Finding[] | undefined
  /** Everything that decides about snapshots of volumes; undefined if `prepare` did not read it. */
  snapshotFacts?: SnapshotFacts | undefined
  /** How many snapshots of volumes are in the namespace of a project; undefined if the cluster has none, or if `prepare` did not look. */
  volumeSnapshots?: number | undefined
  /** The nodes of a database of which one has no host; undefined if all have one, or if `prepare` did not look. */
  nodes?: NodesEvidence | undefined
  /** What an import meets in the cluster, and what it keeps of the file; undefined if `prepare` did not look. */
  standing?: StandingRegion | undefined
  /** How much a database has; undefined if it does not answer, or if `prepare` did not ask. */
  size?: SnapshotSize | undefined
  /** What CrateDB says of a restore beforehand; undefined if it does not answer, or if `prepare` did not ask. */
  foreseen?: ForeseenRestore | undefined
  /** The deleted database that the request names; undefined if there is none, or if `prepare` did not look. */
  deleted?: UndeleteEvidence | undefined
}

/**
 * One request for an action. Its route and its part of the OpenAPI document are derived from this. The functions get the output of the
 * schemas.
 */
export type ActionRequest<T extends Target = Target, Query = unknown, Body = unknown> = {
  /** PUT, PATCH and DELETE go to the target's own path, POST to `actions/<name>` below it, unless `at` names another place. */
  method: 'PUT' | 'PATCH' | 'POST' | 'DELETE'
  /** Where the request goes, if that is not the path of the target. */
  at?: Place<T>
  /** One word for programs, unique: `restartDatabase`. */
  operationId: string
  summary: string
  description?: string
  /** Parameters of the query besides `dryRun`. */
  query?: z.ZodRawShape
  /** A JSON body. The schema of an optional body accepts undefined. */
  body?: z.ZodType
  /** The body is a file, which this reads; `body` is for the document alone. */
  file?: FileBody
  /** A merge patch. The schema is that of the result. */
  patch?: z.ZodType
  /** What to answer to a body that was written for another API. */
  foreign?: ForeignBodies
  /** An example of the body. */
  example?: unknown
  /** Problems besides those of every request that changes something. */
  problems?: readonly ProblemType[]
  /** It requests a state, not an event: if there is nothing to do, the answer is the unchanged resource. */
  asksForState: boolean
  /** Only the agent itself asks for it (`Requests`): there is no route. */
  isOwn?: true
  /** Other kinds of targets that this request also makes, changes or deletes, so that their scopes are required too. */
  takesAlong?(query: Query): readonly TargetKind[]
  /** Normalizes the body, so that equivalent requests count as the same request. */
  normalize?(body: Body, target: T): Body
  /** Reads data for the decision that no cache has. */
  prepare?(parts: DecisionParts, asked: Asked<T, Query, Body>): Promise<Asked<T, Query, Body>>
  /** What a dry run answers, if that is more than the steps of the plan. It is asked instead of `decide`, and refuses nothing. */
  show?: {
    /** Members of the answer. */
    schema: z.ZodRawShape
    of(parts: DecisionParts, asked: Asked<T, Query, Body>): { plan: Step[] } & Record<string, unknown>
  }
  /**
   * Decides by everything that has been accepted at that moment. It is called as often as the journal needs it, and waits for nothing.
   * @returns undefined when there is nothing to do
   * @throws Problem when the request is refused, with all reasons
   */
  decide(parts: DecisionParts, asked: Asked<T, Query, Body>): Proposed | undefined
}

/** A path of its own for a request. */
export type Place<T extends Target = Target> = {
  /** Below `/v1`: `/projects/{project}/deleted-databases/{deleted}`. */
  path: string
  /** The chapter of the OpenAPI document. */
  tag: string
  params: z.ZodObject
  /** What the request is about, by the parameters of the path. */
  targetOf(params: Readonly<Record<string, string>>): T
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

/** Types a request about the region: `decide` gets the output of the schemas. */
export const regionRequest = typed<RegionTarget>()
/** Types a request about a project: `decide` gets the output of the schemas. */
export const projectRequest = typed<ProjectTarget>()
/** Types a request about a database: `decide` gets the output of the schemas. */
export const databaseRequest = typed<DatabaseTarget>()

/** An empty body, which may be left out. @param description the effect of the request */
export function emptyBody(description: string) {
  return z.strictObject({}).describe(description).meta({ example: {} }).optional()
}

/** A query parameter that is `true` or `false`. @param usual its default, if it has one */
export function flag<Usual extends boolean | undefined = undefined>(description: string, usual?: Usual) {
  const text = z.enum(['true', 'false']).optional()
  const value = text.transform((given) => (given === undefined ? (usual as Usual) : given === 'true'))
  return value
    .describe(description)
    .meta({ override: { type: 'boolean', enum: undefined, ...(usual !== undefined && { default: usual }) } })
}

/** The action of an operation; undefined if a newer version of the agent accepted it and this version does not know the action. */
function actionOf(actions: Actions, { spec }: Operation): Action | undefined {
  const { kind } = spec.target
  const ofKind: readonly Action[] = isKnownKind(kind) ? actions[kind] : []
  return ofKind.find(({ name }) => name === spec.action)
}

/** The names of all actions, each once. */
export function actionNames(actions: Actions): string[] {
  return [...new Set(Object.values(actions).flatMap((ofKind) => ofKind.map(({ name }) => name)))]
}

/** The phase of a target until this operation ends; undefined if the phase depends on the target alone. */
export function phaseMeanwhile(actions: Actions, operation: Operation): string | undefined {
  const action = actionOf(actions, operation)
  return action === undefined ? 'Updating' : action.phase
}

/** The work of an operation. For an unknown action it only waits. */
export function workOf(actions: Actions, operation: Operation): Work {
  return actionOf(actions, operation)?.work ?? unknownWork
}

/** Waits until the deadline for a leader of a newer version. */
const unknownWork: Work = {
  async advance({ operation: { spec } }) {
    throw new Problem('unknown-action', `This version of the agent does not know the action ${spec.action} of a ${spec.target.kind}.`)
  },
  async leave({ operation: { spec, status } }) {
    return `What the step "${status?.step?.name}" began is still in effect: this version of the agent cannot revert the action ${spec.action}.`
  },
}
