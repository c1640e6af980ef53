import type { Clock } from '../../shared/clock.ts'
import { type Cache, createCache } from '../../shared/kubernetes/cache.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds, type ObjectMeta } from '../../shared/kubernetes/objects.ts'
import type { Log } from '../../shared/log.ts'
import { type BackupImage, backupImageOf } from '../resources/backup-image.ts'
import { type HeapDumpVolume, heapDumpVolumeOf } from '../resources/heap-dump-volume.ts'
import { type OperatorRelease, operatorRelease } from '../resources/release.ts'
import { identityOf } from './caches.ts'

/** The fields of the Crate Operator's Deployment that are kept. */
export type OperatorView = {
  metadata: Pick<ObjectMeta, 'name' | 'namespace' | 'resourceVersion'>
  replicas: number
  readyReplicas: number
  image: string | undefined
  heapDumpVolume: HeapDumpVolume
  backupImage: BackupImage
}

/** Follows the Crate Operator's Deployment, and no other. */
export function createOperatorCache(
  { namespace, name }: { namespace: string; name: string },
  tools: { cluster: Cluster; clock: Clock; log: Log },
): Cache<OperatorView> {
  return createCache<OperatorView>({ kind: kinds.Deployment, namespace, fieldSelector: `metadata.name=${name}`, view: operatorView }, tools)
}

function operatorView(deployment: KubernetesObject): OperatorView {
  const { spec, status } = deployment
  return {
    metadata: identityOf(deployment),
    replicas: spec?.replicas ?? 1,
    readyReplicas: status?.readyReplicas ?? 0,
    image: spec?.template?.spec?.containers?.[0]?.image,
    heapDumpVolume: heapDumpVolumeOf(deployment),
    backupImage: backupImageOf(deployment),
  }
}

/**
 * The heap-dump volume that each node of a new database gets with the present settings of the operator. If there is no operator, or its
 * settings come from outside its own environment, the size is `otherwise` and the class is unknown.
 */
export function heapDumpVolumeNow(
  cache: { get(key: string): OperatorView | undefined },
  { namespace, name }: { namespace: string; name: string },
  otherwise: string,
): { size: string; storageClass: string | undefined } {
  const { size = otherwise, storageClass } = cache.get(`${namespace}/${name}`)?.heapDumpVolume ?? {}
  return { size, storageClass }
}

/** Whether the operator has an image for backups now; `unknown` if there is no operator. */
export function backupImageNow(
  cache: { get(key: string): OperatorView | undefined },
  { namespace, name }: { namespace: string; name: string },
): BackupImage {
  return cache.get(`${namespace}/${name}`)?.backupImage ?? 'unknown'
}

/** The release of the operator that runs now. @param at `version`: the release that the configuration states */
export function operatorReleaseNow(
  cache: { get(key: string): OperatorView | undefined },
  { namespace, name, version }: { namespace: string; name: string; version?: string | undefined },
): OperatorRelease {
  return operatorRelease(cache.get(`${namespace}/${name}`)?.image, version)
}
