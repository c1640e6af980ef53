import { isDeepStrictEqual } from 'node:util'
import { tagOf } from '../../shared/kubernetes/image.ts'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { formatBytes, parseBytes, parseMillicores, whole } from '../../shared/kubernetes/quantity.ts'
import type { BackupImage } from '../resources/backup-image.ts'
import { readDatabase } from '../resources/cratedb.ts'
import { groupsOf } from '../resources/database.ts'
import type { StorageClassFacts } from '../resources/kind.ts'
import { readProject } from '../resources/project.ts'
import { isReady } from './obstacles/evidence.ts'
import type { OperatorView } from './operator.ts'

/** A node of the cluster, with the field names that clouds use for hosts. */
export type Host = {
  hostname: string
  control_plane: boolean
  /** The version of the kubelet: `v1.35.2`. */
  k8s_version: string
  arch: string
  os: string
  /** `Debian GNU/Linux 12 (bookworm)` */
  os_version: string
  kernel_version: string
  /** `containerd://1.7.24` */
  container_runtime: string
  ready: boolean
  /**
   * The conditions that are true although they should not be: `MemoryPressure`, `DiskPressure`, `PIDPressure`, `NetworkUnavailable`. Absent if
   * there are none, as on nearly all of five hundred hosts.
   */
  pressure?: string[]
  /** New pods may be placed on it: it is neither cordoned nor being deleted. */
  schedulable: boolean
  /** The taint that reserves it for some pods, such as `cratedb=shared:NoSchedule`; null on an ordinary node. */
  specialised: { key: string; value: string; effect: string } | null
}

type Taint = { key: string; value?: string; effect: string }

const controlPlaneLabels = [
  'node-role.kubernetes.io/control-plane',
  'node-role.kubernetes.io/master',
  'node-role.kubernetes.io/controlplane',
]

const pressures = ['DiskPressure', 'MemoryPressure', 'NetworkUnavailable', 'PIDPressure']

/** The nodes, by name. Pure, like everything in this file: computed from the content of the caches. */
export function hostsOf(nodes: Iterable<KubernetesObject>): Host[] {
  return [...nodes].map(hostOf).sort((a, b) => (a.hostname < b.hostname ? -1 : 1))
}

/** Whether two versions of a node are the same host with the same room: a kubelet writes its Node every few minutes, changed or not. */
export function isSameHost(node: KubernetesObject, other: KubernetesObject): boolean {
  const shown = (each: KubernetesObject) => [hostOf(each), each.spec?.taints, each.status?.allocatable]
  return isDeepStrictEqual(shown(node), shown(other))
}

function hostOf(node: KubernetesObject): Host {
  const { metadata, spec = {}, status = {} } = node
  const { kubeletVersion = '', architecture = '', operatingSystem = '' } = status.nodeInfo ?? {}
  const { osImage = '', kernelVersion = '', containerRuntimeVersion = '' } = status.nodeInfo ?? {}
  const conditions: { type: string; status: string }[] = status.conditions ?? []
  const pressure = pressures.filter((type) => conditions.some((condition) => condition.type === type && condition.status === 'True'))
  const addresses: { type: string; address: string }[] = status.addresses ?? []
  const taint = specialisedTaint(spec.taints ?? [])
  return {
    hostname: metadata.labels?.['kubernetes.io/hostname'] ?? addresses.find(({ type }) => type === 'Hostname')?.address ?? metadata.name,
    control_plane: controlPlaneLabels.some((label) => metadata.labels?.[label] !== undefined),
    k8s_version: kubeletVersion,
    arch: architecture || (metadata.labels?.['kubernetes.io/arch'] ?? ''),
    os: operatingSystem || (metadata.labels?.['kubernetes.io/os'] ?? ''),
    os_version: osImage,
    kernel_version: kernelVersion,
    container_runtime: containerRuntimeVersion,
    ready: isReady(node),
    ...(pressure.length > 0 && { pressure }),
    schedulable: spec.unschedulable !== true && metadata.deletionTimestamp === undefined,
    specialised: taint ? { key: taint.key, value: taint.value ?? '', effect: taint.effect } : null,
  }
}

/** A host as the AMRC manager of Factory+ reads it from the configuration of an edge cluster (acs-edge-sync/lib/nodes.js). */
type AmrcHost = Pick<Host, 'hostname' | 'arch' | 'k8s_version' | 'os_version' | 'control_plane' | 'ready'> & {
  /** The value of its taint; absent on an ordinary host. */
  specialised?: string
}

const amrcTaint = 'factoryplus.app.amrc.co.uk/specialised'

/** The nodes, by name, in that shape. */
export function amrcHostsOf(nodes: Iterable<KubernetesObject>): AmrcHost[] {
  return [...nodes].map(amrcHostOf).sort((a, b) => (a.hostname < b.hostname ? -1 : 1))
}

function amrcHostOf(node: KubernetesObject): AmrcHost {
  const { hostname, arch, k8s_version, os_version, control_plane, ready } = hostOf(node)
  const taints: Taint[] = node.spec?.taints ?? []
  const taint = taints.find(({ key }) => key === amrcTaint)
  return { hostname, arch, k8s_version, os_version, control_plane, ready, ...(taint && { specialised: taint.value ?? '' }) }
}

/** The first taint that an administrator set. Kubernetes' own taints show conditions of a node, and that it runs the control plane. */
function specialisedTaint(taints: Taint[]): Taint | undefined {
  return taints.find(
    ({ key, effect }) => effect !== 'PreferNoSchedule' && !/^(node(-role)?|node\.cloudprovider)\.kubernetes\.io\//.test(key),
  )
}

