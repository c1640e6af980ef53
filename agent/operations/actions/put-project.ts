import { isDeepStrictEqual } from 'node:util'
import * as z from 'zod'
import { pointerTo } from '../../../shared/json-pointer.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { conditionOf, describeObject } from '../../region/obstacles/evidence.ts'
import { disallowedKeys } from '../../resources/allowed-keys.ts'
import { foreignFields, namesOf, type OwnedField, unheldField } from '../../resources/field-owners.ts'
import { projectId } from '../../resources/identifiers.ts'
import { namespaceOf, type ProjectTarget, type Step } from '../../resources/kind.ts'
import { desiredProject, type ProjectSpec, projectSpec, readProject } from '../../resources/project.ts'
import type { RetainedDatabase } from '../../resources/retained-database.ts'
import type { AcceptedResource } from '../accepted.ts'
import { type DecisionParts, onlyUnprotects, type Proposed, refusal, sameJson, seconds } from '../deciding/decision.ts'
import { patched } from '../deciding/merge-patch.ts'
import { leavesUnasked, leavingProblem, noSuchProject } from '../deciding/present.ts'
import { observedOf, type Progress, type WorkContext } from '../work/context.ts'
import { type Action, type Asked, projectRequest } from './action.ts'

type Present = AcceptedResource<ProjectSpec> | undefined

/** Creates or changes a project. Its controller creates the namespace and everything in it. */
export const putProject: Action<ProjectTarget> = {
  name: 'put',
  phase: 'Updating',
  requests: [
    projectRequest({
      method: 'PUT',
      operationId: 'putProject',
      summary: 'Creates a project, or brings it to the given state',
      // The other members of a read are accepted too, so that its answer can be edited and put.
      body: projectSpec.extend({
        id: projectId.optional().describe('As in the path, if given').meta({ example: 'harbour' }),
        status: z.unknown().optional().describe('Ignored: the status that a read shows'),
      }),
      example: {
        displayName: 'Harbour authority',
        organization: 'Port of Eider',
        quota: { cpu: 24, memory: '96Gi', storage: '2Ti', databases: 8 },
      },
      asksForState: true,
      normalize: ({ status: _, ...rest }, { project }) => ({ ...rest, id: rest.id ?? project }),
      decide: (parts, { body, ...asked }) => decideState(parts, asked, () => body as ProjectSpec),
    }),
    projectRequest({
      method: 'PATCH',
      operationId: 'patchProject',
      summary: 'Changes a project',
      patch: projectSpec,
      example: { quota: { databases: 12 } },
      asksForState: true,
      decide: (parts, { body, ...asked }) =>
        decideState(parts, asked, (present) => {
          if (present) return patched(projectSpec, present.spec, body)
          throw noSuchProject(asked.target.project)
        }),
    }),
  ],
  work: { advance },
}

function decideState(
  { accepted, config, caches }: DecisionParts,
  { target, guard }: Pick<Asked<ProjectTarget>, 'target' | 'guard'>,
  intent: (present: Present) => ProjectSpec,
): Proposed | undefined {
  const present = accepted.project(target.project)
  guard(present)
  const wanted = intent(present)
  const seesOff = present?.leaving && leavesUnasked(present) && onlyUnprotects(wanted, present.spec)
  if (present?.leaving && !seesOff) throw leavingProblem(target, present)
  if (wanted.id !== target.project)
    throw refusal('invalid-fields', [{ path: '/id', message: `must be "${target.project}", as in the path` }])
  const disallowed = disallowedKeys('labels', wanted.labels, present?.spec.labels, config.allowedKeys)
  if (disallowed.length > 0) throw refusal('invalid-fields', disallowed)
  if (present && sameJson(wanted, present.spec)) return undefined
  const timeoutSeconds = seconds(config.timeouts[present ? 'change' : 'create'])
  const ofEarlier = present ? [] : deletedBefore(target, caches.retained.values())
  return {
    wanted,
    timeoutSeconds,
    ...(ofEarlier.length > 0 && { parameters: { ofEarlier } }),
    tryOut: [desiredProject(wanted)],
    plan: [stepOf(wanted, present?.spec, ofEarlier)],
  }
}

/** The deleted databases of a project of the same id that is gone. */
function deletedBefore({ project }: ProjectTarget, retained: Iterable<RetainedDatabase>): string[] {
  return [...retained].flatMap(({ metadata, spec }) => (spec.project === project ? metadata.name : [])).sort()
}

