import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { readDatabase } from '../../resources/cratedb.ts'
import type { Progress } from './context.ts'

/**
 * Protected since the deletion was accepted, or without the replica that accepted it having heard of that. What was accepted before it
 * to take the protection away gave way to the deletion, which says so in its parameters.
 */
export function isProtected(database: KubernetesObject): boolean {
  return database.metadata.deletionTimestamp === undefined && readDatabase(database).deletionProtection
}

/** The end of a deletion that met protected databases. */
export function stillProtected(databases: KubernetesObject[]): Progress {
  const names = databases.map(({ metadata }) => metadata.name).join(', ')
  return {
    next: 'failed',
    reason: 'Protected',
    message: `Protected against deletion: ${names}.`,
    action: 'Set deletionProtection to false first, if the deletion is really meant.',
  }
}
