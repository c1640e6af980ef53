import { keyOf } from '../../../shared/kubernetes/objects.ts'
import type { ImportedDatabase } from '../../region-file/import/verdict.ts'
import { namespaceOf } from '../../resources/kind.ts'
import type { RetainedDatabase } from '../../resources/retained-database.ts'
import { isTakenBackBy } from '../../resources/retained-work.ts'
import type { DecisionParts } from './decision.ts'

/**
 * The deleted databases of a project that count against its quota. One that is being taken back does not, nor one that is not gone yet: its
 * volumes count as those of the database.
 *
 * @param takenBack the name of another one that is to be taken back
 */
export function retainedOf(
  project: string,
  { caches, journal }: Pick<DecisionParts, 'caches' | 'journal'>,
  takenBack?: string,
): RetainedDatabase[] {
  const all = [...caches.retained.values()].filter(({ metadata, spec }) => spec.project === project && metadata.name !== takenBack)
  return all.filter((record) => {
    const { database, uid } = record.spec
    const standing = caches.databases.get(keyOf({ namespace: namespaceOf(project), name: database }))
    const open = journal.unended({ kind: 'database', project, database })
    return !(uid !== undefined && standing?.metadata.uid === uid) && !open.some((operation) => isTakenBackBy(operation, record))
  })
}

/**
 * The record by which the volumes of a database of a region file are kept here, if they are: they must not count twice.
 * @param records those of its name, or all
 */
export function recordOf(
  { caches }: Pick<DecisionParts, 'caches'>,
  { project, body, volumes }: ImportedDatabase,
  records: Iterable<RetainedDatabase> = caches.retained.values(),
): RetainedDatabase | undefined {
  const names = new Set(volumes.map(({ metadata }) => metadata.name))
  const isIts = ({ spec }: RetainedDatabase) =>
    spec.project === project && spec.database === body.id && spec.volumes.some(({ volume }) => names.has(volume))
  return [...records].find(isIts)
}
