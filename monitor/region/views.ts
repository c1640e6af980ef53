import type { Cached } from '../../shared/kubernetes/cache.ts'
import { tagOf } from '../../shared/kubernetes/image.ts'
import type { KubernetesObject, ObjectMeta } from '../../shared/kubernetes/objects.ts'
import { podRequest, type RequestingPod } from '../../shared/kubernetes/pod-requests.ts'
import { parseBytes, parseMillicores } from '../../shared/kubernetes/quantity.ts'

// What the caches keep of each object: the few fields that are published or that decide what is checked.

/** Cores in thousandths, memory in bytes. */
export type Amounts = { millicores: number; memory: number }

/** The resources of a host. */
export type HostAmounts = Amounts & { pods: number; ephemeralStorage: number }

/** A host: a Node. */
export type HostView = Cached & {
  ready: boolean
  /** Unix milliseconds of the last change of `ready`. */
  readySince: number | undefined
  /** All conditions except Ready; null for Unknown. */
  conditions: Readonly<Record<string, boolean | null>>
  schedulable: boolean
  controlPlane: boolean
  capacity: HostAmounts
  allocatable: HostAmounts
  /** `key=value:effect`, sorted. */
  taints: string
  kubeletVersion: string
  architecture: string
  operatingSystem: string
  osImage: string
  kernel: string
  containerRuntime: string
  /** Its internal address. */
  address: string
}

/** A database: a CrateDB. */
export type DatabaseView = Cached & {
  /** As specified. */
  version: string
  /** The nodes of all groups, masters included. 0 while it is suspended. */
  nodes: number
  suspended: boolean
  /** The requests of all nodes together. */
  requested: Amounts
  /** The data volumes of all nodes. While it is suspended, they are known only if its number of nodes after the resume is known. */
  disks: { count: number; bytes: number } | undefined
  storageClass: string
  /** The result of the operator's last ping. */
  health: string | undefined
  /** The operator is changing it. */
  changing: boolean
  deleting: boolean
  /** Its HTTP port speaks TLS. */
  tls: boolean
  /** What became of the rehearsals of its restore; undefined if it has no backups of Skerry's own. */
  rehearsal: RehearsalView | undefined
}

/** When a restore was rehearsed last, in Unix milliseconds. */
export type RehearsalView = {
  succeededAt: number | undefined
  failedAt: number | undefined
  /** Why the last one failed that did, in one word. */
  reason: string
}

/** A Project. */
export type ProjectView = Cached & {
  ready: boolean
  deleting: boolean
  /** What its deleted databases still hold; undefined if there are none. `nextExpiry`: Unix milliseconds. */
  retained: { databases: number; bytes: number; nextExpiry: number | undefined } | undefined
}

/** The Registration: how the region stands with its cloud. Empty texts are unknown. */
export type RegistrationView = Cached & {
  cloud: string
  id: string
  state: string
  reason: string
  name: string
  /** `name=value`, sorted. */
  tags: string
}

/** A pod, and what it takes from its host. */
export type PodView = Cached & {
  /** The host that it is placed on. */
  host: string | undefined
  requested: Amounts
  /** It has not ended: its requests count. */
  active: boolean
  ready: boolean
  /** Name of the database whose node it is. */
  database: string | undefined
}

/** A Deployment of a component. */
export type DeploymentView = Cached & {
  /** Its `app.kubernetes.io/name`. */
  component: string
  desired: number
  ready: number
  updated: number
  version: string
}

/** A Service of a component. */
export type ServiceView = Cached & { component: string; ports: readonly { name: string; port: number }[] }

/** The label by which components are found. */
export const componentLabel = 'app.kubernetes.io/name'

const controlPlaneLabels = ['control-plane', 'master', 'controlplane'].map((role) => `node-role.kubernetes.io/${role}`)

function identity({ name, namespace, resourceVersion }: ObjectMeta): Cached['metadata'] {
  return { name, ...(namespace !== undefined && { namespace }), ...(resourceVersion !== undefined && { resourceVersion }) }
}

type Condition = { type: string; status: string; lastTransitionTime?: string }

/** Makes the view of a Registration. */
export function registrationView({ metadata, status = {} }: KubernetesObject): RegistrationView {
  const textOf = (value: unknown) => (typeof value === 'string' ? value.slice(0, 300) : '')
  const { cloud, id, state, reason, name, tags = {} } = status as Record<string, unknown>
  return {
    metadata: identity(metadata),
    ...{ cloud: textOf(cloud), id: textOf(id), state: textOf(state), reason: textOf(reason), name: textOf(name) },
    tags: Object.entries(tags as Record<string, unknown>)
      .map(([tag, value]) => `${tag}=${textOf(value)}`)
      .sort()
      .join(',')
      .slice(0, 2_000),
  }
}

