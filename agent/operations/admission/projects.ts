import { Problem } from '../../../shared/errors.ts'
import { asFault, parseWith } from '../../../shared/faults.ts'
import type { Target } from '../../resources/kind.ts'
import { desiredProject, type ProjectSpec, projectSpec } from '../../resources/project.ts'
import { type AcceptedResource, isUnprotected } from '../accepted.ts'
import type { Proposal } from '../journal.ts'
import {
  type Admission,
  type AdmissionParts,
  type Guard,
  leavesUnasked,
  leavingProblem,
  onlyUnprotects,
  refusal,
  sameJson,
  seconds,
} from './admission.ts'
import { mergePatch } from './merge-patch.ts'

type ProjectTarget = Extract<Target, { kind: 'project' }>
type Request = { target: ProjectTarget; guard: Guard<ProjectSpec> }

/** A project as it is to be. */
export function admitPutProject(parts: AdmissionParts, { target, guard, given }: Request & { given: ProjectSpec }): Admission {
  return admission(() => decidePut(parts, target, guard, () => given))
}

/** A change of a project: a merge patch of what was last accepted, then judged as a whole. */
export function admitPatchProject(parts: AdmissionParts, { target, guard, patch }: Request & { patch: unknown }): Admission {
  return admission(() =>
    decidePut(parts, target, guard, (present) => {
      if (!present) throw noSuchProject(target.project)
      const parsed = parseWith(projectSpec, mergePatch(present.spec, patch))
      if (parsed.ok) return parsed.value
      throw refusal(
        'invalid-fields',
        parsed.faults.map((fault) => asFault(fault)),
      )
    }),
  )
}

/** The end of a project, and with `cascade` of the databases in it. Their volumes are kept unless `retainVolumes` is false. */
export function admitDeleteProject(
  { accepted, config }: AdmissionParts,
  { target, guard, cascade, retainVolumes }: Request & { cascade: boolean; retainVolumes: boolean },
): Admission {
  return admission(() => {
    const present = accepted.project(target.project)
    guard(present)
    if (!present) throw noSuchProject(target.project)
    if (present.leaving && !leavesUnasked(present)) throw leavingProblem(`project ${target.project}`, present)
    if (present.spec.deletionProtection) {
      throw new Problem('protected', `Project ${target.project} has deletionProtection. Set it to false first.`)
    }
    const databases = accepted.databases(target.project)
    const ids = databases.map(({ spec }) => spec.id)
    if (databases.length > 0 && !cascade) {
      const detail = `Project ${target.project} has ${databases.length === 1 ? 'a database' : `${databases.length} databases`}: ${listed(ids)}. Delete them first, or ask with cascade=true.`
      throw new Problem('not-empty', detail, { extensions: { databases: ids } })
    }
    const kept = databases.filter(({ spec }) => spec.deletionProtection).map(({ spec }) => spec.id)
    if (kept.length > 0) {
      throw new Problem('protected', `Of its databases these have deletionProtection: ${listed(kept)}. Set it to false first.`, {
        extensions: { databases: kept },
      })
    }
    const unprotected = databases.filter(isUnprotected).map(({ spec }) => spec.id)
    return {
      action: 'delete',
      target,
      parameters: { cascade, retainVolumes, ...(unprotected.length > 0 && { unprotected }) },
      timeoutSeconds: seconds(config.timeouts.delete),
      tryOut: [],
    }
  })
}

/**
 * The project that a database's request needs.
 *
 * @param seesOff whether the request is one of those that see a database off: they are taken too while the project leaves unasked,
 *   since it waits for its databases and no other request helps it on
 * @throws Problem when there is none, or when it is on its way out
 */
export function projectFor(
  { accepted }: Pick<AdmissionParts, 'accepted'>,
  id: string,
  { seesOff = false } = {},
): AcceptedResource<ProjectSpec> {
  const project = accepted.project(id)
  if (!project) throw noSuchProject(id)
  if (project.leaving && !(seesOff && leavesUnasked(project))) throw leavingProblem(`project ${id}`, project)
  return project
}

/** There is none of that id. */
export function noSuchProject(id: string): Problem {
  return new Problem('not-found', `There is no project ${id}. It is created by PUT /v1/projects/${id}.`)
}

function decidePut(
  { accepted, config }: AdmissionParts,
  target: ProjectTarget,
  guard: Guard<ProjectSpec>,
  intent: (present: AcceptedResource<ProjectSpec> | undefined) => ProjectSpec,
): Proposal | undefined {
  const present = accepted.project(target.project)
  guard(present)
  const wanted = intent(present)
  const seesOff = present?.leaving && leavesUnasked(present) && onlyUnprotects(wanted, present.spec)
  if (present?.leaving && !seesOff) throw leavingProblem(`project ${target.project}`, present)
  if (wanted.id !== target.project) {
    throw refusal('invalid-fields', [{ path: '/id', message: `must be "${target.project}", as in the path` }])
  }
  if (present && sameJson(wanted, present.spec)) return undefined
  return {
    action: 'put',
    target,
    wanted,
    timeoutSeconds: seconds(config.timeouts[present ? 'change' : 'create']),
    tryOut: [desiredProject(wanted)],
  }
}

function admission(decide: () => Proposal | undefined): Admission {
  return { decide, credentials: () => [] }
}

function listed(names: string[], most = 10): string {
  return names.length > most ? `${names.slice(0, most).join(', ')} and ${names.length - most} more` : names.join(', ')
}
