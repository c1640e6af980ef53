import { Problem } from '../../../shared/errors.ts'
import type { StoredDatabaseSpec } from '../../resources/database.ts'
import { type DatabaseTarget, describeTarget, type Target } from '../../resources/kind.ts'
import { isDeletion } from '../../resources/operation.ts'
import type { ProjectSpec } from '../../resources/project.ts'
import type { AcceptedResource } from '../accepted.ts'
import type { DecisionParts, Guard } from './decision.ts'

/**
 * The project of a database that a request is about.
 *
 * @param seesOff whether the request helps the database to go. Then it is taken too while the project leaves without an operation,
 *   because the project waits for its databases
 * @throws Problem when there is none, or when it is on its way out
 */
export function projectAround(
  { accepted }: Pick<DecisionParts, 'accepted'>,
  { project: id }: DatabaseTarget,
  { seesOff = false } = {},
): AcceptedResource<ProjectSpec> {
  const project = accepted.project(id)
  if (!project) throw noSuchProject(id)
  if (project.leaving && !(seesOff && leavesUnasked(project))) throw leavingProblem({ kind: 'project', project: id }, project)
  return project
}

/**
 * The database that a request is about.
 *
 * @param seesOff whether the request helps the database to go. Then it is taken too for one that leaves without an operation
 * @throws Problem when there is none, or it or its project is on its way out
 */
export function databaseOfRequest(
  parts: DecisionParts,
  { target, guard }: { target: DatabaseTarget; guard: Guard },
  { seesOff = false } = {},
): AcceptedResource<StoredDatabaseSpec> {
  const present = parts.accepted.database(target.project, target.database)
  guard(present)
  projectAround(parts, target, { seesOff })
  if (!present) throw noSuchDatabase(target)
  if (present.leaving && !(seesOff && leavesUnasked(present))) throw leavingProblem(target, present)
  return present
}

/** There is no project of that id. */
export function noSuchProject(id: string): Problem {
  return new Problem('not-found', `There is no project ${id}. It is created by PUT /v1/projects/${id}.`)
}

/** There is no database of that id. */
export function noSuchDatabase({ project, database }: { project: string; database: string }): Problem {
  return new Problem('not-found', `There is no database ${database} in project ${project}.`)
}

/** The resource is on its way out, and nothing of what the request asks for can be done any more. */
export function leavingProblem(target: Target, resource: AcceptedResource<unknown>): Problem {
  const { operation } = resource
  const by = operation && isDeletion(operation) ? ` by operation ${operation.metadata.name}` : ''
  const left = leavesUnasked(resource) ? ' Until then it can be read and deleted, and its deletionProtection can be turned off.' : ''
  return new Problem('wrong-state', `The ${describeTarget(target)} is being deleted${by}. Repeat the request when it is gone.${left}`, {
    ...(operation && { extensions: { operation: operation.metadata.name } }),
  })
}

/** It is being deleted without an operation: somebody used kubectl, or the operation that deleted it ended before it was gone. */
export function leavesUnasked({ leaving, operation }: AcceptedResource<unknown>): boolean {
  return leaving && !(operation && isDeletion(operation))
}
