import { Problem } from '../../../shared/errors.ts'
import type { StoredDatabaseSpec } from '../../resources/database.ts'
import { type DatabaseTarget, describeTarget, type Target } from '../../resources/kind.ts'
import { isDeletion } from '../../resources/operation.ts'
import type { ProjectSpec } from '../../resources/project.ts'
import type { AcceptedResource } from '../accepted.ts'
import type { DecisionParts, Guard } from './decision.ts'

/**
 * The project of the database in a request.
 *
 * @param seesOff the request helps to delete the database. Then a project that is being deleted without an operation is accepted too,
 *   because it waits for its databases
 * @throws Problem when the project does not exist or is being deleted
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
 * The database in a request.
 *
 * @param seesOff the request helps to delete the database. Then a database that is being deleted without an operation is accepted too
 * @throws Problem when the database does not exist, or when it or its project is being deleted
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

/** No project has that id. */
export function noSuchProject(id: string): Problem {
  return new Problem('not-found', `There is no project ${id}. It is created by PUT /v1/projects/${id}.`)
}

/** No database has that id. */
export function noSuchDatabase({ project, database }: { project: string; database: string }): Problem {
  return new Problem('not-found', `There is no database ${database} in project ${project}.`)
}

/** The resource is being deleted, so the request is not possible. */
export function leavingProblem(target: Target, resource: AcceptedResource<unknown>): Problem {
  const { operation } = resource
  const by = operation && isDeletion(operation) ? ` by operation ${operation.metadata.name}` : ''
  const left = leavesUnasked(resource) ? ' Until then it can be read and deleted, and its deletionProtection can be turned off.' : ''
  return new Problem('wrong-state', `The ${describeTarget(target)} is being deleted${by}. Repeat the request when it is gone.${left}`, {
    ...(operation && { extensions: { operation: operation.metadata.name } }),
  })
}

/** Whether it is being deleted without an operation: somebody used kubectl, or the operation that deleted it ended too early. */
export function leavesUnasked({ leaving, operation }: AcceptedResource<unknown>): boolean {
  return leaving && !(operation && isDeletion(operation))
}
