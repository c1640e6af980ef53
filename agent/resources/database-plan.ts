import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { compareBytes, describeBytes, parseBytes } from '../../shared/kubernetes/quantity.ts'
import { type DatabaseOptions, desiredCrateDB, desiredDatabase, openTo, ownAnnotations, readDatabase } from './cratedb.ts'
import { groupsOf, type NodeGroup, type StoredDatabaseSpec } from './database.ts'
import { desiredSecrets } from './database-secrets.ts'
import type { DatabaseTarget, Secrets, Step, StorageClassFacts } from './kind.ts'
import { annotation } from './labels.ts'

export type PlanOptions = DatabaseOptions & {
  /** Places of secrets whose value differs from what stands in the cluster (`changedSecrets`). `secrets` must then hold them all. */
  changedSecrets?: string[]
}

/** One kind of change: the operator does a single one per update, and forgets the rest (crate-operator.md, section 7). */
type Change = {
  name: string
  isWanted(current: StoredDatabaseSpec, wanted: StoredDatabaseSpec): boolean
  /** Changes the CrateDB in place, nothing but what this kind of change is about. */
  edit(cratedb: KubernetesObject, wanted: StoredDatabaseSpec, options: DatabaseOptions): void
  consequences(current: StoredDatabaseSpec, wanted: StoredDatabaseSpec): string[]
}

/**
 * The kinds of change, in the order in which they are made.
 *
 * - `annotate` protects at once; it concerns nobody but Skerry.
 * - `allow-list` and `backup-time` come before `resume`: they need no running database, and the Service that a resume makes anew
 *   takes the list as it is then. The other way round, a list that is being narrowed would stand wide open for a while.
 * - `resume` comes before all that needs a reachable database.
 * - `disk`, `compute` and `scale` come before `upgrade`, so that an upgrade finds the room that was asked for together with it.
 * - `suspend` comes last: afterwards nothing could be changed.
 */
