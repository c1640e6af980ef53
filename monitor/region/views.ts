import type { Cached } from '../../shared/kubernetes/cache.ts'
import type { KubernetesObject, ObjectMeta } from '../../shared/kubernetes/objects.ts'
import { parseBytes, parseMillicores } from '../../shared/kubernetes/quantity.ts'

// What the caches keep of each object: the few fields that are published or that say what to check. The rest is let go at once.

/** Cores in thousandths, memory in bytes. */
export type Amounts = { millicores: number; memory: number }

/** What a host has. */
export type HostAmounts = Amounts & { pods: number; ephemeralStorage: number }

export type HostView = Cached & {
  ready: boolean
  /** Unix milliseconds since which it is so. */
  readySince: number | undefined
  /** All conditions but Ready; null where nobody knows. */
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

export type DatabaseView = Cached & {
  /** As specified. */
  version: string
  /** The nodes of all groups, masters among them. 0 while it is suspended. */
  nodes: number
  suspended: boolean
  /** What all nodes together ask for. */
  requested: Amounts
  /** The data volumes of all nodes, also while it is suspended if it is known to how many nodes it comes back. */
  disks: { count: number; bytes: number } | undefined
  storageClass: string
  /** What the operator's last ping said. */
  health: string | undefined
  /** The operator is at work on it. */
  changing: boolean
  deleting: boolean
  /** Its HTTP port speaks TLS. */
  tls: boolean
}

export type ProjectView = Cached & { ready: boolean; deleting: boolean }

/** What a pod takes from its host. */
export type PodView = Cached & {
  /** The host that it is placed on. */
  host: string | undefined
  requested: Amounts
  /** It has not ended: what it asked for is taken. */
  active: boolean
  ready: boolean
  /** Name of the database whose node it is. */
  database: string | undefined
}

export type DeploymentView = Cached & {
  /** Its `app.kubernetes.io/name`. */
  component: string
  desired: number
  ready: number
  updated: number
  version: string
}

export type ServiceView = Cached & { component: string; ports: readonly { name: string; port: number }[] }

/** The label by which components are found. */
export const componentLabel = 'app.kubernetes.io/name'

const controlPlaneLabels = ['control-plane', 'master', 'controlplane'].map((role) => `node-role.kubernetes.io/${role}`)

function identity({ name, namespace, resourceVersion }: ObjectMeta): Cached['metadata'] {
  return { name, ...(namespace !== undefined && { namespace }), ...(resourceVersion !== undefined && { resourceVersion }) }
}

type Condition = { type: string; status: string; lastTransitionTime?: string }

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

/** What a quantity counts, bytes mostly; 0 if it is none. From 2^53 on it is no number any more. */
function bytesOf(given: unknown): number {
  return Math.min(Number.MAX_SAFE_INTEGER, Number(parseBytes(String(given)) ?? 0))
}

/** Thousandths of a core; 0 if it is none. Whole, so that what is added and taken away again leaves nothing. */
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

/** The operator notes its progress in annotations of this prefix that say when they were started (crate-operator.md, section 6). */
const operatorPrefix = 'operator.cloud.crate.io/'

function isProgress([key, value]: [string, string]): boolean {
  // `last` holds the whole object as it was handled, in which anything may stand.
  return key.startsWith(operatorPrefix) && key !== `${operatorPrefix}last` && value.startsWith('{') && value.includes('"started"')
}

export function databaseView({ metadata, spec = {}, status = {} }: KubernetesObject): DatabaseView {
  const { cluster = {}, nodes = {} } = spec
  // biome-ignore lint/suspicious/noExplicitAny: the definition of a CrateDB checks little, so any field may be anything
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
  }
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

/** The definition lets any number through where only a whole one makes sense. */
function whole(given: unknown): number {
  const number = Number(given ?? 0)
  return Number.isFinite(number) ? Math.min(1_000_000, Math.max(0, Math.ceil(number))) : 0
}

export function projectView({ metadata, status = {} }: KubernetesObject): ProjectView {
  const conditions: Condition[] = status.conditions ?? []
  return {
    metadata: identity(metadata),
    ready: conditions.some(({ type, status }) => type === 'Ready' && status === 'True'),
    deleting: metadata.deletionTimestamp !== undefined,
  }
}

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

type Container = { resources?: { requests?: Record<string, unknown> }; restartPolicy?: string }

/**
 * What the scheduler takes a pod for: its containers and its sidecars together, or the most that it takes while it starts, where init
 * containers run one after the other beside the sidecars begun before; and its overhead (KEP-753). What the pod as a whole asks for
 * (KEP-2837) goes before that.
 */
export function podRequests(spec: {
  containers?: Container[]
  initContainers?: Container[]
  overhead?: Record<string, unknown>
  resources?: { requests?: Record<string, unknown> }
}): Amounts {
  const amount = (resource: 'cpu' | 'memory', read: (given: unknown) => number) => {
    const asked = ({ resources }: Container) => read(resources?.requests?.[resource])
    let sidecars = 0
    let starting = 0
    for (const container of spec.initContainers ?? []) {
      if (container.restartPolicy === 'Always') sidecars += asked(container)
      else starting = Math.max(starting, sidecars + asked(container))
    }
    const running = (spec.containers ?? []).reduce((sum, container) => sum + asked(container), sidecars)
    const whole = spec.resources?.requests?.[resource]
    return (whole === undefined ? Math.max(running, starting) : read(whole)) + read(spec.overhead?.[resource])
  }
  return { millicores: amount('cpu', millicoresOf), memory: amount('memory', bytesOf) }
}

export function deploymentView({ metadata, spec = {}, status = {} }: KubernetesObject): DeploymentView {
  const image: unknown = spec.template?.spec?.containers?.[0]?.image
  return {
    metadata: identity(metadata),
    component: metadata.labels?.[componentLabel] ?? '',
    desired: whole(spec.replicas ?? 1),
    ready: whole(status.readyReplicas),
    updated: whole(status.updatedReplicas),
    version: metadata.labels?.['app.kubernetes.io/version'] ?? /:([^:/@]+)(@.*)?$/.exec(String(image ?? ''))?.[1] ?? '',
  }
}

export function serviceView({ metadata, spec = {} }: KubernetesObject): ServiceView {
  return {
    metadata: identity(metadata),
    component: metadata.labels?.[componentLabel] ?? '',
    ports: (spec.ports ?? []).map(({ name, port }: { name?: string; port: number }) => ({ name: name ?? '', port })),
  }
}

/** What people call the place of a database: its project, or `namespace.<namespace>` where the namespace is not a project's. */
export function placeOf(namespace: string): string {
  // An id of a project holds no dot, so the two never meet.
  return namespace.startsWith('project-') ? namespace.slice('project-'.length) : `namespace.${namespace}`
}
