import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { otherOwner } from './kept-volume.ts'
import type { DatabaseTarget } from './kind.ts'
import type { RetainedDatabaseVolume } from './retained-database.ts'
import { dataOf } from './volume-source.ts'

/**
 * Why a volume must not be given to the claim of its record; undefined if it may.
 * @param standing the PersistentVolume of that name
 * @param wanted with a manifest, a volume is the same if it has the same data, whatever its uid
 * @param owner the database that is to have the volume
 */
export function whyNotReservable(
  standing: KubernetesObject,
  { volume, claim, uid, manifest }: RetainedDatabaseVolume & { manifest?: KubernetesObject },
  owner: Omit<DatabaseTarget, 'kind'>,
): string | undefined {
  const { metadata, spec, status } = standing
  const isSame = manifest ? isSameData(standing, manifest) : metadata.uid === uid
  if (!isSame) return `volume ${volume} is another one of that name`
  if (metadata.deletionTimestamp) return `volume ${volume} of ${claim} is being deleted`
  const { namespace, name } = spec.claimRef ?? {}
  if (name === undefined) return `volume ${volume} is reserved for nobody, so that any claim may have written to it since`
  if (`${namespace}/${name}` !== claim) return `volume ${volume} serves ${namespace}/${name} by now`
  const other = otherOwner(standing, owner)
  if (other !== undefined) return `volume ${volume} has the data of database ${other}`
  const mayGo = spec.persistentVolumeReclaimPolicy !== 'Retain' && status?.phase !== 'Available'
  return mayGo ? `volume ${volume} has the reclaim policy ${spec.persistentVolumeReclaimPolicy}: its storage may be deleting it` : undefined
}

/** Two of whose data nobody can say where it is are not the same. */
function isSameData({ spec: one }: KubernetesObject, { spec: other }: KubernetesObject): boolean {
  const data = dataOf({ spec: one })
  return data !== undefined && data === dataOf({ spec: other })
}