const changes: Change[] = [
  {
    name: 'annotate',
    isWanted: (current, wanted) =>
      current.deletionProtection !== wanted.deletionProtection || current.retainVolumes !== wanted.retainVolumes,
    edit(cratedb, { deletionProtection, retainVolumes }) {
      const present = readDatabase(cratedb)
      const { [annotation.database]: kept = '{}' } = ownAnnotations({ ...present, deletionProtection, retainVolumes })
      cratedb.metadata.annotations = { ...cratedb.metadata.annotations, [annotation.database]: kept }
    },
    consequences: (current, wanted) => [
      ...(current.deletionProtection && !wanted.deletionProtection ? ['The database can be deleted from then on.'] : []),
      ...(current.retainVolumes && !wanted.retainVolumes ? [volumesGoWithIt] : []),
      ...(!current.retainVolumes && wanted.retainVolumes ? ['From then on its volumes outlive it, whoever deletes it and how.'] : []),
    ],
  },
  {
    name: 'allow-list',
    isWanted: (current, wanted) => !sameTexts(current.allowedCIDRs, wanted.allowedCIDRs),
    edit(cratedb, { allowedCIDRs }) {
      cratedb.spec.cluster.allowedCIDRs = openTo(allowedCIDRs)
    },
    consequences: (current, wanted) => [
      ...current.allowedCIDRs
        .filter((network) => !wanted.allowedCIDRs.includes(network))
        .map((network) => `Clients in ${network} can no longer connect, unless another network on the list contains them.`),
      ...(wanted.allowedCIDRs.length === 0 ? ['Nobody outside the cluster can connect.'] : []),
    ],
  },
  {
    name: 'backup-time',
    isWanted: (current, wanted) =>
      Boolean(current.backups?.aws && wanted.backups?.aws && current.backups.aws.cron !== wanted.backups.aws.cron),
    edit(cratedb, { backups }) {
      if (backups?.aws) cratedb.spec.backups.aws.cron = backups.aws.cron
    },
    consequences: (_current, wanted) => [`Snapshots are taken at "${wanted.backups?.aws?.cron}" (UTC).`],
  },
  {
    name: 'resume',
    isWanted: (current, wanted) => current.suspended && !wanted.suspended,
    edit(cratedb) {
      // The number it had: another one would be a scale, which is a change of its own.
      setDataGroup(cratedb, { replicas: readDatabase(cratedb).nodes.count })
    },
    consequences: (current) => [
      `Starts ${plural(current.nodes.count + (current.master?.count ?? 0), 'node')}.`,
      'The external address may change.',
      'Snapshots start again an hour after.',
    ],
  },
  {
    name: 'exposure',
    isWanted: (current, wanted) => !current.suspended && current.exposure.type !== wanted.exposure.type,
    edit(cratedb, { exposure }) {
      cratedb.spec.cluster.exposure = exposure.type
      if (exposure.hostname === undefined) delete cratedb.spec.cluster.externalDNS
      else cratedb.spec.cluster.externalDNS = exposure.hostname
    },
    consequences: (current, wanted) => [
      'The external address changes.',
      `Connections through the ${current.exposure.type === 'traefik' ? 'Traefik route' : 'load balancer'} are cut.`,
      ...(wanted.exposure.type === 'traefik' ? [`Clients reach it as ${wanted.exposure.hostname ?? wanted.id}, with TLS.`] : []),
    ],
  },
  {
    name: 'disk',
    isWanted: (current, wanted) => !current.suspended && groupPairs(current, wanted).some(({ is, wants }) => grows(is, wants)),
    edit(cratedb, wanted) {
      editGroups(cratedb, wanted, (is, wants, group) => {
        if (grows(is, wants)) group.resources.disk = { ...group.resources.disk, size: wants.disk.size }
      })
    },
    consequences: (current, wanted) => [
      'Suspends the database for up to 30 minutes, unless the operator is set to expand volumes without downtime.',
      ...groupPairs(current, wanted)
        .filter(({ is, wants }) => grows(is, wants))
        .map(
          ({ is, wants }) =>
            `${plural(is.count * is.disk.count, 'volume')} from ${sizeOf(is)} to ${sizeOf(wants)} each; volumes never shrink again.`,
        ),
      'The external address may change.',
    ],
  },
  {
    name: 'compute',
    isWanted: (current, wanted) => !current.suspended && groupPairs(current, wanted).some(({ is, wants }) => computesOtherwise(is, wants)),
    edit(cratedb, wanted) {
      editGroups(cratedb, wanted, (is, wants, group) => {
        if (!computesOtherwise(is, wants)) return
        const { cpu, memory, heapRatio } = wants
        const { cpus: _cpus, memory: _memory, ...resources } = group.resources // the deprecated fields, which limits replace
        group.resources = { ...resources, limits: { cpu, memory }, requests: { cpu, memory }, heapRatio }
      })
    },
    consequences: () => ['Restarts every node, one after the other; queries on the node that restarts fail.'],
  },
  {
    name: 'scale',
    isWanted: (current, wanted) => !current.suspended && groupPairs(current, wanted).some(({ is, wants }) => is.count !== wants.count),
    edit(cratedb, wanted) {
      setDataGroup(cratedb, { replicas: wanted.nodes.count })
      if (cratedb.spec.nodes.master && wanted.master) cratedb.spec.nodes.master.replicas = wanted.master.count
      cratedb.metadata.annotations = { ...cratedb.metadata.annotations, [annotation.nodesWhenResumed]: String(wanted.nodes.count) }
    },
    consequences: (current, wanted) => {
      const removed = current.nodes.count - wanted.nodes.count
      const added = Math.max(0, -removed) + Math.max(0, (wanted.master?.count ?? 0) - (current.master?.count ?? 0))
      const starts = added > 0 ? [`Starts ${plural(added, 'more node')}, each on a host of its own, with volumes of its own.`] : []
      if (removed <= 0) return starts
      return [
        ...starts,
        `Moves the data of ${plural(removed, 'node')} to those that stay, which can take hours; it needs a GREEN database and tables with at most ${plural(wanted.nodes.count - 1, 'replica')}.`,
        'The volumes of the removed nodes stay and still count against the quota.',
      ]
    },
  },
  {
    name: 'upgrade',
    isWanted: (current, wanted) => !current.suspended && current.version !== wanted.version,
    edit(cratedb, { version }, { imageRegistry }) {
      cratedb.spec.cluster.version = version
      // The only moment at which a moved registry costs no restart of its own.
      cratedb.spec.cluster.imageRegistry = imageRegistry
    },
    consequences: (current, wanted) => [
      'Restarts every node, one after the other; queries on the node that restarts fail.',
      `There is no way back from ${wanted.version} to ${current.version} but a snapshot taken before.`,
    ],
  },
  {
    name: 'suspend',
    isWanted: (current, wanted) => !current.suspended && wanted.suspended,
    edit(cratedb) {
      const { count } = readDatabase(cratedb).nodes
      cratedb.metadata.annotations = { ...cratedb.metadata.annotations, [annotation.nodesWhenResumed]: String(count) }
      setDataGroup(cratedb, { replicas: 0 })
    },
    consequences: () => [
      'Nobody can connect until it is resumed; no snapshots are taken.',
      'The external address is given up and may be another one afterwards.',
      'Waits for a running snapshot to end, up to 24 hours.',
    ],
  },
]

