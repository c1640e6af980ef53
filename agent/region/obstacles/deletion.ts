import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { readDatabase } from '../../resources/cratedb.ts'
import type { Cure, CureKind } from '../../resources/cure.ts'
import { projectOf } from '../../resources/kind.ts'
import { readProject } from '../../resources/project.ts'
import { cures } from './cures.ts'

type OfDatabase = CureKind<'<project><database>'>

/** What has a database deleted by the API, its volumes kept: where it is protected, its protection is taken off before that. */
export function deletionOf(database: KubernetesObject, { unprotect, remove }: { unprotect: OfDatabase; remove: OfDatabase }): Cure[] {
  const { namespace = '', name } = database.metadata
  const named = { project: projectOf(namespace) ?? '', database: name }
  return [...(isProtected(database) ? [unprotect(named)] : []), remove(named)]
}

/**
 * What helps a project on that was deleted and still holds databases: its protections are taken off, then all goes at once. While a protected
 * database is on its way out already the API does not let all go at once: then the others are deleted one by one, and the project follows.
 *
 * @param databases those of the project, none of which has to stand
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
