import { describeBytes, formatBytes, parseBytes } from '../../shared/kubernetes/quantity.ts'
import { groupsOf, type Rehearsal, type StoredDatabaseSpec } from './database.ts'

/** A database for a snapshot of another one. Its users get new passwords, nobody outside the cluster can connect, and nothing backs it up. */
export function copyOf(source: StoredDatabaseSpec, id: string): StoredDatabaseSpec {
  const { version, nodes, master, users, settings, labels, annotations, ssl, retainVolumes } = source
  return {
    ...{ id, version, nodes, ...(master && { master }), users, allowedCIDRs: [], settings, labels, annotations },
    ...(ssl && { ssl }),
    exposure: exposureOf(source, id),
    ...{ suspended: false, deletionProtection: false, retainVolumes },
  }
}

/** Two databases cannot have one host name: the first part becomes the id. */
function exposureOf({ exposure: { type, hostname } }: StoredDatabaseSpec, id: string): StoredDatabaseSpec['exposure'] {
  if (type === 'loadbalancer' || hostname === undefined) return { type }
  return { type, hostname: `${id}${hostname.slice(hostname.indexOf('.'))}` }
}

/** What a snapshot needs of the database that it is restored into. */
export type SnapshotSize = {
  /** Of all primary shards; undefined if the source did not say. */
  bytes: bigint | undefined
  /** Primary shards and replicas; undefined if the source did not say. */
  shards: number | undefined
}

/** CrateDB takes no more shards than this for each node (cluster.max_shards_per_node), replicas that no node has included. */
const shardsPerNode = 1000

const GiB = 1024n ** 3n

/** The smallest database that a snapshot of the source fits into: its primary shards, on as few nodes as CrateDB allows. */
export function scratchOf(source: StoredDatabaseSpec, id: string, rehearsal: Rehearsal, size: SnapshotSize): StoredDatabaseSpec {
  const { master: _, ...copy } = copyOf(source, id)
  const count = Math.min(source.nodes.count, Math.max(1, Math.ceil((size.shards ?? 0) / shardsPerNode)))
  const perNode = (neededBytes(source, size) + BigInt(count) - 1n) / BigInt(count)
  const rounded = ((perNode + GiB - 1n) / GiB) * GiB
  const disk = { count: 1, size: formatBytes(rounded), storageClass: source.nodes.disk.storageClass }
  return { ...copy, nodes: { ...source.nodes, count, disk }, users: [], retainVolumes: false, rehearsal }
}

/** CrateDB gives no shard to a disk that is 85 % full, and merges take more for a while. The source may have had more at the snapshot. */
function neededBytes(source: StoredDatabaseSpec, { bytes }: SnapshotSize): bigint {
  const most = dataBytes(source)
  if (bytes === undefined) return most
  const needed = (bytes * 3n) / 2n + GiB
  return needed < most ? needed : most
}

/** The data disks of all nodes that hold data. */
function dataBytes(source: StoredDatabaseSpec): bigint {
  return groupsOf({ nodes: source.nodes, ...(source.otherGroups && { otherGroups: source.otherGroups }) }).reduce(
    (sum, { count, disk }) => sum + BigInt(Math.max(1, count)) * BigInt(Math.max(1, disk.count)) * (parseBytes(disk.size) ?? 0n),
    0n,
  )
}

/** How many characters an id may have (identifiers.ts). */
const longestId = 37
const suffix = '-rehearsal'

/** The id of a rehearsal's database: the same for the same database, so that there are never two. */
export function scratchId(database: string): string {
  return `${database.slice(0, longestId - suffix.length)}${suffix}`
}

/** What a database takes from its project while it exists, in words. */
export function describeTaken({ nodes }: StoredDatabaseSpec): string {
  const { count, cpu, memory, disk } = nodes
  const each = count === 1 ? '1 node' : `${count} nodes, each`
  return `${each} with ${cpu} cores, ${describeBytes(parseBytes(memory) ?? 0n)} of memory and ${disk.size} of ${disk.storageClass}`
}
