import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { readDatabase } from '../../resources/cratedb.ts'
import type { Progress } from './context.ts'

/**
 * Whether the database is protected although its deletion was accepted: the protection was turned on later, or the accepting replica had not
 * seen it. An operation that turns the protection off and was accepted earlier is superseded by the deletion, whose parameters record that.
 */
export function isProtected(database: KubernetesObject): boolean {
  return database.metadata.deletionTimestamp === undefined && readDatabase(database).deletionProtection
}

/** The failure of a deletion because of protected databases. */
export function stillProtected(databases: KubernetesObject[]): Progress {
  const names = databases.map(({ metadata }) => metadata.name).join(', ')
  return {
    next: 'failed',
    reason: 'Protected',
    message: `Protected against deletion: ${names}.`,
    action: 'Set deletionProtection to false first, if the deletion is really meant.',
  }
}
