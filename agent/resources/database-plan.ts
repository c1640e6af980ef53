import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { compareBytes, describeBytes, parseBytes } from '../../shared/kubernetes/quantity.ts'
import { type BackupImage, backupsToCome, hasIdleBackups, idleBackupsWhy } from './backup-image.ts'
import { moveConsequences, movesBackups } from './backup-place.ts'
import { widthOf } from './cidr.ts'
import {
  countsWhenResumed,
  type DatabaseOptions,
  desiredCrateDB,
  desiredDatabase,
  openTo,
  ownAnnotations,
  readDatabase,
  recordedCounts,
} from './cratedb.ts'
import { type NodesEvidence, setCompute, undoOf } from './cratedb-undo.ts'
import { groupsOf, type NodeGroup, type StoredDatabaseSpec } from './database.ts'
import { desiredSecrets, secretObject } from './database-secrets.ts'
import { keepsVolumes } from './kept-volume.ts'
import type { DatabaseTarget, Secrets, Step, StorageClassFacts } from './kind.ts'
import { annotation } from './labels.ts'
import { sameSnapshots, snapshotConsequences, snapshotSecretName } from './snapshots.ts'

export type PlanOptions = DatabaseOptions & {
  /** Places of secrets whose value differs from that in the cluster (`changedSecrets`). `secrets` must contain all of these values. */
  changedSecrets?: string[]
  /** The nodes as they are, if one of them has no host: then a change may have to be taken back first. */
  nodes?: NodesEvidence | undefined
  /** Unix time in milliseconds. */
  now?: number
  /** Whether the operator can take backups itself; undefined where consequences do not matter. */
  backupImage?: BackupImage | undefined
}

/** One kind of change. The operator performs only one kind per update and ignores the rest (crate-operator.md, section 7). */
type Change = {
  name: string
  isWanted(current: StoredDatabaseSpec, wanted: StoredDatabaseSpec): boolean
  /** Changes the CrateDB in place, and only the fields of this kind of change. */
  edit(cratedb: KubernetesObject, wanted: StoredDatabaseSpec, options: DatabaseOptions): void
  /** What is written before the CrateDB. */
  before?(target: DatabaseTarget, wanted: StoredDatabaseSpec, secrets: Secrets): KubernetesObject[]
  /** What is deleted after that. */
  removed?(target: DatabaseTarget, wanted: StoredDatabaseSpec): KubernetesObject[]
  /** @param cratedb the object before this change */
  consequences(current: StoredDatabaseSpec, wanted: StoredDatabaseSpec, cratedb: KubernetesObject, options: DatabaseOptions): string[]
}