/** The storage classes, by name. `reclaims`: a volume is deleted with its claim. */
export function storageClassesOf(classes: Iterable<KubernetesObject>): StorageClassFacts[] {
  const facts = [...classes].map(({ metadata, provisioner, allowVolumeExpansion, reclaimPolicy }) => ({
    name: metadata.name,
    provisioner: String(provisioner ?? ''),
    expandable: allowVolumeExpansion === true,
    reclaims: (reclaimPolicy ?? 'Delete') === 'Delete',
    isDefault: metadata.annotations?.['storageclass.kubernetes.io/is-default-class'] === 'true',
  }))
  return facts.sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Cores as a number, bytes as a quantity. */
type Amounts = { cpu: number; memory: string }

export type Capacity = {
  /** What pods may request in total on the hosts that are ready, schedulable and not reserved. */
  allocatable: Amounts & { hosts: number }
  /** What the specs of the databases request; of suspended databases only the storage. Heap-dump volumes are not included. */
  requested: Amounts & { storage: string; nodes: number; databases: number }
  /** The sum of the projects' quotas. A quota without a limit for a resource adds nothing to it: `open` counts such projects. */
  promised: Amounts & { storage: string; databases: number; open: { cpu: number; memory: number; storage: number; databases: number } }
}

/** What the cluster has, what the databases request, and what the quotas allow. */
export function capacityOf(seen: Record<'nodes' | 'databases' | 'projects', Iterable<KubernetesObject>>): Capacity {
  return { allocatable: allocatableOf(seen.nodes), requested: requestedOf(seen.databases), promised: promisedOf(seen.projects) }
}

/** The hosts that are ready, schedulable and not reserved. */
export function usableHosts(nodes: Iterable<KubernetesObject>): KubernetesObject[] {
  return [...nodes].filter((node) => {
    const { ready, schedulable, specialised } = hostOf(node)
    const taints: Taint[] = node.spec?.taints ?? []
    return ready && schedulable && specialised === null && taints.every(({ effect }) => effect === 'PreferNoSchedule')
  })
}

function allocatableOf(nodes: Iterable<KubernetesObject>): Capacity['allocatable'] {
  const usable = usableHosts(nodes)
  const has = usable.map(({ status }) => status?.allocatable ?? {})
  return { cpu: cores(has.map(({ cpu }) => cpu)), memory: bytes(has.map(({ memory }) => ({ size: memory }))), hosts: usable.length }
}

function requestedOf(databases: Iterable<KubernetesObject>): Capacity['requested'] {
  const specs = [...databases].map(readDatabase)
  const groups = specs.flatMap(groupsOf)
  const running = specs.filter(({ suspended }) => !suspended).flatMap(groupsOf)
  return {
    cpu: cores(running.map(({ cpu, count }) => cpu * count)),
    memory: bytes(running.map(({ memory, count }) => ({ size: memory, times: count }))),
    storage: bytes(groups.map(({ disk, count }) => ({ size: disk.size, times: count * disk.count }))),
    nodes: running.reduce((sum, { count }) => sum + count, 0),
    databases: specs.length,
  }
}

function promisedOf(projects: Iterable<KubernetesObject>): Capacity['promised'] {
  const quotas = [...projects].map((project) => readProject(project).quota ?? {})
  const open = (field: 'cpu' | 'memory' | 'storage' | 'databases') => quotas.filter((quota) => quota[field] === undefined).length
  return {
    cpu: cores(quotas.map(({ cpu }) => cpu)),
    memory: bytes(quotas.map(({ memory }) => ({ size: memory }))),
    storage: bytes(quotas.map(({ storage }) => ({ size: storage }))),
    databases: quotas.reduce((sum, { databases = 0 }) => sum + databases, 0),
    open: { cpu: open('cpu'), memory: open('memory'), storage: open('storage'), databases: open('databases') },
  }
}

/** The sum in cores. Kubernetes counts in thousandths of a core. */
function cores(amounts: (number | string | undefined)[]): number {
  return amounts.reduce<number>((sum, amount) => sum + (amount === undefined ? 0 : (parseMillicores(amount) ?? 0)), 0) / 1000
}

function bytes(amounts: { size: string | undefined; times?: number }[]): string {
  return formatBytes(amounts.reduce((sum, { size, times = 1 }) => sum + (parseBytes(size ?? '') ?? 0n) * whole(times), 0n))
}

/** The state of the Crate Operator. `unknown` until its Deployment has been looked up. */
export type OperatorState = {
  state: 'running' | 'not-ready' | 'scaled-down' | 'missing' | 'unknown'
  version: string | null
  /** Whether it can take backups itself. */
  backupImage: BackupImage
  namespace: string
  deployment: string
}

/**
 * @param cache the one from `createOperatorCache` for the same name
 * @param at where its Deployment is, and its release if the configuration states it
 */
export function operatorStateOf(
  cache: { readonly synced: boolean; get(key: string): OperatorView | undefined },
  { namespace, name, version }: { namespace: string; name: string; version?: string | undefined },
): OperatorState {
  const view = cache.get(`${namespace}/${name}`)
  const where = { backupImage: view?.backupImage ?? ('unknown' as const), namespace, deployment: name }
  if (!view) return { state: cache.synced ? 'missing' : 'unknown', version: null, ...where }
  const state = view.readyReplicas > 0 ? 'running' : view.replicas === 0 ? 'scaled-down' : 'not-ready'
  // A digest alone does not tell the version.
  return { state, version: version ?? tagOf(view.image) ?? null, ...where }
}
