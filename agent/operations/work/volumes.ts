import { unlessGone } from '../../../shared/kubernetes/failures.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { label } from '../../resources/labels.ts'
import type { WorkCluster } from './cluster.ts'

/** A volume that outlives its database, with what is needed to take it back: the claim it served and where its bytes are. */
export type RetainedVolume = {
  volume: string
  claim: string
  capacity?: string
  storageClass?: string
  /** The storage driver's name for it; a path for a volume of the host. */
  handle?: string
}

/**
 * Keeps the data volumes of a database from going with it: its claims are owned by the CrateDB and go when that goes, so the
 * volumes behind them are told to stay (`Retain`) and are labelled with whose they were. Heap-dump volumes are not kept.
 */
export async function retainVolumes(cluster: WorkCluster, { metadata }: KubernetesObject): Promise<RetainedVolume[]> {
  const namespace = metadata.namespace as string
  const claims = await cluster.list('PersistentVolumeClaim', namespace, `app.kubernetes.io/name=${metadata.name}`)
  const bound = claims.filter((claim) => claim.metadata.name.startsWith('data') && claim.spec?.volumeName)
  const retained = await Promise.all(bound.map((claim) => retainVolume(cluster, claim, metadata)))
  return retained.filter((volume) => volume !== undefined)
}

/** @returns undefined for a volume that is gone already: there is nothing to keep, and the database must be able to go all the same */

async function retainVolume(
  cluster: WorkCluster,
  claim: KubernetesObject,
  database: KubernetesObject['metadata'],
): Promise<RetainedVolume | undefined> {
  const change = {
    metadata: {
      labels: { [label.project]: database.labels?.[label.project] ?? null, [label.database]: database.name },
      annotations: { 'skerry.dev/retained-from': `${claim.metadata.namespace}/${claim.metadata.name}` },
    },
    spec: { persistentVolumeReclaimPolicy: 'Retain' },
  }
  const volume = await unlessGone(cluster.patch({ kind: 'PersistentVolume', name: claim.spec.volumeName }, change))
  if (!volume) return undefined
  const { capacity, storageClassName, csi, hostPath, local } = volume.spec
  const handle = csi?.volumeHandle ?? hostPath?.path ?? local?.path
  return {
    volume: volume.metadata.name,
    claim: `${claim.metadata.namespace}/${claim.metadata.name}`,
    ...(capacity?.storage && { capacity: capacity.storage }),
    ...(storageClassName && { storageClass: storageClassName }),
    ...(handle && { handle }),
  }
}
