import { unlessGone } from '../../../shared/kubernetes/failures.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { dataVolumeOf, keepingPatch, lettingGoPatch, meeting, type VolumePatch, volumeAnnotation } from '../../resources/kept-volume.ts'
import type { DatabaseTarget } from '../../resources/kind.ts'
import { label } from '../../resources/labels.ts'
import type { WorkCluster } from './cluster.ts'
import type { WorkContext } from './context.ts'

/** A volume that outlives its database, with everything that is needed to reuse it: its former claim, and where the data is. */
export type RetainedVolume = {
  volume: string
  claim: string
  capacity?: string
  storageClass?: string
  /** The storage driver's name for it; a path for a volume of the host. */
  handle?: string
}

/**
 * Keeps the volumes of a database or lets them go.
 * @returns the volumes that outlive the database: all of them, or those that cannot be let go
 */
export function settleVolumes(
  { cluster, operation }: Pick<WorkContext, 'cluster' | 'operation'>,
  database: KubernetesObject,
  retain: boolean,
): Promise<RetainedVolume[]> {
  return retain ? retainVolumes(cluster, database) : releaseVolumes(cluster, database, operation.metadata.name)
}

/**
 * Makes sure that the data volumes of a database outlive it. The controller of volumes keeps each volume as soon as it is bound, but an
 * operation that relies on that asks the API server itself.
 *
 * @returns the volumes that will stay
 */
async function retainVolumes(cluster: WorkCluster, database: KubernetesObject): Promise<RetainedVolume[]> {
  return settle(cluster, await claimsOf(cluster, database), (present) => {
    const volume = dataVolumeOf(present)
    return volume && keepingPatch(volume, database.metadata.name, database)
  })
}

/**
 * Lets the volumes of a database go: they get back the reclaim policy from before they were kept.
 *
 * @param operation the name of the operation
 * @returns the volumes that stay, since the cluster retains them by its own policy
 */
async function releaseVolumes(cluster: WorkCluster, database: KubernetesObject, operation: string): Promise<RetainedVolume[]> {
  return settle(cluster, await claimsOf(cluster, database), (volume) => lettingGoPatch(volume, operation))
}

/** The kept volumes of a database, by their own labels, since its claims may be gone. */
export async function keptVolumes(cluster: WorkCluster, { project, database }: DatabaseTarget): Promise<RetainedVolume[]> {
  const volumes = await cluster.list('PersistentVolume', undefined, `${label.project}=${project},${label.database}=${database}`)
  const kept = volumes.filter(({ spec }) => spec?.persistentVolumeReclaimPolicy === 'Retain')
  return kept.map((volume) => describe(volume, volume.metadata.annotations?.[volumeAnnotation.from] ?? ''))
}

async function claimsOf(cluster: WorkCluster, { metadata }: KubernetesObject): Promise<KubernetesObject[]> {
  const claims = await cluster.list('PersistentVolumeClaim', metadata.namespace as string, `app.kubernetes.io/name=${metadata.name}`)
  return claims.filter(({ spec }) => spec?.volumeName)
}

/** Patches the volume of each claim, if necessary. Resolves with the volumes that will outlive their claims. */
async function settle(
  cluster: WorkCluster,
  claims: KubernetesObject[],
  patchOf: (volume: KubernetesObject) => VolumePatch | undefined,
): Promise<RetainedVolume[]> {
  const settled = claims.map(async (claim) => {
    const ref = { kind: 'PersistentVolume' as const, name: claim.spec.volumeName as string }
    const present = await cluster.read(ref)
    // A volume that is already gone must not prevent the deletion of the database.
    const patch = present && patchOf(present)
    const volume = patch ? await unlessGone(cluster.patch(ref, meeting(present, patch))) : present
    return volume?.spec.persistentVolumeReclaimPolicy === 'Retain'
      ? describe(volume, `${claim.metadata.namespace}/${claim.metadata.name}`)
      : undefined
  })
  return (await Promise.all(settled)).filter((volume) => volume !== undefined)
}

function describe({ metadata, spec }: KubernetesObject, claim: string): RetainedVolume {
  const { capacity, storageClassName, csi, hostPath, local } = spec
  const handle = csi?.volumeHandle ?? hostPath?.path ?? local?.path
  return {
    volume: metadata.name,
    claim,
    ...(capacity?.storage && { capacity: capacity.storage }),
    ...(storageClassName && { storageClass: storageClassName }),
    ...(handle && { handle }),
  }
}
