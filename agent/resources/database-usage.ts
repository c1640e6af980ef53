import type { Fault } from '../../shared/errors.ts'
import { describeBytes, parseBytes } from '../../shared/kubernetes/quantity.ts'
import type { StoredDatabaseSpec } from './database.ts'
import type { ProjectSpec } from './project.ts'

/** What databases take of a project's quota. */
type Usage = { millicores: number; memoryBytes: bigint; storageBytes: bigint; databases: number }

/**
 * What one database takes. A suspended one takes no cpu and no memory, since none of its pods runs, but all of its volumes.
 *
 * Storage counts the heap-dump volume that the operator claims for each pod, in whatever class: the namespace's ResourceQuota
 * counts every claim, and a limit that Skerry reckons otherwise than Kubernetes would let a creation pass that then never ends.
 */
function usageOf(spec: StoredDatabaseSpec, heapDumpVolume: string): Usage {
  const sum: Usage = { millicores: 0, memoryBytes: 0n, storageBytes: 0n, databases: 1 }
  for (const { count, cpu, memory, disk } of [spec.nodes, ...(spec.master ? [spec.master] : [])]) {
    const volumes = BigInt(disk.count) * (parseBytes(disk.size) ?? 0n) + (parseBytes(heapDumpVolume) ?? 0n)
    sum.storageBytes += BigInt(count) * volumes
    if (spec.suspended) continue
    sum.millicores += Math.round(count * cpu * 1000)
    sum.memoryBytes += BigInt(count) * (parseBytes(memory) ?? 0n)
  }
  return sum
}

/** What several databases take together. */
function usageOfAll(specs: StoredDatabaseSpec[], heapDumpVolume: string): Usage {
  return specs
    .map((spec) => usageOf(spec, heapDumpVolume))
    .reduce(
      (sum, one) => ({
        millicores: sum.millicores + one.millicores,
        memoryBytes: sum.memoryBytes + one.memoryBytes,
        storageBytes: sum.storageBytes + one.storageBytes,
        databases: sum.databases + one.databases,
      }),
      { millicores: 0, memoryBytes: 0n, storageBytes: 0n, databases: 0 },
    )
}

/** One dimension of a quota: how it is reckoned and said. */
type Dimension = {
  path: string
  limit(quota: NonNullable<ProjectSpec['quota']>): bigint | undefined
  taken(usage: Usage): bigint
  say(amount: bigint): string
  note?: string
}

const cores = (millicores: bigint) => `${Number(millicores) / 1000} ${millicores === 1000n ? 'core' : 'cores'}`
const bytesOf = (text: string | undefined) => (text === undefined ? undefined : parseBytes(text))

const dimensions: Dimension[] = [
  {
    path: '/nodes/cpu',
    limit: ({ cpu }) => (cpu === undefined ? undefined : BigInt(Math.round(cpu * 1000))),
    taken: ({ millicores }) => BigInt(millicores),
    say: cores,
  },
  {
    path: '/nodes/memory',
    limit: ({ memory }) => bytesOf(memory),
    taken: ({ memoryBytes }) => memoryBytes,
    say: (bytes) => `${describeBytes(bytes)} of memory`,
  },
  {
    path: '/nodes/disk/size',
    limit: ({ storage }) => bytesOf(storage),
    taken: ({ storageBytes }) => storageBytes,
    say: (bytes) => `${describeBytes(bytes)} of storage`,
    note: ', the heap-dump volume of each node included',
  },
  {
    path: '',
    limit: ({ databases }) => (databases === undefined ? undefined : BigInt(databases)),
    taken: ({ databases }) => BigInt(databases),
    say: (count) => `${count} database${count === 1n ? '' : 's'}`,
  },
]

/** Where a database would take more than its project's quota leaves. Who asks for no more than before is let through, even above it. */
export function quotaExceeded({
  wanted,
  current,
  project,
  siblings,
  heapDumpVolume: { size },
}: {
  wanted: StoredDatabaseSpec
  current: StoredDatabaseSpec | undefined
  project: ProjectSpec | undefined
  siblings: StoredDatabaseSpec[]
  heapDumpVolume: { size: string }
}): Fault[] {
  const { quota } = project ?? {}
  if (!quota) return []
  const used = usageOfAll(siblings, size)
  const wants = usageOf(wanted, size)
  const has = usageOfAll(current ? [current] : [], size)
  return dimensions.flatMap(({ path, limit, taken, say, note = '' }) => {
    const most = limit(quota)
    if (most === undefined || taken(wants) <= taken(has) || taken(wants) + taken(used) <= most) return []
    return [
      {
        path,
        message: `${say(taken(wants))} wanted${note}, ${say(taken(used))} used by the project's other databases, ${say(most)} allowed`,
      },
    ]
  })
}
