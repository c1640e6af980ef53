import type { BodyFault } from '../../../shared/errors.ts'
import { readDatabase } from '../../resources/cratedb.ts'
import type { StoredDatabaseSpec } from '../../resources/database.ts'
import { type DatabaseTarget, namespaceOf } from '../../resources/kind.ts'
import { isSamePlace, type StoredSnapshots, withBasePath } from '../../resources/snapshots.ts'
import type { DecisionParts } from './decision.ts'

/** The wanted state with the folder of its snapshots in it, whether the request names it or not. @param at the database and its region */
export function withFolder(
  wanted: StoredDatabaseSpec,
  present: StoredDatabaseSpec | undefined,
  at: DatabaseTarget & { region: string },
): StoredDatabaseSpec {
  return wanted.snapshots ? { ...wanted, snapshots: withBasePath(wanted.snapshots, present?.snapshots, at) } : wanted
}

/**
 * The fault of a folder that another database of the region writes into, or is about to. CrateDB expects to be the only writer: two of them destroy
 * each other's snapshots.
 */
export function sharedFolder(
  { project, database }: DatabaseTarget,
  { snapshots }: StoredDatabaseSpec,
  present: StoredDatabaseSpec | undefined,
  parts: Pick<DecisionParts, 'accepted' | 'caches' | 'journal'>,
): BodyFault[] {
  if (!snapshots || (present?.snapshots && isSamePlace(snapshots, present.snapshots))) return []
  for (const other of writers(parts)) {
    if ((other.namespace === namespaceOf(project) && other.database === database) || !isSamePlace(other.snapshots, snapshots)) continue
    return [{ path: '/snapshots/s3/basePath', message: 'is the folder of another database of this region; each needs its own' }]
  }
  return []
}

type Writer = { namespace: string | undefined; database: string; snapshots: StoredSnapshots }

/** The databases with snapshots: those that stand as they are, and those that were asked for as they will be. */
function* writers({ accepted, caches, journal }: Pick<DecisionParts, 'accepted' | 'caches' | 'journal'>): Generator<Writer> {
  for (const object of caches.databases.values()) {
    const { snapshots } = readDatabase(object)
    if (snapshots) yield { namespace: object.metadata.namespace, database: object.metadata.name, snapshots }
  }
  for (const target of journal.unendedTargets()) {
    if (target.kind !== 'database') continue
    const { project, database } = target
    const snapshots = accepted.database(project, database)?.spec.snapshots
    if (snapshots) yield { namespace: namespaceOf(project), database, snapshots }
  }
}