/** Makes the view of a Node. */
export function hostView({ metadata, spec = {}, status = {} }: KubernetesObject): HostView {
  const { nodeInfo = {}, addresses = [] } = status
  const conditions: Condition[] = status.conditions ?? []
  const ready = conditions.find(({ type }) => type === 'Ready')
  const since = Date.parse(ready?.lastTransitionTime ?? '')
  const taints: { key: string; value?: string; effect: string }[] = spec.taints ?? []
  return {
    metadata: identity(metadata),
    ready: ready?.status === 'True',
    readySince: Number.isNaN(since) ? undefined : since,
    conditions: Object.fromEntries(
      conditions
        .filter(({ type }) => type !== 'Ready')
        .slice(0, 30)
        .map(({ type, status }) => [type, status === 'True' ? true : status === 'False' ? false : null]),
    ),
    schedulable: spec.unschedulable !== true && metadata.deletionTimestamp === undefined,
    controlPlane: controlPlaneLabels.some((label) => metadata.labels?.[label] !== undefined),
    capacity: hostAmounts(status.capacity),
    allocatable: hostAmounts(status.allocatable),
    taints: taints
      .map(({ key, value, effect }) => `${key}${value ? `=${value}` : ''}:${effect}`)
      .sort()
      .join(','),
    kubeletVersion: String(nodeInfo.kubeletVersion ?? ''),
    architecture: String(nodeInfo.architecture ?? metadata.labels?.['kubernetes.io/arch'] ?? ''),
    operatingSystem: String(nodeInfo.operatingSystem ?? metadata.labels?.['kubernetes.io/os'] ?? ''),
    osImage: String(nodeInfo.osImage ?? ''),
    kernel: String(nodeInfo.kernelVersion ?? ''),
    containerRuntime: String(nodeInfo.containerRuntimeVersion ?? ''),
    address: String(addresses.find(({ type }: { type: string }) => type === 'InternalIP')?.address ?? ''),
  }
}

/** A quantity as a number, mostly of bytes, at most 2^53 - 1; 0 if it is invalid. */
function bytesOf(given: unknown): number {
  return Math.min(Number.MAX_SAFE_INTEGER, Number(parseBytes(String(given)) ?? 0))
}

/** Thousandths of a core; 0 if the quantity is invalid. Whole, so that sums stay exact. */
function millicoresOf(given: unknown): number {
  return parseMillicores(String(given)) ?? 0
}

function hostAmounts(given: Record<string, unknown> = {}): HostAmounts {
  return {
    millicores: millicoresOf(given.cpu),
    memory: bytesOf(given.memory),
    pods: bytesOf(given.pods),
    ephemeralStorage: bytesOf(given['ephemeral-storage']),
  }
}

/** The operator keeps its progress in annotations with this prefix; each has the time of its start. */
const operatorPrefix = 'operator.cloud.crate.io/'

function isProgress([key, value]: [string, string]): boolean {
  // `last` holds the whole object as it was last handled, which may contain anything.
  return key.startsWith(operatorPrefix) && key !== `${operatorPrefix}last` && value.startsWith('{') && value.includes('"started"')
}

/** Makes the view of a CrateDB. */
export function databaseView({ metadata, spec = {}, status = {} }: KubernetesObject): DatabaseView {
  const { cluster = {}, nodes = {} } = spec
  // biome-ignore lint/suspicious/noExplicitAny: the CRD of a CrateDB validates little, so any field may be anything
  const data: any[] = Array.isArray(nodes.data) ? nodes.data : []
  const groups = [...data, ...(nodes.master ? [nodes.master] : [])]
  const suspended = data.length > 0 && data.every(({ replicas }) => replicas === 0)
  const resumed = Number(metadata.annotations?.['skerry.dev/nodes-when-resumed'])
  return {
    metadata: identity(metadata),
    version: String(cluster.version ?? ''),
    nodes: suspended ? 0 : groups.reduce((sum, { replicas }) => sum + whole(replicas), 0),
    suspended,
    requested: {
      millicores: suspended ? 0 : sumOf(groups, ({ cpu }) => millicoresOf(cpu)),
      memory: suspended ? 0 : sumOf(groups, ({ memory }) => bytesOf(memory)),
    },
    disks: suspended && !(resumed > 0) ? undefined : disksOf(groups, suspended ? resumed : undefined),
    storageClass: String(data[0]?.resources?.disk?.storageClass ?? ''),
    health: typeof status.crateDBStatus?.health === 'string' ? status.crateDBStatus.health : undefined,
    changing: Object.entries(metadata.annotations ?? {}).some(isProgress),
    deleting: metadata.deletionTimestamp !== undefined,
    tls: cluster.ssl !== undefined,
    rehearsal: rehearsalOf(metadata.annotations ?? {}),
  }
}

/** By the annotations of the agent: `skerry.dev/database` says whether there are backups, `skerry.dev/backups` what became of them. */
function rehearsalOf(annotations: Record<string, string>): RehearsalView | undefined {
  if (read(annotations['skerry.dev/database']).snapshots === undefined) return undefined
  const { rehearsal } = read(annotations['skerry.dev/backups'])
  const { lastSuccess, lastFailure } = members(rehearsal)
  const at = (of: unknown) => {
    const { at: text } = members(of)
    const time = typeof text === 'string' && /^\d{4}-\d\d-\d\dT/.test(text) ? Date.parse(text) : Number.NaN
    return Number.isNaN(time) ? undefined : time
  }
  const { reason } = members(lastFailure)
  return { succeededAt: at(lastSuccess), failedAt: at(lastFailure), reason: typeof reason === 'string' ? reason.slice(0, 100) : '' }
}

