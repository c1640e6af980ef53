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

/** On a volume that was kept: `NAMESPACE/CLAIM`, and what its policy was if that was changed. */
const annotation = { from: 'skerry.dev/retained-from', policy: 'skerry.dev/reclaim-policy' }

/**
 * Keeps the data volumes of a database from going with it: its claims are owned by the CrateDB and go when that goes, so the
 * volumes behind them are told to stay (`Retain`) and are labelled with whose they were. Heap-dump volumes are not kept.
 */
export async function retainVolumes(cluster: WorkCluster, database: KubernetesObject): Promise<RetainedVolume[]> {
  const claims = await claimsOf(cluster, database)
  const retained = claims.filter(({ metadata }) => metadata.name.startsWith('data')).map((claim) => retain(cluster, claim, database))
  return (await Promise.all(retained)).filter((volume) => volume !== undefined)
}

/**
 * Lets the volumes of a database go with it: those that were kept once, and taken back since, get the policy again that they had.
 *
 * @returns the volumes that stay all the same, since the cluster was told elsewhere to retain them
 */
export async function releaseVolumes(cluster: WorkCluster, database: KubernetesObject): Promise<RetainedVolume[]> {
  const released = (await claimsOf(cluster, database)).map((claim) => release(cluster, claim))
  return (await Promise.all(released)).filter((volume) => volume !== undefined)
}

async function claimsOf(cluster: WorkCluster, { metadata }: KubernetesObject): Promise<KubernetesObject[]> {
  const claims = await cluster.list('PersistentVolumeClaim', metadata.namespace as string, `app.kubernetes.io/name=${metadata.name}`)
  return claims.filter(({ spec }) => spec?.volumeName)
}

const volumeOf = ({ spec }: KubernetesObject) => ({ kind: 'PersistentVolume' as const, name: spec.volumeName as string })

/** @returns undefined for a volume that is gone already: there is nothing to keep, and the database must be able to go all the same */
async function retain(cluster: WorkCluster, claim: KubernetesObject, { metadata }: KubernetesObject): Promise<RetainedVolume | undefined> {
  const present = await cluster.read(volumeOf(claim))
  if (!present) return undefined
  const { persistentVolumeReclaimPolicy: policy } = present.spec
  const change = {
    metadata: {
      labels: { [label.project]: metadata.labels?.[label.project] ?? null, [label.database]: metadata.name },
      annotations: { [annotation.from]: nameOf(claim), ...(policy !== 'Retain' && { [annotation.policy]: policy }) },
    },
    spec: { persistentVolumeReclaimPolicy: 'Retain' },
  }
  const volume = await unlessGone(cluster.patch(volumeOf(claim), change))
  return volume && describe(volume, claim)
}

async function release(cluster: WorkCluster, claim: KubernetesObject): Promise<RetainedVolume | undefined> {
  const volume = await cluster.read(volumeOf(claim))
  if (volume?.spec.persistentVolumeReclaimPolicy !== 'Retain') return undefined
  const policy = volume.metadata.annotations?.[annotation.policy]
  if (policy === undefined) return describe(volume, claim)
  await unlessGone(cluster.patch(volumeOf(claim), { spec: { persistentVolumeReclaimPolicy: policy } }))
  return undefined
}

function describe({ metadata, spec }: KubernetesObject, claim: KubernetesObject): RetainedVolume {
  const { capacity, storageClassName, csi, hostPath, local } = spec
  const handle = csi?.volumeHandle ?? hostPath?.path ?? local?.path
  return {
    volume: metadata.name,
    claim: nameOf(claim),
    ...(capacity?.storage && { capacity: capacity.storage }),
    ...(storageClassName && { storageClass: storageClassName }),
    ...(handle && { handle }),
  }
}

function nameOf({ metadata }: KubernetesObject): string {
  return `${metadata.namespace}/${metadata.name}`
}
