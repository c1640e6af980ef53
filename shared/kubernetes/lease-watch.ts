import { isProblem } from '../errors.ts'
import { isNewer } from './collection.ts'
import type { Cluster } from './connection.ts'
import type { LeaseObject } from './lease-object.ts'
import { kinds, pathOf } from './objects.ts'

/** The Lease to watch, from a version on, and who hears of each newer one. */
export type LeaseWatch = { namespace: string; name: string; from: LeaseObject | undefined; hear: (lease: LeaseObject) => void }

/**
 * Hears of every change of a Lease when it happens, until the watch ends: who only looks now and then believes that a holder renewed it
 * when the look came, which is seconds later. The watch is selected by name, so that a permission for this one Lease suffices.
 *
 * @returns whether it is of use to begin again: not without the permission, and the looks go on without it
 */
export async function watchLease(
  { namespace, name, from, hear }: LeaseWatch,
  cluster: Pick<Cluster, 'watch'>,
  signal: AbortSignal,
): Promise<boolean> {
  let version = from?.metadata.resourceVersion
  const query = { fieldSelector: `metadata.name=${name}`, resourceVersion: version }
  try {
    for await (const { type, object } of cluster.watch(pathOf(kinds.Lease, namespace), query, signal)) {
      if ((type !== 'ADDED' && type !== 'MODIFIED') || !isNewer(object.metadata.resourceVersion, version)) continue
      version = object.metadata.resourceVersion
      hear(object as LeaseObject)
    }
  } catch (error) {
    return !isProblem(error, 'cluster-forbidden')
  }
  return true
}
