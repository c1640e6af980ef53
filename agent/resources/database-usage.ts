import type { BodyFault } from '../../shared/errors.ts'
import { describeBytes, parseBytes, whole } from '../../shared/kubernetes/quantity.ts'
import { groupsOf, type NodeGroup, type StoredDatabaseSpec } from './database.ts'
import type { ProjectSpec } from './project.ts'
import { describeRetained, type RetainedSum } from './retained-keeping.ts'

/** What the quota of a project decides on. */
export type QuotaFacts = {
  wanted: StoredDatabaseSpec
  /** The present or last accepted state; undefined for a creation. */
  current: StoredDatabaseSpec | undefined
  /** Undefined if its quota is unknown, as in a trial: then no quota is checked. */
  project: ProjectSpec | undefined
  /** The other databases of the project, accepted ones included. */
  siblings: StoredDatabaseSpec[]
  /** What deleted databases of the project still hold, without the one that the request takes back. */
  retained: RetainedSum
  /** The volume for heap dumps that the operator gives each pod; the class is undefined if it is unknown. */
  heapDumpVolume: { size: string; storageClass: string | undefined }
}

/** One dimension of a quota: its limit, what a database takes of it, and how an amount is written. */
type Dimension = {
  path: string
  limit(quota: NonNullable<ProjectSpec['quota']>): bigint | undefined
  takenBy(spec: StoredDatabaseSpec, heapDumpVolume: string): bigint
  say(amount: bigint): string
  note?: string
  /** What deleted databases still take. */
  retained?: (sum: RetainedSum) => bigint
}

const cores = (millicores: bigint) => `${Number(millicores) / 1000} ${millicores === 1000n ? 'core' : 'cores'}`
const bytesOf = (text: string | undefined) => (text === undefined ? undefined : parseBytes(text))

/** The sum over all nodes. */
function ofNodes(spec: StoredDatabaseSpec, ofOne: (group: NodeGroup) => bigint): bigint {
  return groupsOf(spec).reduce((sum, group) => sum + whole(group.count) * ofOne(group), 0n)
}

/** The sum over the nodes that run. A suspended database has none, but keeps all its volumes. */
function ofRunningNodes(spec: StoredDatabaseSpec, ofOne: (group: NodeGroup) => bigint): bigint {
  return spec.suspended ? 0n : ofNodes(spec, ofOne)
}

const dimensions: Dimension[] = [
  {
    path: '/nodes/cpu',
    limit: ({ cpu }) => (cpu === undefined ? undefined : BigInt(Math.round(cpu * 1000))),
    takenBy: (spec) => ofRunningNodes(spec, ({ cpu }) => BigInt(Math.round(cpu * 1000))),
    say: cores,
  },
  {
    path: '/nodes/memory',
    limit: ({ memory }) => bytesOf(memory),
    takenBy: (spec) => ofRunningNodes(spec, ({ memory }) => parseBytes(memory) ?? 0n),
    say: (bytes) => `${describeBytes(bytes)} of memory`,
  },
  {
    path: '/nodes/disk/size',
    limit: ({ storage }) => bytesOf(storage),
    // With the heap-dump volume of each pod, in whatever class: the namespace's ResourceQuota counts every claim, and a limit that Skerry
    // computes differently from Kubernetes would accept a creation that then never ends.
    takenBy: (spec, heapDumpVolume) =>
      ofNodes(spec, ({ disk }) => whole(disk.count) * (parseBytes(disk.size) ?? 0n) + (parseBytes(heapDumpVolume) ?? 0n)),
    say: (bytes) => `${describeBytes(bytes)} of storage`,
    note: ', the heap-dump volume of each node included',
    // The ResourceQuota does not count these: it counts claims, and they have none. But their bytes are taken all the same.
    retained: ({ bytes }) => bytes,
  },
  {
    path: '',
    limit: ({ databases }) => (databases === undefined ? undefined : BigInt(databases)),
    takenBy: () => 1n,
    say: (count) => `${count} database${count === 1n ? '' : 's'}`,
  },
]

/** What databases take together, in each dimension of a quota. */
export type Usage = readonly bigint[]

/** The sum over databases, and what was added up before. */
export function usageOf(specs: readonly StoredDatabaseSpec[], { size }: QuotaFacts['heapDumpVolume'], before: Usage = []): Usage {
  return dimensions.map(({ takenBy }, index) => specs.reduce((sum, spec) => sum + takenBy(spec, size), before[index] ?? 0n))
}

/** The dimensions in which a database would take more than its project's quota leaves. A request for no more than before passes. */
export function quotaExceeded({ siblings, ...facts }: QuotaFacts): BodyFault[] {
  return facts.project?.quota ? exceededBeside(usageOf(siblings, facts.heapDumpVolume), facts) : []
}

/** The same beside other databases that were added up before. */
export function exceededBeside(
  others: Usage,
  { wanted, current, project, retained: sum, heapDumpVolume: { size } }: Omit<QuotaFacts, 'siblings'>,
): BodyFault[] {
  const { quota } = project ?? {}
  if (!quota) return []
  return dimensions.flatMap(({ path, limit, takenBy, say, note = '', retained = () => 0n }, index) => {
    const most = limit(quota)
    if (most === undefined) return []
    const wants = takenBy(wanted, size)
    const has = current ? takenBy(current, size) : 0n
    const used = others[index] ?? 0n
    const kept = retained(sum)
    if (wants <= has || wants + used + kept <= most) return []
    const keptFor = kept === 0n ? '' : ` ${describeRetained(sum)} kept, which a purge frees,`
    const message = `${say(wants)} wanted${note}, ${say(used)} used by the project's other databases,${keptFor} ${say(most)} allowed`
    return [{ path, message }]
  })
}
