import { unlessGone } from '../../../shared/kubernetes/failures.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { groupNames, isClaimOf } from '../../resources/data-claims.ts'
import { dataVolumeOf, keepingPatch, lettingGoPatch, meeting, type VolumePatch, volumeAnnotation } from '../../resources/kept-volume.ts'
import type { DatabaseTarget } from '../../resources/kind.ts'
import { label } from '../../resources/labels.ts'
import type { RetainedDatabase, RetainedDatabaseVolume } from '../../resources/retained-database.ts'
import { recordedVolumes } from '../../resources/retained-keeping.ts'
import { retainedVolumeOf } from '../../resources/retained-record.ts'
import type { WorkCluster } from './cluster.ts'
import type { WorkContext } from './context.ts'
import { unlessNotServed } from './unless-not-served.ts'

/**
 * Keeps the volumes of a database or lets them go.
 * @returns the volumes that outlive the database: all of them, or those that cannot be let go
 */
export function settleVolumes(
  { cluster, operation }: Pick<WorkContext, 'cluster' | 'operation'>,
  database: KubernetesObject,
  retain: boolean,
): Promise<RetainedDatabaseVolume[]> {
  return retain ? retainVolumes(cluster, database) : releaseVolumes(cluster, database, operation.metadata.name)
}

/**
 * Makes sure that the data volumes of a database outlive it. The controller of volumes keeps each volume as soon as it is bound, but an
 * operation that relies on that asks the API server itself.
 *
 * @returns the volumes that will stay
 */
async function retainVolumes(cluster: WorkCluster, database: KubernetesObject): Promise<RetainedDatabaseVolume[]> {
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
async function releaseVolumes(cluster: WorkCluster, database: KubernetesObject, operation: string): Promise<RetainedDatabaseVolume[]> {
  return settle(cluster, await claimsOf(cluster, database), (volume) => lettingGoPatch(volume, operation))
}

/**
 * The kept volumes of a database, by their own labels, since its claims may be gone. Not those that are recorded for an earlier database of
 * that name: of two for the same claim, the newer one served the database.
 *
 * @param uid of its CrateDB, if it is known
 */
export async function keptVolumes(
  { cluster, options, operation }: Pick<WorkContext, 'cluster' | 'options' | 'operation'>,
  { project, database }: DatabaseTarget,
  uid: string | undefined,
): Promise<RetainedDatabaseVolume[]> {
  const selector = `${label.project}=${project},${label.database}=${database}`
  const records = await unlessNotServed(cluster.list('RetainedDatabase', options.namespace, selector))
  // This operation may have written the record before it was interrupted.
  const isOwn = ({ spec }: KubernetesObject) => spec?.operation === operation.metadata.name || (uid !== undefined && spec?.uid === uid)
  const recorded = recordedVolumes((records ?? []).filter((record) => !isOwn(record)) as RetainedDatabase[])
  const volumes = await cluster.list('PersistentVolume', undefined, selector)
  const kept = volumes.filter(({ spec, metadata }) => spec?.persistentVolumeReclaimPolicy === 'Retain' && !recorded.has(metadata.uid ?? ''))
  const byClaim = Map.groupBy(kept, ({ metadata }) => metadata.annotations?.[volumeAnnotation.from] ?? '')
  return [...byClaim].map(([claim, all]) => retainedVolumeOf(all.reduce(newer), claim))
}

function newer(one: KubernetesObject, other: KubernetesObject): KubernetesObject {
  return (other.metadata.creationTimestamp ?? '') > (one.metadata.creationTimestamp ?? '') ? other : one
}

/** A data claim whose volume does not outlive the database, and why. */
export type ClaimNotKept = { claim: string; why: string }

/**
 * The data claims of a database that have nothing to keep, so that nobody takes the volumes that are kept for all of its data.
 * @param kept the volumes that will stay
 */
export async function claimsNotKept(
  cluster: WorkCluster,
  { metadata: { name: database, namespace = '' }, spec }: KubernetesObject,
  kept: readonly RetainedDatabaseVolume[],
): Promise<ClaimNotKept[]> {
  const claims = await cluster.list('PersistentVolumeClaim', namespace, `app.kubernetes.io/name=${database}`)
  const settled = new Set(kept.map(({ claim }) => claim))
  const groups = groupNames(spec)
  const others = claims.filter(
    ({ metadata }) => isClaimOf(metadata.name, database, groups) && !settled.has(`${namespace}/${metadata.name}`),
  )
  return Promise.all(
    others.map(async ({ metadata, spec }) => {
      const { volumeName } = spec ?? {}
      const volume = volumeName && (await cluster.read({ kind: 'PersistentVolume', name: volumeName }))
      return { claim: `${namespace}/${metadata.name}`, why: whyNotKept(volumeName, volume || undefined) }
    }),
  )
}

function whyNotKept(name: string | undefined, volume: KubernetesObject | undefined): string {
  if (!name) return 'it has no volume yet, and so no data'
  if (!volume) return `its volume ${name} no longer exists`
  const { phase, message } = volume.status ?? {}
  if (phase === 'Failed') return `its volume ${name} has failed, and its storage may have deleted it${message ? `: ${message}` : ''}`
  return `its volume ${name} is ${phase ?? 'without a phase'}, with the reclaim policy ${volume.spec.persistentVolumeReclaimPolicy}`
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
): Promise<RetainedDatabaseVolume[]> {
  const settled = claims.map(async (claim) => {
    const ref = { kind: 'PersistentVolume' as const, name: claim.spec.volumeName as string }
    const present = await cluster.read(ref)
    // A volume that is already gone must not prevent the deletion of the database.
    const patch = present && patchOf(present)
    const volume = patch ? await unlessGone(cluster.patch(ref, meeting(present, patch))) : present
    return volume?.spec.persistentVolumeReclaimPolicy === 'Retain'
      ? retainedVolumeOf(volume, `${claim.metadata.namespace}/${claim.metadata.name}`)
      : undefined
  })
  return (await Promise.all(settled)).filter((volume) => volume !== undefined)
}