/** Whoever gets the id of a project that is gone must hear that its data is not. @param deleted the ids of its deleted databases */
function inherits(deleted: readonly string[]): string {
  const named = `${deleted.slice(0, 10).join(', ')}${deleted.length > 10 ? ` and ${deleted.length - 10} more` : ''}`
  return `An earlier project of this id, perhaps of another tenant, left deleted databases: ${named}. Whoever may write databases in this project can have them back, with their data and passwords, and they count against its quota. If they are not for this project, purge them, or take another id.`
}

function stepOf(wanted: ProjectSpec, before: ProjectSpec | undefined, ofEarlier: readonly string[]): Step {
  const isLimited = before?.quota !== undefined || wanted.quota !== undefined
  const consequences = [
    ...(before
      ? []
      : [`Makes the namespace ${namespaceOf(wanted.id)} with its quota, its network policies and copies of its pull secrets.`]),
    ...(ofEarlier.length > 0 ? [inherits(ofEarlier)] : []),
    ...(before && isLimited ? ['A quota below the present use takes nothing away; nothing can be added until there is room.'] : []),
    ...(before?.deletionProtection && !wanted.deletionProtection ? ['The project can be deleted from then on.'] : []),
  ]
  return { name: 'apply', consequences, objects: [desiredProject(wanted)] }
}

async function advance(context: WorkContext<ProjectTarget>): Promise<Progress> {
  const { operation } = context
  const wanted = operation.spec.wanted as ProjectSpec
  const current = await context.cluster.read({ kind: 'Project', name: wanted.id })
  if (current?.metadata.deletionTimestamp) return putLeaving(context, current, wanted)
  const { step } = operation.status ?? {}
  if (!step) await context.begin('apply')
  if (!current || step?.note?.generation === undefined) return write(context, current)
  const { generation, writes = 1 } = step.note as WriteNote
  const ready = conditionOf(current, 'Ready')
  const seen = (ready?.observedGeneration ?? current.status?.observedGeneration ?? 0) >= generation
  if (seen && ready?.status === 'True') {
    const unheld = unheldField(current, desiredProject(wanted)) ?? foreignFields(current, desiredProject(wanted))[0]
    if (unheld) return writes < maxWrites ? write(context, current) : writtenAgain(current, unheld, writes)
    await context.finish()
    const { ofEarlier = [] } = (operation.spec.parameters ?? {}) as { ofEarlier?: string[] }
    return { next: 'done', observed: observedOf(current), ...(ofEarlier.length > 0 && { message: `Done. ${inherits(ofEarlier)}` }) }
  }
  return {
    next: 'wait',
    message: seen ? (ready?.message ?? 'The project is not ready.') : 'The project controller has not seen the change yet.',
  }
}

type WriteNote = { generation: number; writes?: number }

/** How often an operation writes a project that somebody else changes meanwhile. */
const maxWrites = 3

async function write(context: WorkContext<ProjectTarget>, current: KubernetesObject | undefined): Promise<Progress> {
  const wanted = context.operation.spec.wanted as ProjectSpec
  const applied = await context.cluster.apply(desiredProject(wanted), current)
  const record = context.operation.status?.step
  const { writes = 0 } = (record?.note ?? {}) as Partial<WriteNote>
  const note = { generation: applied.metadata.generation, writes: writes + 1 }
  await context.record({ phase: 'Waiting', ...(record && { step: { ...record, note } }) })
  return { next: 'again' }
}

/** Somebody keeps writing a field of the project. It stays as they want it, rather than changing without end. */
function writtenAgain(current: KubernetesObject, { path, value, managers }: OwnedField, writes: number): Progress {
  const setters = namesOf(managers)
  const is = value === undefined ? 'missing' : JSON.stringify(value)
  return {
    next: 'failed',
    reason: 'FieldConflict',
    message: `${pointerTo(path)} of ${describeObject(current)} is ${is} again, set by ${setters}, after it was written ${writes} times.`,
    action: `Make ${setters} leave the field alone, or request the value that it sets; then repeat the request.`,
  }
}

/** A project that is being deleted can only lose its protection. Any other change applies to the next project with its name. */
async function putLeaving(context: WorkContext<ProjectTarget>, current: KubernetesObject, wanted: ProjectSpec): Promise<Progress> {
  const { deletionProtection } = wanted
  if (deletionProtection || !isDeepStrictEqual({ ...readProject(current), deletionProtection }, wanted))
    return { next: 'wait', message: 'The project of this name is still being deleted.' }
  // Not an apply, which would create the project again if it disappeared at this moment.
  const changed = await context.cluster.patch({ kind: 'Project', name: wanted.id }, { spec: { deletionProtection } })
  return { next: 'done', message: 'The project, which is being deleted, is no longer protected.', observed: observedOf(changed) }
}
