import { Problem } from '../../../shared/errors.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { someOf } from '../../wire/wording.ts'
import type { Action } from './action.ts'

/** A selector that finds more was not meant so. */
const mostPods = 10

/**
 * Deletes the pods that the selector finds and that are not on their way out already; none if there are more than ten.
 * @returns what was done, in words @throws Error or Problem that says what stands in the way
 */
export async function restartPods(
  { namespace, selector }: Extract<Action, { type: 'restart-pod' }>,
  { cluster, signal }: { cluster: Pick<Cluster, 'request'> | undefined; signal: AbortSignal },
): Promise<string> {
  if (cluster === undefined) throw new Error('this monitor is connected to no cluster')
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods`
  const query = { labelSelector: selector, limit: mostPods + 1 }
  const { items = [] } = await cluster.request<{ items?: KubernetesObject[] }>({ method: 'GET', path, query, signal })
  if (items.length > mostPods) throw new Error(`the selector finds more than ${mostPods} pods, so none was deleted: make it narrower`)
  const pods = items.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
  if (pods.length === 0) throw new Error('the selector finds no pod')
  const deleted: string[] = []
  for (const { metadata } of pods) {
    try {
      // The one that was seen, and not one that took its name since.
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid: metadata.uid } }
      await cluster.request({ method: 'DELETE', path: `${path}/${encodeURIComponent(metadata.name)}`, body, signal })
      deleted.push(metadata.name)
    } catch (error) {
      if (!(error instanceof Problem && (error.type === 'not-found' || error.type === 'conflict'))) throw error
    }
  }
  return deleted.length === 0 ? 'they were gone already' : `deleted ${someOf(deleted, mostPods)}`
}