/**
 * The steps from what is there to what is wanted; none when there is nothing to do.
 *
 * Creation is one step. Each step of a change holds the whole CrateDB, made from the current object's spec and this and the earlier
 * changes, so that what the operator itself wrote (a version rolled back, a restore reset, a renamed admin) is never reverted.
 * A step is right only for the object that it was made from: whoever applies it plans again after each one, and takes the first.
 * What an edit cannot bring about is not in the plan; `refusals` says so beforehand.
 */
export function planDatabase(
  target: DatabaseTarget,
  current: KubernetesObject | undefined,
  wanted: StoredDatabaseSpec,
  secrets: Secrets,
  options: PlanOptions,
): Step[] {
  if (!current)
    return [{ name: 'create', objects: desiredDatabase(target, wanted, secrets, options), consequences: creationConsequences(wanted) }]
  const steps: Step[] = credentialSteps(target, current, wanted, secrets, options)
  let draft = applied(target, current)
  for (const { name, isWanted, edit, consequences } of changes) {
    const before = readDatabase(draft)
    if (!isWanted(before, wanted)) continue
    draft = structuredClone(draft)
    edit(draft, wanted, options)
    steps.push({ name, objects: [draft], consequences: consequences(before, wanted) })
  }
  return steps
}

/**
 * The part of a CrateDB that Skerry applies. All of the spec, since its lists are single values to server-side apply and since a
 * field that is left out would be taken away; of the metadata only what is Skerry's.
 */
export function applied(target: DatabaseTarget, { spec, metadata }: KubernetesObject): KubernetesObject {
  const present = readDatabase({ apiVersion: '', kind: '', metadata, spec })
  const frame = desiredCrateDB(target, present, { imageRegistry: '' })
  const own = Object.keys(frame.metadata.annotations ?? {}).flatMap((key) => {
    const text = metadata.annotations?.[key] ?? frame.metadata.annotations?.[key]
    return text === undefined ? [] : [[key, text] as const]
  })
  return { ...frame, metadata: { ...frame.metadata, annotations: Object.fromEntries(own) }, spec: structuredClone(spec) }
}

/** New values for credentials and keystores. The Secret is what the CrateDB refers to, so the CrateDB itself stays as it is. */
function credentialSteps(
  target: DatabaseTarget,
  current: KubernetesObject,
  wanted: StoredDatabaseSpec,
  secrets: Secrets,
  { changedSecrets = [] }: PlanOptions,
): Step[] {
  const { backups, ssl } = readDatabase(current)
  const of = (part: string) => changedSecrets.some((place) => place.startsWith(`${part}.`))
  const parts = {
    ...(backups && of('backups') ? { backups: wanted.backups } : {}),
    ...(ssl && of('ssl') ? { ssl: wanted.ssl } : {}),
  }
  const objects = desiredSecrets(target, { ...wanted, users: [], backups: undefined, ssl: undefined, ...parts }, secrets)
  if (objects.length === 0) return []
  const consequences = [
    ...('backups' in parts
      ? ['The next snapshot uses the new credentials; the exporter of backup metrics keeps the old ones until it restarts.']
      : []),
    ...('ssl' in parts ? ['The nodes load the new certificate within minutes; no connection is cut.'] : []),
  ]
  return [{ name: 'credentials', objects, consequences }]
}

