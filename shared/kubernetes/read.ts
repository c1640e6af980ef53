import { Problem } from '../errors.ts'
import type { Cluster, ClusterRequest } from './connection.ts'
import { unlessGone } from './failures.ts'
import { type Kind, type KubernetesObject, pathOf } from './objects.ts'

/** The object at that path; undefined when it does not exist. @throws Problem as `Cluster.request` does */
export function readObject<T = KubernetesObject>(cluster: Pick<Cluster, 'request'>, path: string): Promise<T | undefined> {
  return unlessGone(cluster.request<T>({ method: 'GET', path }))
}

/** The objects of a collection. @throws Problem as `Cluster.request` and `itemsOf` do */
export async function listObjects<T extends KubernetesObject = KubernetesObject>(
  cluster: Pick<Cluster, 'request'>,
  kind: Kind,
  { namespace, ...how }: { namespace?: string | undefined } & Pick<ClusterRequest, 'query' | 'signal' | 'timeoutMs'> = {},
): Promise<T[]> {
  return itemsOf(await cluster.request<{ items?: T[] | null }>({ method: 'GET', path: pathOf(kind, namespace), ...how }), kind)
}

/**
 * The objects in a list, each with its kind, which a list leaves out.
 * @throws Problem `cluster-error` for an answer without items, as a proxy may give: whoever takes it for an empty list may delete something
 */
export function itemsOf<T extends KubernetesObject>({ items }: { items?: T[] | null }, kind: Kind): T[] {
  if (items === null) return [] // how Go writes an empty list that nobody made
  if (!Array.isArray(items)) throw new Problem('cluster-error', `The API server answered without a list of ${kind.plural}.`)
  return items.map((item) => ({ ...item, apiVersion: kind.apiVersion, kind: kind.kind }))
}
