import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { readDatabase } from './cratedb.ts'
import { projectOf } from './kind.ts'
import { label } from './labels.ts'

/** What a volume of a database bears, so that it can be found, taken back and let go when nothing else is left of the database. */
export const volumeAnnotation = {
  /** `NAMESPACE/CLAIM`: the claim that it served. */
  from: 'skerry.dev/retained-from',
  /** Its reclaim policy before Skerry changed that to `Retain`. */
  policy: 'skerry.dev/reclaim-policy',
  /** What the database is made of, as JSON (`DatabaseShape`): only one of that shape takes the volume back. */
  shape: 'skerry.dev/database-shape',
  /** The operation that was asked to let the volume go with its database. */
  letGo: 'skerry.dev/let-go-by',
} as const

/** The part of a database that decides about its claims: their number, names, sizes and class. */
export type DatabaseShape = {
  version: string
  nodes: { count: number; disk: { count: number; size: string; storageClass: string } }
  master?: DatabaseShape['nodes']
}

/** Of a PersistentVolume, what the keeping of it looks at. */
export type VolumeFacts = {
  metadata: Pick<KubernetesObject['metadata'], 'name' | 'labels' | 'annotations' | 'resourceVersion' | 'uid'>
  policy: string
}

/** Reads a PersistentVolume. */
export function volumeFacts({ metadata, spec }: KubernetesObject): VolumeFacts {
  const { name, labels = {}, annotations = {}, resourceVersion, uid } = metadata
  return {
    metadata: {
      name,
      labels: picked(labels, [label.project, label.database]),
      annotations: picked(annotations, Object.values(volumeAnnotation)),
      ...(resourceVersion !== undefined && { resourceVersion }),
      ...(uid !== undefined && { uid }),
    },
    policy: spec?.persistentVolumeReclaimPolicy ?? 'Delete',
  }
}

/** A claim of a database: the one that a volume serves. */
export type ClaimOf = { namespace: string; name: string; database: string }

/** Whether a claim holds data, by the name that the Crate Operator gives it. The others are for heap dumps, which are not kept. */
export function holdsData(claim: string): boolean {
  return /^data\d/.test(claim)
}

/** A merge patch of a PersistentVolume. */
export type VolumePatch = { metadata: { labels?: Marks; annotations: Marks }; spec?: { persistentVolumeReclaimPolicy: string } }
type Marks = Record<string, string | null>

/**
 * What makes a volume outlive its claim, its database and its namespace: the policy `Retain`, and whose it is.
 *
 * @param database the CrateDB; undefined where it is gone, and the shape noted before stays
 * @returns undefined when all of it is so already
 */
export function keepingPatch(volume: VolumeFacts, claim: ClaimOf, database: KubernetesObject | undefined): VolumePatch | undefined {
  const annotations: Marks = {
    [volumeAnnotation.from]: `${claim.namespace}/${claim.name}`,
    [volumeAnnotation.letGo]: null,
    ...(volume.policy !== 'Retain' && { [volumeAnnotation.policy]: volume.policy }),
    ...(database && { [volumeAnnotation.shape]: JSON.stringify(shapeOf(database)) }),
  }
  const labels: Marks = { [label.project]: projectOf(claim.namespace) ?? null, [label.database]: claim.database }
  const isSo = volume.policy === 'Retain' && bears(volume.metadata.labels, labels) && bears(volume.metadata.annotations, annotations)
  return isSo ? undefined : { metadata: { labels, annotations }, spec: { persistentVolumeReclaimPolicy: 'Retain' } }
}

/**
 * What lets a volume go with its claim: the policy that it had before it was kept, and the operation that asked for it.
 *
 * A volume that `Retain`s by its class, or by somebody else's hand, has no policy to go back to: it stays.
 */
export function lettingGoPatch({ policy, metadata }: VolumeFacts, operation: string): VolumePatch {
  const before = metadata.annotations?.[volumeAnnotation.policy]
  const annotations = { [volumeAnnotation.letGo]: operation }
  return policy === 'Retain' && before !== undefined
    ? { metadata: { annotations }, spec: { persistentVolumeReclaimPolicy: before } }
    : { metadata: { annotations } }
}

/** The patch for the very version that it was made from: what somebody else wrote meanwhile is looked at anew, not undone. */
export function meeting({ metadata }: KubernetesObject, patch: VolumePatch): VolumePatch & { metadata: { resourceVersion: string } } {
  return { ...patch, metadata: { ...patch.metadata, resourceVersion: metadata.resourceVersion as string } }
}

/** The operation that lets the volume go, if one does. */
export function letGoBy({ metadata }: VolumeFacts): string | undefined {
  return metadata.annotations?.[volumeAnnotation.letGo]
}

function shapeOf(database: KubernetesObject): DatabaseShape {
  const { version, nodes, master } = readDatabase(database)
  const group = ({ count, disk }: DatabaseShape['nodes']) => ({ count, disk: { ...disk } })
  return { version, nodes: group(nodes), ...(master && { master: group(master) }) }
}

function bears(has: Record<string, string> = {}, marks: Marks): boolean {
  return Object.entries(marks).every(([key, value]) => (has[key] ?? null) === value)
}

function picked(from: Record<string, string>, keys: readonly string[]): Record<string, string> {
  return Object.fromEntries(keys.flatMap((key) => (from[key] === undefined ? [] : [[key, from[key]]])))
}