/**
 * The kinds of change, in the order in which they are made.
 *
 * - `annotate` comes first, so that protection takes effect at once. It only concerns Skerry, as does `snapshots`.
 * - `backup-place` only concerns a Secret, and what Skerry notes of it.
 * - `allow-list` and `backup-time` come before `resume`: they need no running database, and a resume creates the Service with the list that
 *   is in effect then. In the reverse order, a list that is being narrowed would admit too much for a while.
 * - `resume` comes before all changes that need a reachable database.
 * - `disk`, `compute` and `scale` come before `upgrade`, so that an upgrade already has the resources of the same request.
 * - `suspend` comes last: afterwards nothing can be changed.
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
      ...(keepsVolumes(current) && !keepsVolumes(wanted) ? [volumesGoWithIt] : []),
      ...(current.retainVolumes && !wanted.retainVolumes && wanted.deletionProtection ? [keptWhileProtected] : []),
      ...(!keepsVolumes(current) && keepsVolumes(wanted) ? ['From then on its volumes are kept, however the database is deleted.'] : []),
    ],
  },
  {
    name: 'snapshots',
    isWanted: (current, wanted) => !sameSnapshots(current.snapshots, wanted.snapshots),
    edit(cratedb, { snapshots }) {
      const { [annotation.database]: kept = '{}' } = ownAnnotations({ ...readDatabase(cratedb), snapshots })
      cratedb.metadata.annotations = { ...cratedb.metadata.annotations, [annotation.database]: kept }
    },
    // Only after the note is gone: as long as it says that there are backups, their keys are there.
    removed: (target, { snapshots }) => (snapshots ? [] : [secretObject(target, snapshotSecretName(target.database), {})]),
    consequences: (current, wanted) => snapshotConsequences(current.snapshots, wanted.snapshots, wanted.version),
  },
  {
    name: 'backup-place',
    isWanted: movesBackups,
    // The Secret first: the note is what tells that it was written.
    before: (target, { backups, ...wanted }, secrets) =>
      desiredSecrets(target, { ...wanted, users: [], ssl: undefined, snapshots: undefined, backups }, secrets),
    edit(cratedb, { backups }) {
      const { [annotation.database]: kept = '{}' } = ownAnnotations({ ...readDatabase(cratedb), backups })
      cratedb.metadata.annotations = { ...cratedb.metadata.annotations, [annotation.database]: kept }
    },
    consequences: moveConsequences,
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
      ...widthOf(wanted.allowedCIDRs),
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
    edit(cratedb, wanted) {
      // The former numbers: different ones would be a `scale`, which is a change of its own. If there is no record, the request has the number.
      setReplicas(cratedb, recordedCounts(cratedb) ?? [wanted.nodes.count])
    },
    consequences: (current) => [
      `Starts ${plural(nodesIn(current), 'node')}.`,
      'The external address may change.',
      'Snapshots start again an hour later.',
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
        setCompute(group, wants)
      })
    },
    consequences: (current, wanted, cratedb) => [
      'Restarts every node, one after the other; queries on the node that restarts fail.',
      ...lowerRequests(current, wanted, cratedb),
    ],
  },
  {
    name: 'scale',
    isWanted: (current, wanted) => !current.suspended && groupPairs(current, wanted).some(({ is, wants }) => is.count !== wants.count),
    edit(cratedb, wanted) {
      setDataGroup(cratedb, { replicas: wanted.nodes.count })
      if (cratedb.spec.nodes.master && wanted.master) cratedb.spec.nodes.master.replicas = wanted.master.count
      const counts = countsWhenResumed(wanted.nodes, readDatabase(cratedb).otherGroups)
      cratedb.metadata.annotations = { ...cratedb.metadata.annotations, [annotation.nodesWhenResumed]: counts }
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
      // Only here a changed registry costs no additional restart.
      cratedb.spec.cluster.imageRegistry = imageRegistry
    },
    consequences: (current, wanted, cratedb, { imageRegistry }) => [
      'Restarts every node, one after the other; queries on the node that restarts fail.',
      `The only way back from ${wanted.version} to ${current.version} is a snapshot taken before.`,
      ...(cratedb.spec.cluster.imageRegistry === imageRegistry
        ? []
        : [`Its image comes from ${imageRegistry} from then on, and no longer from ${cratedb.spec.cluster.imageRegistry}.`]),
    ],
  },
  {
    name: 'suspend',
    isWanted: (current, wanted) => !current.suspended && wanted.suspended,
    edit(cratedb) {
      const { nodes, otherGroups } = readDatabase(cratedb)
      const counts = countsWhenResumed(nodes, otherGroups)
      cratedb.metadata.annotations = { ...cratedb.metadata.annotations, [annotation.nodesWhenResumed]: counts }
      setReplicas(cratedb, [])
    },
    consequences: () => [
      'Clients cannot connect until it is resumed; no snapshots are taken.',
      'The external address is released, and may be different afterwards.',
      'Waits for a running snapshot to end, up to 24 hours.',
    ],
  },
]

/**
 * The steps from the current state to the wanted one; none when there is nothing to do.
 *
 * Creation is one step. Each step of a change contains the whole CrateDB: the spec of the current object with this change and all earlier
 * ones. So the operator's own edits (a version rolled back, a restore reset, a renamed admin) are never reverted. A step is valid only for the
 * object that it was made from: after each step, the plan is made again and its first step is taken. A change that waits for hosts and is no
 * longer wanted is taken back first. Changes that an edit cannot make are
 * not in the plan: `refusals` rejects them beforehand.
 */
