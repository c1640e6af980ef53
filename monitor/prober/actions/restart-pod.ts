import { Problem } from '../../../shared/errors.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
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
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods`
  const query = { labelSelector: selector, limit: mostPods + 1 }
  const { items = [] } = await cluster.request<{ items?: KubernetesObject[] }>({ method: 'GET', path, query, signal })
  if (items.length > mostPods) throw new Error(`the selector matches more than ${mostPods} pods, so none was deleted: make it narrower`)
  const pods = items.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
  if (pods.length === 0) throw new Error('the selector matches no pod')
  const deleted: string[] = []
  for (const { metadata } of pods) {
    try {
      // This pod only, and not a new one of the same name.
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid: metadata.uid } }
      await cluster.request({ method: 'DELETE', path: `${path}/${encodeURIComponent(metadata.name)}`, body, signal })
      deleted.push(metadata.name)
    } catch (error) {
      if (!(error instanceof Problem && (error.type === 'not-found' || error.type === 'conflict'))) throw error
    }
  }
  return deleted.length === 0 ? 'the pods were gone already' : `deleted ${someOf(deleted, mostPods)}`
}
