import type { RetainedDatabase } from '../../resources/retained-database.ts'
import { isTakenBackBy } from '../../resources/retained-work.ts'
import type { DecisionParts } from './decision.ts'

/**
 * The deleted databases of a project that count against its quota. One that is being taken back does not: its volumes count as those of the
 * database that it becomes.
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
    const open = journal.unended({ kind: 'database', project, database: record.spec.database })
    return !open.some((operation) => isTakenBackBy(operation, record))
  })
}