export function planDatabase(
  target: DatabaseTarget,
  current: KubernetesObject | undefined,
  wanted: StoredDatabaseSpec,
  secrets: Secrets,
  options: PlanOptions,
): Step[] {
  if (!current)
    return [
      { name: 'create', objects: desiredDatabase(target, wanted, secrets, options), consequences: creationConsequences(wanted, options) },
    ]
  const steps: Step[] = credentialSteps(target, current, wanted, secrets, options)
  let draft = applied(target, current)
  const undo = options.nodes && undoOf(current, wanted, options.nodes, options.now ?? 0)
  if (undo) {
    const { name, spec, alongside, consequences } = undo
    const nodesWhenResumed = String(spec.nodes.data[0].replicas)
    const annotations = { ...draft.metadata.annotations, [annotation.nodesWhenResumed]: nodesWhenResumed }
    draft = { ...draft, metadata: { ...draft.metadata, annotations }, spec }
    steps.push({ name, objects: [draft], consequences, alongside })
  }
  for (const { name, isWanted, before: first, edit, removed, consequences } of changes) {
    const before = readDatabase(draft)
    if (!isWanted(before, wanted)) continue
    const former = draft
    draft = structuredClone(draft)
    edit(draft, wanted, options)
    const objects = [...(first?.(target, wanted, secrets) ?? []), draft]
    const gone = removed?.(target, wanted) ?? []
    const idle = name === 'backup-time' || name === 'backup-place' ? idleBackups(current, options) : []
    const told = [...consequences(before, wanted, former, options), ...idle]
    steps.push({ name, objects, consequences: told, ...(gone.length > 0 && { removed: gone }) })
  }
  return steps
}

/**
 * The part of a CrateDB that Skerry applies: the whole spec, since server-side apply treats its lists as single values and removes fields
 * that are left out; of the metadata only Skerry's own.
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

/** Why a change of the backups has no effect, if nothing takes them. */
function idleBackups(current: KubernetesObject, { backupImage }: PlanOptions): string[] {
  return backupImage !== undefined && hasIdleBackups(current) ? [idleBackupsWhy(backupImage)] : []
}

/** New values for credentials and keystores. Only Secrets change: the CrateDB refers to them. */
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
    ...(wanted.snapshots && of('snapshots') ? { snapshots: wanted.snapshots } : {}),
    ...(ssl && of('ssl') ? { ssl: wanted.ssl } : {}),
  }
  const nothing = { users: [], backups: undefined, snapshots: undefined, ssl: undefined }
  const objects = desiredSecrets(target, { ...wanted, ...nothing, ...parts }, secrets)
  if (objects.length === 0) return []
  const consequences = [
    ...('backups' in parts
      ? ['The next snapshot uses the new credentials; the exporter of backup metrics keeps the old ones until it restarts.']
      : []),
    ...('snapshots' in parts ? ['The next backup by Skerry uses the new keys.'] : []),
    ...('ssl' in parts ? ['The nodes load the new certificate within minutes; no connection is cut.'] : []),
  ]
  return [{ name: 'credentials', objects, consequences }]
}

function creationConsequences(wanted: StoredDatabaseSpec, { backupImage }: PlanOptions): string[] {
  const untaken = wanted.backups && backupImage && backupsToCome(backupImage)
  const { allowedCIDRs, exposure } = wanted
  return [
    `Starts ${plural(nodesIn(wanted), 'node')}, each on a host of its own.`,
    `Claims ${volumesOf(wanted)}, and a volume for heap dumps with each node.`,
    exposure.type === 'loadbalancer' ? 'Asks for a load balancer.' : `Is reached as ${exposure.hostname}, by Traefik.`,
    allowedCIDRs.length === 0 ? 'Nobody outside the cluster can connect.' : `Clients can connect from ${allowedCIDRs.join(', ')}.`,
    ...widthOf(allowedCIDRs),
    ...(untaken === undefined ? [] : [untaken]),
    ...(wanted.snapshots ? snapshotConsequences(undefined, wanted.snapshots, wanted.version) : []),
    ...(wanted.retainVolumes ? [] : [wanted.deletionProtection ? keptWhileProtected : volumesGoWithIt]),
  ]
}

/** The consequence of `retainVolumes: false` with `deletionProtection: true`. */
const keptWhileProtected = 'Its volumes are kept while it has deletionProtection, and from then on deleted with it.'

/** The consequence of `retainVolumes: false`. */
const volumesGoWithIt =
  'From then on its volumes are deleted with the database, however it is deleted: by the API, with kubectl, with its namespace or with the CRD. Unless the storage class retains them, the data is lost.'

/**
 * The consequences of deleting a database, by its spec and the storage classes of the cluster.
 * @param keepDays for how many days it can be had back, if its volumes are kept
 */
