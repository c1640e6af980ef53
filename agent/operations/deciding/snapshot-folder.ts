import type { BodyFault } from '../../../shared/errors.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { readDatabase } from '../../resources/cratedb.ts'
import type { StoredDatabaseSpec } from '../../resources/database.ts'
import { type DatabaseTarget, namespaceOf } from '../../resources/kind.ts'
import { isSamePlace, withBasePath } from '../../resources/snapshots.ts'

/** The wanted state with the folder of its snapshots in it, whether the request names it or not. @param at the database and its region */
export function withFolder(
  wanted: StoredDatabaseSpec,
  present: StoredDatabaseSpec | undefined,
  at: DatabaseTarget & { region: string },
): StoredDatabaseSpec {
  return wanted.snapshots ? { ...wanted, snapshots: withBasePath(wanted.snapshots, present?.snapshots, at) } : wanted
}

/**
 * The fault of a folder that another database of the region writes into. CrateDB expects to be the only writer: two of them destroy each other's
 * snapshots.
 */
export function sharedFolder(
  { project, database }: DatabaseTarget,
  { snapshots }: StoredDatabaseSpec,
  present: StoredDatabaseSpec | undefined,
  databases: Iterable<KubernetesObject>,
): BodyFault[] {
  if (!snapshots || (present?.snapshots && isSamePlace(snapshots, present.snapshots))) return []
  for (const object of databases) {
    const { namespace, name } = object.metadata
    const other = readDatabase(object).snapshots
    if ((namespace === namespaceOf(project) && name === database) || !other || !isSamePlace(other, snapshots)) continue
    return [{ path: '/snapshots/s3/basePath', message: 'is the folder of another database of this region; each needs its own' }]
  }
  return []
}