function creationConsequences(wanted: StoredDatabaseSpec): string[] {
  const { allowedCIDRs, exposure, nodes, master } = wanted
  return [
    `Starts ${plural(nodes.count + (master?.count ?? 0), 'node')}, each on a host of its own.`,
    `Claims ${volumesOf(wanted)}, and a volume for heap dumps with each node.`,
    exposure.type === 'loadbalancer' ? 'Asks for a load balancer.' : `Is reached as ${exposure.hostname}, by Traefik.`,
    allowedCIDRs.length === 0 ? 'Nobody outside the cluster can connect.' : `Clients can connect from ${allowedCIDRs.join(', ')}.`,
    ...(wanted.retainVolumes ? [] : [volumesGoWithIt]),
  ]
}

/** What `retainVolumes: false` means. */
const volumesGoWithIt =
  'From then on its volumes go with the database, whoever deletes it and how: by the API, with kubectl, with its namespace or its definition. Unless the storage class retains them, the data is lost.'

/** What deleting a database means, by its spec and by the storage classes that there are. */
export function deletionConsequences(spec: StoredDatabaseSpec, storageClasses: StorageClassFacts[]): string[] {
  const volumes = volumesOf(spec)
  const reclaims = groupsOf(spec).some(
    // A class that nobody knows any more is taken for one that reclaims, which is the default of Kubernetes.
    ({ disk }) => storageClasses.find(({ name }) => name === disk.storageClass)?.reclaims ?? true,
  )
  const fate = spec.retainVolumes
    ? [`${volumes} will be kept; the agent notes which they are.`]
    : reclaims
      ? [
          `${volumes} will be deleted: the storage class reclaims them. ${spec.backups ? 'Only snapshots are left.' : 'Nothing of the data is left.'}`,
        ]
      : [`${volumes} will be released: the storage class retains them until somebody deletes them by hand.`]
  return [
    'Nobody can connect any more, and the external address is given up.',
    ...fate,
    "The users' passwords and other Secrets of the database will be deleted.",
    ...(spec.backups ? ['Snapshots in the bucket stay.'] : []),
  ]
}

/** `3 × 64 GiB`, and that of the masters. */
function volumesOf(spec: StoredDatabaseSpec): string {
  return groupsOf(spec)
    .map((group) => `${group.count * group.disk.count} × ${sizeOf(group)}`)
    .join(' and ')
}

function sizeOf({ disk }: NodeGroup): string {
  return describeBytes(parseBytes(disk.size) ?? 0n)
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

function sameTexts(some: string[], others: string[]): boolean {
  return some.length === others.length && some.every((text) => others.includes(text))
}

/** The groups that are in both: a group that comes or goes is not a change that can be made. */
function groupPairs(current: StoredDatabaseSpec, wanted: StoredDatabaseSpec): { is: NodeGroup; wants: NodeGroup }[] {
  return [
    { is: current.nodes, wants: wanted.nodes },
    ...(current.master && wanted.master ? [{ is: current.master, wants: wanted.master }] : []),
  ]
}

function grows(is: NodeGroup, wants: NodeGroup): boolean {
  return (compareBytes(wants.disk.size, is.disk.size) ?? 0) > 0
}

// heapRatio alone is not acted on by the operator, and goes along when cpu or memory changes.
function computesOtherwise(is: NodeGroup, wants: NodeGroup): boolean {
  return is.cpu !== wants.cpu || compareBytes(is.memory, wants.memory) !== 0
}

function setDataGroup(cratedb: KubernetesObject, fields: Record<string, unknown>): void {
  const [first, ...others] = cratedb.spec.nodes.data
  cratedb.spec.nodes.data = [{ ...first, ...fields }, ...others]
}

/** Runs an edit on each group of the CrateDB that the wanted database has too. */
function editGroups(
  cratedb: KubernetesObject,
  wanted: StoredDatabaseSpec,
  // biome-ignore lint/suspicious/noExplicitAny: a part of an object of a kind that the compiler does not know
  edit: (is: NodeGroup, wants: NodeGroup, group: any) => void,
): void {
  const current = readDatabase(cratedb)
  edit(current.nodes, wanted.nodes, cratedb.spec.nodes.data[0])
  if (current.master && wanted.master) edit(current.master, wanted.master, cratedb.spec.nodes.master)
}
