import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { readDatabase } from '../../resources/cratedb.ts'
import type { Cure, CureKind } from '../../resources/cure.ts'
import { projectOf } from '../../resources/kind.ts'
import { readProject } from '../../resources/project.ts'
import { cures } from './cures.ts'

type OfDatabase = CureKind<'<project><database>'>

/** How to delete a database by the API and keep its volumes. If it is protected, the protection is turned off first. */
export function deletionOf(database: KubernetesObject, { unprotect, remove }: { unprotect: OfDatabase; remove: OfDatabase }): Cure[] {
  const { namespace = '', name } = database.metadata
  const named = { project: projectOf(namespace) ?? '', database: name }
  return [...(isProtected(database) ? [unprotect(named)] : []), remove(named)]
}

/**
 * How to finish the deletion of a project that still holds databases: the protections are turned off, then all databases are deleted at
 * once. The API refuses that while a protected database is already being deleted: then the others are deleted one by one, and the project
 * follows.
 *
 * @param databases those of the project; all of them may already be in deletion
 */
export function cascadeOf(project: KubernetesObject, databases: KubernetesObject[]): Cure[] {
  const { unprotectDatabase, unprotectProject, cascade, remove } = cures.DatabasesRemain
  const standing = databases.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
  if (databases.some((database) => !standing.includes(database) && isProtected(database)))
    return standing.flatMap((database) => deletionOf(database, { unprotect: unprotectDatabase, remove }))
  const named = { project: project.metadata.name }
  return [
    ...standing.filter(isProtected).map(({ metadata }) => unprotectDatabase({ ...named, database: metadata.name })),
    ...(readProject(project).deletionProtection ? [unprotectProject(named)] : []),
    cascade(named),
  ]
}

function isProtected(database: KubernetesObject): boolean {
  return readDatabase(database).deletionProtection
}
