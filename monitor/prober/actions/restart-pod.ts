import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { deleteObject } from '../../../shared/kubernetes/delete.ts'
import { kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { listObjects } from '../../../shared/kubernetes/read.ts'
import { someOf } from '../../wire/wording.ts'
import type { Action } from './action.ts'

/** A selector that matches more is probably a mistake. */
const mostPods = 10

/**
 * Deletes the pods that the selector matches, except those that are being deleted already; none if it matches more than ten.
 * @returns a description of what was done @throws Error or Problem with the cause
 */
export async function restartPods(
  { namespace, selector }: Extract<Action, { type: 'restart-pod' }>,
  { cluster, signal }: { cluster: Pick<Cluster, 'request'> | undefined; signal: AbortSignal },
): Promise<string> {
  if (cluster === undefined) throw new Error('this monitor is not connected to a cluster')
  const query = { labelSelector: selector, limit: mostPods + 1 }
  const matched = await listObjects(cluster, kinds.Pod, { namespace, query, signal })
  if (matched.length > mostPods) throw new Error(`the selector matches more than ${mostPods} pods, so none was deleted: make it narrower`)
  const pods = matched.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
  if (pods.length === 0) throw new Error('the selector matches no pod')
  const deleted: string[] = []
  for (const { metadata } of pods) {
    if (await deleteObject(cluster, pathOf(kinds.Pod, namespace, metadata.name), metadata.uid, signal)) deleted.push(metadata.name)
  }
  return deleted.length === 0 ? 'the pods were gone already' : `deleted ${someOf(deleted, mostPods)}`
}
