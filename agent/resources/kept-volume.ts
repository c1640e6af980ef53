import * as z from 'zod'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { readDatabase } from './cratedb.ts'
import { holdsData } from './data-claims.ts'
import { type DatabaseTarget, projectOf } from './kind.ts'
import { label } from './labels.ts'

/** Annotations of a kept volume. With them it can be found, reused and let go when nothing else is left of its database. */
export const volumeAnnotation = {
  /** `NAMESPACE/CLAIM`: the claim that it served. */
  from: 'skerry.dev/retained-from',
  /** Its reclaim policy before Skerry changed that to `Retain`. */
  policy: 'skerry.dev/reclaim-policy',
  /** The shape of the database as JSON (`DatabaseShape`): only a database of the same shape can reuse the volume. */
  shape: 'skerry.dev/database-shape',
  /** The operation that was asked to let the volume go with its database. */
  letGo: 'skerry.dev/let-go-by',
} as const

/** Whether the volumes of a database outlive it, however it is deleted: also those of one that is protected, as long as it is. */
export function keepsVolumes({ retainVolumes, deletionProtection }: { retainVolumes: boolean; deletionProtection: boolean }): boolean {
  return retainVolumes || deletionProtection
}

/** The part of a database that determines its claims: their number, names, sizes and class. */
export type DatabaseShape = {
  version: string
  nodes: { count: number; disk: { count: number; size: string; storageClass: string } }
  master?: DatabaseShape['nodes']
}

/** A volume that serves a data claim in the namespace of a project, with everything that decides whether it is kept. */
export type DataVolume = {
  name: string
  /** When the object was created, as text. */
  createdAt: string | undefined
  claim: { namespace: string; name: string }
  /** `persistentVolumeReclaimPolicy` */
  policy: string
  /** Skerry's labels and annotations on it, by name. */
  marks: Record<string, string>
}

const markNames = [label.project, label.database, ...Object.values(volumeAnnotation)]

/** Reads a PersistentVolume; undefined if it does not, or no longer, serve a data claim of a project. */
export function dataVolumeOf({ metadata, spec, status }: KubernetesObject): DataVolume | undefined {
  const { namespace, name } = spec?.claimRef ?? {}
  const isOver = status?.phase === 'Released' || status?.phase === 'Failed'
  if (isOver || !holdsData(name ?? '') || projectOf(namespace ?? '') === undefined) return undefined
  const all = { ...metadata.labels, ...metadata.annotations }
  const marks = Object.fromEntries(markNames.flatMap((mark) => (all[mark] === undefined ? [] : [[mark, all[mark]]])))
  const policy = spec.persistentVolumeReclaimPolicy ?? 'Delete'
  return { name: metadata.name, createdAt: metadata.creationTimestamp, claim: { namespace, name }, policy, marks }
}

/** The database whose data a volume has, as `PROJECT/DATABASE`, if its labels name another one than this. Claims of two may look alike. */
export function otherOwner({ metadata }: KubernetesObject, { project, database }: Omit<DatabaseTarget, 'kind'>): string | undefined {
  const { [label.project]: itsProject = project, [label.database]: its = database } = metadata.labels ?? {}
  return itsProject === project && its === database ? undefined : `${itsProject}/${its}`
}

/** A merge patch of a PersistentVolume. */
export type VolumePatch = { metadata: { labels?: Marks; annotations: Marks }; spec?: { persistentVolumeReclaimPolicy: string } }
type Marks = Record<string, string | null>

/**
 * The patch with which a volume outlives its claim, its database and its namespace: the policy `Retain`, and the owner of the data.
 *
 * @param id the database of the claim
 * @param database its CrateDB; undefined if it is gone, and the recorded shape stays
 * @returns undefined if the volume needs no change
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
 * The patch with which a volume is deleted with its claim: its former policy, and the operation that requested it.
 *
 * A volume that is `Retain` by its class has no former policy: it stays.
 */
export function lettingGoPatch({ metadata, spec }: KubernetesObject, operation: string): VolumePatch {
  const before = metadata.annotations?.[volumeAnnotation.policy]
  const annotations = { [volumeAnnotation.letGo]: operation }
  return spec.persistentVolumeReclaimPolicy === 'Retain' && before !== undefined
    ? { metadata: { annotations }, spec: { persistentVolumeReclaimPolicy: before } }
    : { metadata: { annotations } }
}

/** The patch, restricted to the version that it was made from: a concurrent change causes a conflict instead of being undone. */
export function meeting({ metadata }: KubernetesObject, patch: VolumePatch): VolumePatch & { metadata: { resourceVersion: string } } {
  return { ...patch, metadata: { ...patch.metadata, resourceVersion: metadata.resourceVersion as string } }
}

function shapeOf(database: KubernetesObject): DatabaseShape {
  const { version, nodes, master } = readDatabase(database)
  const group = ({ count, disk }: DatabaseShape['nodes']) => ({ count, disk: { ...disk } })
  return { version, nodes: group(nodes), ...(master && { master: group(master) }) }
}

const disk = z.object({ count: z.int().min(1).max(16), size: z.string().max(64), storageClass: z.string().max(253) })
const group = z.object({ count: z.int().min(1).max(1000), disk })
const shape = z.object({ version: z.string().max(64), nodes: group, master: group.optional() })

/** The shape that is noted on a volume; undefined if there is none, or if somebody made it unreadable. */
export function readShape({ metadata }: KubernetesObject): DatabaseShape | undefined {
  try {
    const { master, ...rest } = shape.parse(JSON.parse(metadata.annotations?.[volumeAnnotation.shape] ?? ''))
    return { ...rest, ...(master && { master }) }
  } catch {
    return undefined
  }
}
