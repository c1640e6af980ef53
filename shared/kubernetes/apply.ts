import type { Cluster } from './connection.ts'
import { type KubernetesObject, pathOfObject } from './objects.ts'

export type ApplyOptions = {
  fieldManager: string
  /** Take over fields that another manager owns. Only where the present value was read first and is meant to go. */
  force?: boolean
  /** Let the API server do all but store it. */
  dryRun?: boolean
  signal?: AbortSignal | undefined
}

/**
 * Applies one object on the server's side: the fields in it become the manager's, those it applied before and no longer
 * names are taken away. Where `metadata.resourceVersion` is given the object must still be that version.
 *
 * @returns the object as the server has it now
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
