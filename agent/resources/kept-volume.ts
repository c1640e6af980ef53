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
type DatabaseShape = {
  version: string
  nodes: { count: number; disk: { count: number; size: string; storageClass: string } }
  master?: DatabaseShape['nodes']
}

/** A volume that serves a data claim in the namespace of a project: what the keeping of it looks at. */
export type DataVolume = {
  name: string
  claim: { namespace: string; name: string }
  /** `persistentVolumeReclaimPolicy` */
  policy: string
  /** Its labels and annotations that are Skerry's, by their names. */
  marks: Record<string, string>
}

const markNames = [label.project, label.database, ...Object.values(volumeAnnotation)]

/** Reads a PersistentVolume; undefined where it serves no data claim of a project, or does so no more. */
export function dataVolumeOf({ metadata, spec, status }: KubernetesObject): DataVolume | undefined {
  const { namespace, name } = spec?.claimRef ?? {}
  const isOver = status?.phase === 'Released' || status?.phase === 'Failed'
  if (isOver || !holdsData(name ?? '') || projectOf(namespace ?? '') === undefined) return undefined
  const all = { ...metadata.labels, ...metadata.annotations }
  const marks = Object.fromEntries(markNames.flatMap((mark) => (all[mark] === undefined ? [] : [[mark, all[mark]]])))
  return { name: metadata.name, claim: { namespace, name }, policy: spec.persistentVolumeReclaimPolicy ?? 'Delete', marks }
}

/** Whether a claim holds data, by the name that the Crate Operator gives it. The others are for heap dumps, which are not kept. */
function holdsData(claim: string): boolean {
  return /^data\d/.test(claim)
}

/** A merge patch of a PersistentVolume. */
export type VolumePatch = { metadata: { labels?: Marks; annotations: Marks }; spec?: { persistentVolumeReclaimPolicy: string } }
type Marks = Record<string, string | null>

/**
 * What makes a volume outlive its claim, its database and its namespace: the policy `Retain`, and whose it is.
 *
 * @param id the database that the claim is of
 * @param database its CrateDB; undefined where it is gone, and the shape noted before stays
 * @returns undefined when all of it is so already
 */
export function keepingPatch(volume: DataVolume, id: string, database: KubernetesObject | undefined): VolumePatch | undefined {
  const { claim, policy, marks } = volume
  const annotations: Marks = {
    [volumeAnnotation.from]: `${claim.namespace}/${claim.name}`,
    [volumeAnnotation.letGo]: null,
    ...(policy !== 'Retain' && { [volumeAnnotation.policy]: policy }),
    ...(database && { [volumeAnnotation.shape]: JSON.stringify(shapeOf(database)) }),
  }
  const labels: Marks = { [label.project]: projectOf(claim.namespace) ?? null, [label.database]: id }
  const isSo =
    policy === 'Retain' && Object.entries({ ...labels, ...annotations }).every(([mark, value]) => (marks[mark] ?? null) === value)
  return isSo ? undefined : { metadata: { labels, annotations }, spec: { persistentVolumeReclaimPolicy: 'Retain' } }
}

/**
 * What lets a volume go with its claim: the policy that it had before it was kept, and the operation that asked for it.
 *
 * A volume that is `Retain` by its class has no policy to go back to: it stays.
 */
export function lettingGoPatch({ metadata, spec }: KubernetesObject, operation: string): VolumePatch {
  const before = metadata.annotations?.[volumeAnnotation.policy]
  const annotations = { [volumeAnnotation.letGo]: operation }
  return spec.persistentVolumeReclaimPolicy === 'Retain' && before !== undefined
    ? { metadata: { annotations }, spec: { persistentVolumeReclaimPolicy: before } }
    : { metadata: { annotations } }
}

/** The patch for the very version that it was made from: what somebody else wrote meanwhile is looked at anew, not undone. */
export function meeting({ metadata }: KubernetesObject, patch: VolumePatch): VolumePatch & { metadata: { resourceVersion: string } } {
  return { ...patch, metadata: { ...patch.metadata, resourceVersion: metadata.resourceVersion as string } }
}

function shapeOf(database: KubernetesObject): DatabaseShape {
  const { version, nodes, master } = readDatabase(database)
  const group = ({ count, disk }: DatabaseShape['nodes']) => ({ count, disk: { ...disk } })
  return { version, nodes: group(nodes), ...(master && { master: group(master) }) }
}
