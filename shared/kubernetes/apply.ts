import type { Cluster } from './connection.ts'
import { type KubernetesObject, pathOfObject } from './objects.ts'

export type ApplyOptions = {
  fieldManager: string
  /** Takes over fields that another manager owns. Only where the present value was read first and is to be replaced. */
  force?: boolean
  /** Makes the API server do everything but store the object. */
  dryRun?: boolean
  signal?: AbortSignal | undefined
}

/**
 * Server-side apply of one object: its fields become the manager's, and fields that the manager applied before are removed if they are
 * absent now. With `metadata.resourceVersion`, the object must still be that version.
 *
 * @returns the stored object
 * @throws Problem `field-conflict` when another manager owns a field and `force` is not set, and as `Cluster.request` does
 */
export function applyObject(cluster: Cluster, object: KubernetesObject, options: ApplyOptions): Promise<KubernetesObject> {
  const { fieldManager, force = false, dryRun = false, signal } = options
  return cluster.request<KubernetesObject>({
    method: 'PATCH',
    path: pathOfObject(object),
    query: { fieldManager, force, dryRun: dryRun ? 'All' : undefined },
    contentType: 'application/apply-patch+yaml', // JSON is YAML
    body: object,
    signal,
  })
}