export function deletionConsequences(spec: StoredDatabaseSpec, storageClasses: StorageClassFacts[], keepDays: number): string[] {
  const volumes = volumesOf(spec)
  const reclaims = groupsOf(spec).some(
    // A class that no longer exists counts as one that reclaims, which is the default of Kubernetes.
    ({ disk }) => storageClasses.find(({ name }) => name === disk.storageClass)?.reclaims ?? true,
  )
  const fate = spec.retainVolumes
    ? [`${volumes} ${keptFor(keepDays)}`]
    : reclaims
      ? [
          `${volumes} will be deleted: the storage class reclaims them. ${spec.backups || spec.snapshots ? 'Only snapshots are left.' : 'Nothing of the data is left.'}`,
        ]
      : [`${volumes} will be released: the storage class retains them until somebody deletes them by hand.`]
  return [
    'Clients can no longer connect, and the external address is released.',
    ...fate,
    spec.retainVolumes && keepDays > 0
      ? "The users' passwords and other Secrets that the API made for the database are kept as long, for the undelete alone."
      : "The users' passwords and other Secrets that the API made for the database will be deleted.",
    ...(spec.backups || spec.snapshots ? ['Snapshots in the bucket stay.'] : []),
  ]
}

function keptFor(days: number): string {
  if (days === 0) return 'will be deleted right afterwards, since keepDeletedDays of the project is 0: the data is lost.'
  return `will be kept for ${plural(days, 'day')}. Until then the database can be had back with them, by deleted-databases/…/actions/undelete; then they are deleted, and the data is lost.`
}

/** `3 × 64 GiB`, and the same for the masters. */
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

/** The groups that are in both specs: adding or removing a group is not possible. */
function groupPairs(current: StoredDatabaseSpec, wanted: StoredDatabaseSpec): { is: NodeGroup; wants: NodeGroup }[] {
  return [
    { is: current.nodes, wants: wanted.nodes },
    ...(current.master && wanted.master ? [{ is: current.master, wants: wanted.master }] : []),
  ]
}

function grows(is: NodeGroup, wants: NodeGroup): boolean {
  return (compareBytes(wants.disk.size, is.disk.size) ?? 0) > 0
}

/** Another tool may have set requests below the limits. With a change of the limits, both become the same. */
function lowerRequests(current: StoredDatabaseSpec, wanted: StoredDatabaseSpec, cratedb: KubernetesObject): string[] {
  const { data, master } = cratedb.spec.nodes
  return [
    { is: current.nodes, wants: wanted.nodes, group: data[0] },
    { is: current.master, wants: wanted.master, group: master },
  ].flatMap(({ is, wants, group }) => {
    const { requests = {} } = group?.resources ?? {}
    if (!is || !wants || !computesOtherwise(is, wants)) return []
    const lower = [
      ...(requests.cpu !== undefined && requests.cpu !== is.cpu ? [`${requests.cpu} cores`] : []),
      ...(requests.memory !== undefined && compareBytes(String(requests.memory), is.memory) !== 0 ? [`${requests.memory} of memory`] : []),
    ]
    return lower.length === 0
      ? []
      : [
          `Its nodes request ${wants.cpu} cores and ${wants.memory} of memory each from then on, as much as their limits; before, ${lower.join(' and ')}.`,
        ]
  })
}

// The operator ignores a change of heapRatio alone. It takes effect together with a change of cpu or memory.
function computesOtherwise(is: NodeGroup, wants: NodeGroup): boolean {
  return is.cpu !== wants.cpu || compareBytes(is.memory, wants.memory) !== 0
}

/** All nodes, dedicated masters included. */
function nodesIn(spec: StoredDatabaseSpec): number {
  return groupsOf(spec).reduce((sum, { count }) => sum + count, 0)
}

/** Sets the number of nodes of each data group; 0 where none is given. */
function setReplicas(cratedb: KubernetesObject, counts: number[]): void {
  cratedb.spec.nodes.data = cratedb.spec.nodes.data.map((group: object, index: number) => ({ ...group, replicas: counts[index] ?? 0 }))
}

function setDataGroup(cratedb: KubernetesObject, fields: Record<string, unknown>): void {
  const [first, ...others] = cratedb.spec.nodes.data
  cratedb.spec.nodes.data = [{ ...first, ...fields }, ...others]
}

/** Edits each group of the CrateDB that the wanted database has too. */
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