/** The members of a JSON object in an annotation; none if it is anything else. */
function read(text: string | undefined): Record<string, unknown> {
  try {
    return members(JSON.parse(text ?? ''))
  } catch {
    return {}
  }
}

function members(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

// biome-ignore lint/suspicious/noExplicitAny: as above
function sumOf(groups: any[], amount: (requested: { cpu: unknown; memory: unknown }) => number): number {
  return groups.reduce((sum, { replicas, resources = {} }) => {
    const { requests = {}, limits = {}, cpus, memory } = resources
    return sum + whole(replicas) * amount({ cpu: requests.cpu ?? limits.cpu ?? cpus, memory: requests.memory ?? limits.memory ?? memory })
  }, 0)
}

// biome-ignore lint/suspicious/noExplicitAny: as above
function disksOf(groups: any[], resumed: number | undefined): { count: number; bytes: number } {
  const all = groups.map(({ replicas, resources }) => {
    const { count = 1, size } = resources?.disk ?? { count: 0 }
    const volumes = whole(replicas === 0 ? resumed : replicas) * whole(count)
    return { count: volumes, bytes: volumes * bytesOf(size) }
  })
  return {
    count: all.reduce((sum, { count }) => sum + count, 0),
    bytes: Math.min(
      Number.MAX_SAFE_INTEGER,
      all.reduce((sum, { bytes }) => sum + bytes, 0),
    ),
  }
}

/** The CRD accepts any number where only a whole one makes sense. */
function whole(given: unknown): number {
  const number = Number(given ?? 0)
  return Number.isFinite(number) ? Math.min(1_000_000, Math.max(0, Math.ceil(number))) : 0
}

/** Makes the view of a Project. */
export function projectView({ metadata, status = {} }: KubernetesObject): ProjectView {
  const conditions: Condition[] = status.conditions ?? []
  return {
    metadata: identity(metadata),
    ready: conditions.some(({ type, status }) => type === 'Ready' && status === 'True'),
    deleting: metadata.deletionTimestamp !== undefined,
    retained: status.retained && retainedView(status.retained),
  }
}

function retainedView({ databases, storage, nextExpiry }: Record<string, unknown>): ProjectView['retained'] {
  const next = Date.parse(String(nextExpiry))
  return { databases: whole(databases), bytes: bytesOf(storage), nextExpiry: Number.isNaN(next) ? undefined : next }
}

/** Makes the view of a Pod. */
export function podView({ metadata, spec = {}, status = {} }: KubernetesObject): PodView {
  const { labels = {} } = metadata
  const conditions: Condition[] = status.conditions ?? []
  const isDatabase = labels['app.kubernetes.io/part-of'] === 'cratedb' && labels['app.kubernetes.io/component'] === 'cratedb'
  return {
    metadata: identity(metadata),
    host: spec.nodeName,
    requested: podRequests(spec),
    active: status.phase !== 'Succeeded' && status.phase !== 'Failed',
    ready: conditions.some(({ type, status }) => type === 'Ready' && status === 'True') && metadata.deletionTimestamp === undefined,
    database: isDatabase ? labels[componentLabel] : undefined,
  }
}

/** The requests of a pod, as the scheduler counts them. */
export function podRequests(spec: RequestingPod): Amounts {
  const amount = (resource: string) => Math.min(Number.MAX_SAFE_INTEGER, Number(podRequest(spec, resource)))
  return { millicores: amount('cpu'), memory: amount('memory') }
}

/** Makes the view of a Deployment. */
export function deploymentView({ metadata, spec = {}, status = {} }: KubernetesObject): DeploymentView {
  const image: unknown = spec.template?.spec?.containers?.[0]?.image
  return {
    metadata: identity(metadata),
    component: metadata.labels?.[componentLabel] ?? '',
    desired: whole(spec.replicas ?? 1),
    ready: whole(status.readyReplicas),
    updated: whole(status.updatedReplicas),
    version: metadata.labels?.['app.kubernetes.io/version'] ?? tagOf(typeof image === 'string' ? image : undefined) ?? '',
  }
}

/** Makes the view of a Service. */
export function serviceView({ metadata, spec = {} }: KubernetesObject): ServiceView {
  return {
    metadata: identity(metadata),
    component: metadata.labels?.[componentLabel] ?? '',
    ports: (spec.ports ?? []).map(({ name, port }: { name?: string; port: number }) => ({ name: name ?? '', port })),
  }
}

/** The place of a database as published: its project, or `namespace.<namespace>` if the namespace is not that of a project. */
export function placeOf(namespace: string): string {
  // The id of a project has no dot, so the two never collide.
  return namespace.startsWith('project-') ? namespace.slice('project-'.length) : `namespace.${namespace}`
}
