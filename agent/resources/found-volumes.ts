import * as z from 'zod'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { dataGroup } from './cratedb.ts'
import { isClaimOf } from './data-claims.ts'
import { type DatabaseShape, dataVolumeOf, volumeAnnotation } from './kept-volume.ts'
import { type DatabaseTarget, projectOf } from './kind.ts'
import { label } from './labels.ts'
import type { RetainedDatabaseVolume } from './retained-database.ts'
import { retainedVolumeOf } from './retained-record.ts'

/** A volume with the data of a database that nothing uses at the moment. */
export type FoundVolume = RetainedDatabaseVolume & {
  project: string
  database: string
  /** As text, which sorts: when the object was created. */
  createdAt: string
  /** The annotation with the shape of the database. */
  shape: string | undefined
}

/**
 * Reads a PersistentVolume that has lost its claim, or is reserved for one that does not exist yet, and bears Skerry's labels. Undefined for any
 * other, and for one that an operation was asked to let go, or that is about to be deleted: nobody wants it back.
 */
export function foundVolumeOf(volume: KubernetesObject): FoundVolume | undefined {
  const { metadata, status } = volume
  const { labels = {}, annotations = {}, deletionTimestamp, creationTimestamp = '' } = metadata
  const isUnused = status?.phase === 'Released' || status?.phase === 'Available'
  const data = dataVolumeOf({ ...volume, status: { phase: 'Bound' } })
  const [project, database] = [labels[label.project], labels[label.database]]
  if (!isUnused || deletionTimestamp !== undefined || data?.policy !== 'Retain' || annotations[volumeAnnotation.letGo] !== undefined)
    return undefined
  if (project === undefined || project !== projectOf(data.claim.namespace)) return undefined
  if (database === undefined || !isClaimOf(data.claim.name, database, undefined)) return undefined
  const place = retainedVolumeOf(volume, `${data.claim.namespace}/${data.claim.name}`)
  return { ...place, project, database, createdAt: creationTimestamp, shape: annotations[volumeAnnotation.shape] }
}

/** Volumes that were those of one database at one time. */
export type Generation = { shape: DatabaseShape | undefined; volumes: RetainedDatabaseVolume[] }

/**
 * The deleted databases of one name that these volumes were, the newest first. Pure.
 *
 * Volumes of one database agree on its shape, which is on each of them. If several served the same claim one after the other, the database
 * existed as often. A volume outside of the shape is left out: it is from a node that was removed while the database went on without.
 */
export function generationsOf({ database }: DatabaseTarget, found: readonly FoundVolume[]): Generation[] {
  const byShape = Object.groupBy(found, ({ shape = '' }) => shape)
  const generations = Object.entries(byShape).flatMap(([text, volumes = []]) => {
    const shape = readShape(text)
    const fitting = volumes.filter(({ claim }) => shape === undefined || isInShape(claim.slice(claim.indexOf('/') + 1), database, shape))
    return successive(fitting.toSorted(byAge)).map((of) => ({ shape, of }))
  })
  const newestOf = (volumes: FoundVolume[]) => volumes.reduce((newest, { createdAt }) => (createdAt > newest ? createdAt : newest), '')
  return generations
    .toSorted((a, b) => (newestOf(a.of) < newestOf(b.of) ? 1 : -1))
    .map(({ shape, of }) => ({ shape, volumes: of.map(placeOf).toSorted((a, b) => (a.claim < b.claim ? -1 : 1)) }))
}

/** From the oldest on: a claim that comes again begins the next database. */
function successive(volumes: FoundVolume[]): FoundVolume[][] {
  const all: Map<string, FoundVolume>[] = []
  for (const volume of volumes) {
    const last = all.at(-1)
    if (last && !last.has(volume.claim)) last.set(volume.claim, volume)
    else all.push(new Map([[volume.claim, volume]]))
  }
  return all.map((generation) => [...generation.values()])
}

function byAge(one: FoundVolume, other: FoundVolume): number {
  return one.createdAt < other.createdAt || (one.createdAt === other.createdAt && one.claim < other.claim) ? -1 : 1
}

function placeOf({ project: _, database: _id, createdAt: _at, shape: _shape, ...place }: FoundVolume): RetainedDatabaseVolume {
  return place
}

const count = z.int().min(0).max(1000)
const nodes = z.object({ count, disk: z.object({ count, size: z.string().max(64), storageClass: z.string().max(253) }) })
const shapeSchema = z.object({ version: z.string().max(64), nodes, master: nodes.optional() })

/** Undefined for text that is not a shape: annotations can be written by anybody who may change volumes. */
function readShape(text: string): DatabaseShape | undefined {
  try {
    return shapeSchema.parse(JSON.parse(text.slice(0, 4096))) as DatabaseShape
  } catch {
    return undefined
  }
}

/** Whether a database of that shape has that claim: `data0-crate-data-hot-tidal-gauge-2`. One of a group that Skerry does not make has any. */
function isInShape(claim: string, database: string, { nodes, master }: DatabaseShape): boolean {
  const suffix = /-(?<node>\d+)$/.exec(claim)
  const prefix = /^data(?<disk>\d+)-crate-/.exec(claim)
  const [node, disk] = [Number(suffix?.groups?.node), Number(prefix?.groups?.disk)]
  const set = claim.slice(prefix?.[0].length ?? 0, suffix?.index)
  const group = set === `master-${database}` ? (master ?? 'none') : set === `data-${dataGroup}-${database}` ? nodes : undefined
  if (group === undefined) return true
  return group !== 'none' && node < group.count && disk < group.disk.count
}
