import { isDeepStrictEqual } from 'node:util'
import * as z from 'zod'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { conditionOf } from '../../region/obstacles/evidence.ts'
import { projectId } from '../../resources/identifiers.ts'
import { namespaceOf, type ProjectTarget, type Step } from '../../resources/kind.ts'
import { desiredProject, type ProjectSpec, projectSpec, readProject } from '../../resources/project.ts'
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
  { accepted, config }: DecisionParts,
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
  if (present && sameJson(wanted, present.spec)) return undefined
  const timeoutSeconds = seconds(config.timeouts[present ? 'change' : 'create'])
  return { wanted, timeoutSeconds, tryOut: [desiredProject(wanted)], plan: [stepOf(wanted, present?.spec)] }
}

function stepOf(wanted: ProjectSpec, before: ProjectSpec | undefined): Step {
  const isLimited = before?.quota !== undefined || wanted.quota !== undefined
  const consequences = [
    ...(before
      ? []
      : [`Makes the namespace ${namespaceOf(wanted.id)} with its quota, its network policies and copies of its pull secrets.`]),
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
  if (!current || step?.note?.generation === undefined) {
    const applied = await context.cluster.apply(desiredProject(wanted))
    const record = operation.status?.step ?? context.operation.status?.step
    await context.record({ phase: 'Waiting', ...(record && { step: { ...record, note: { generation: applied.metadata.generation } } }) })
    return { next: 'again' }
  }
  const ready = conditionOf(current, 'Ready')
  const seen = (ready?.observedGeneration ?? current.status?.observedGeneration ?? 0) >= (step.note.generation as number)
  if (seen && ready?.status === 'True') {
    await context.finish()
    return { next: 'done', observed: observedOf(current) }
  }
  return {
    next: 'wait',
    message: seen ? (ready?.message ?? 'The project is not ready.') : 'The project controller has not seen the change yet.',
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
