import * as z from 'zod'
import type { AcceptedResource, AcceptedState } from '../../operations/accepted.ts'
import { type Actions, phaseMeanwhile } from '../../operations/actions/action.ts'
import { type Condition, conditionOf } from '../../region/obstacles/evidence.ts'
import type { ProjectView, ProjectViews } from '../../region/project-view.ts'
import { namespaceOf } from '../../resources/kind.ts'
import { hasEnded, phaseOf } from '../../resources/operation.ts'
import { type ProjectSpec, projectSpec } from '../../resources/project.ts'
import { type Page, pageOf } from '../pages.ts'
import { failureSchema, failureStatus, type OperationSchemas, obstacleSchema, representObstacles, summarizeOperation } from './operation.ts'
import { composePage, exampleEtag, type Prepared, prepare } from './prepared.ts'
import { noneRetained, retainedSchema } from './retained-sum.ts'

const moment = z.iso.datetime()
/** Phases of a project without an open operation, and during its creation and deletion. */
const ownPhases = ['Pending', 'Creating', 'Ready', 'NotReady', 'Deleting', 'Failed'] as const

/** A project as the API returns it. Its phases are its own and those of the table of actions. */
export function createProjectSchema(actions: Actions, { summary }: OperationSchemas) {
  const status = z.object({
    phase: z.enum([...new Set([...ownPhases, ...actions.project.flatMap(({ phase }) => phase ?? [])])]).meta({ example: 'Ready' }),
    reason: z.string().optional().describe('One word for programs'),
    message: z.string().optional().describe('A sentence for people'),
    namespace: z.string().describe("Where the project's databases are").meta({ example: 'project-harbour' }),
    usage: z
      .object({ cpu: z.string().optional(), memory: z.string().optional(), storage: z.string().optional(), databases: z.int() })
      .describe('The use that Kubernetes counts against the quota; volumes for heap dumps are part of the storage')
      .meta({ example: { cpu: '6', memory: '12Gi', storage: '192Gi', databases: 1 } }),
    retained: retainedSchema,
    blockers: z.array(obstacleSchema).describe('The obstacles').meta({ example: [] }),
    operation: summary.nullable().describe('The operation under way').meta({ example: null }),
    failure: failureSchema.optional(),
    createdAt: moment,
    etag: z.string().describe('For If-Match').meta({ example: exampleEtag }),
  })
  return projectSpec
    .extend({ status })
    .meta({ id: 'Project', description: 'A tenant: a namespace with limits, isolation and pull secrets.' })
}

type ProjectDocument = z.input<ReturnType<typeof createProjectSchema>>
type ProjectStatus = Omit<ProjectDocument['status'], 'etag'>

/** The status of a project. Pure. @param databases how many it has */
function projectStatus(
  { object, operations }: ProjectView,
  accepted: AcceptedResource<ProjectSpec>,
  databases: number,
  actions: Actions,
): ProjectStatus {
  const { operation, spec } = accepted
  const ready = object && conditionOf(object, 'Ready')
  const { cpu, memory, storage } = object?.status?.usage ?? {}
  const last = operations.findLast(hasEnded)
  const failed = last && phaseOf(last) === 'Failed' ? last : undefined
  const phase = phaseOfProject(accepted, ready, failed !== undefined, actions)
  const isWell = phase === 'Ready'
  return {
    phase,
    ...(!isWell && ready?.reason !== undefined && { reason: ready.reason }),
    ...(!isWell && ready?.message !== undefined && { message: ready.message }),
    namespace: namespaceOf(spec.id),
    usage: {
      ...(cpu !== undefined && { cpu: String(cpu) }),
      ...(memory !== undefined && { memory: String(memory) }),
      ...(storage !== undefined && { storage: String(storage) }),
      databases,
    },
    retained: { ...noneRetained, ...object?.status?.retained },
    blockers: representObstacles(operation?.status?.blockers ?? object?.status?.blockers),
    operation: operation ? summarizeOperation(operation) : null,
    ...(failed && { failure: failureStatus(failed) }),
    createdAt: object?.metadata.creationTimestamp ?? operation?.spec.acceptedAt ?? new Date(0).toISOString(),
  }
}

function phaseOfProject(
  { object, operation, leaving }: AcceptedResource<ProjectSpec>,
  ready: Condition | undefined,
  failed: boolean,
  actions: Actions,
): ProjectStatus['phase'] {
  if (leaving) return 'Deleting'
  if (!object) return operation && phaseOf(operation) !== 'Accepted' ? 'Creating' : 'Pending'
  if (!ready) return failed && !operation ? 'Failed' : 'Creating'
  const working = operation && phaseMeanwhile(actions, operation)
  if (working) return working
  return ready.status === 'True' ? 'Ready' : 'NotReady'
}

/** Projects as the API returns them. Each is rendered on the first read after a change. */
export type ProjectRepresentations = {
  get(id: string): Prepared | undefined
  /** One page of those that `sees` accepts, by id. @throws Problem `invalid-fields` for a cursor of another list */
  page(query: { limit: number; cursor?: string | undefined }, sees: (id: string) => boolean): { bytes: Buffer; next: string | undefined }
}

export function createProjectRepresentations({
  accepted,
  views,
  databases,
  actions,
}: {
  accepted: Pick<AcceptedState, 'project'>
  views: ProjectViews
  /** How many databases a project has. */
  databases: (project: string) => number
  actions: Actions
}): ProjectRepresentations {
  const made = new WeakMap<ProjectView, { revision: number; databases: number; prepared: Prepared | undefined }>()

  function of(view: ProjectView): Prepared | undefined {
    const count = databases(view.id)
    const known = made.get(view)
    if (known && known.revision === view.revision && known.databases === count) return known.prepared
    const resource = accepted.project(view.id)
    const prepared = resource && prepare(resource.spec, projectStatus({ ...view, object: resource.object }, resource, count, actions))
    made.set(view, { revision: view.revision, databases: count, prepared })
    return prepared
  }

  return {
    get(id) {
      const view = views.get(id)
      return view && of(view)
    },
    page(query, sees) {
      const items = views
        .all()
        .filter(({ id }) => sees(id))
        .map(of)
        .filter((prepared) => prepared !== undefined)
      const page: Page<Prepared> = pageOf(items, ({ id }) => id, query, 'projects')
      return { bytes: composePage(page), next: page.next }
    },
  }
}
