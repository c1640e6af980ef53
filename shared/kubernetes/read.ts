import type { Cluster, ClusterRequest } from './connection.ts'
import { unlessGone } from './failures.ts'
import { type Kind, type KubernetesObject, pathOf } from './objects.ts'

/** The object at that path; undefined when it does not exist. @throws Problem as `Cluster.request` does */
export function readObject<T = KubernetesObject>(cluster: Pick<Cluster, 'request'>, path: string): Promise<T | undefined> {
  return unlessGone(cluster.request<T>({ method: 'GET', path }))
}

/** The objects of a collection, each with the kind that a list leaves out. @throws Problem as `Cluster.request` does */
export async function listObjects<T extends KubernetesObject = KubernetesObject>(
  cluster: Pick<Cluster, 'request'>,
  kind: Kind,
  { namespace, ...how }: { namespace?: string | undefined } & Pick<ClusterRequest, 'query' | 'signal' | 'timeoutMs'> = {},
): Promise<T[]> {
  const { items = [] } = await cluster.request<{ items?: T[] }>({ method: 'GET', path: pathOf(kind, namespace), ...how })
  return items.map((item) => ({ ...item, apiVersion: kind.apiVersion, kind: kind.kind }))
}
