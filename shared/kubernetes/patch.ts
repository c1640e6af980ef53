import type { Cluster } from './connection.ts'
import type { KubernetesObject } from './objects.ts'

/**
 * Merge patch of the object at that path. Fields that its schema does not have are dropped without an error.
 *
 * @param dryRun makes the API server do everything but store the object
 * @returns the object as it is, or would be, stored
 * @throws Problem as `Cluster.request` does
 */
export function mergePatch(
  cluster: Pick<Cluster, 'request'>,
  path: string,
  change: unknown,
  { fieldManager, dryRun = false }: { fieldManager: string; dryRun?: boolean },
): Promise<KubernetesObject> {
  const query = { fieldManager, dryRun: dryRun ? 'All' : undefined }
  return cluster.request<KubernetesObject>({ method: 'PATCH', path, query, contentType: 'application/merge-patch+json', body: change })
}
