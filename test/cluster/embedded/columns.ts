import type { Json, KubeObject } from './object.ts'
import type { Column } from './resources.ts'

type Value = (object: KubeObject) => unknown

const column = (name: string, value: Value, type: Column['type'] = 'string'): Column => ({ name, type, priority: 0, value })
const wide = (name: string, value: Value): Column => ({ name, type: 'string', priority: 1, value })

/** The first column of every kind. */
export const nameColumn: Column = { name: 'Name', type: 'string', format: 'name', priority: 0, value: (object) => object.metadata.name }

/** The age of an object as kubectl prints it: `5s`, `3m12s`, `2d4h`. */
export function age(since: string | undefined, now = Date.now()): string {
  if (!since) return '<unknown>'
  const seconds = Math.max(0, Math.floor((now - Date.parse(since)) / 1000))
  const minutes = Math.floor(seconds / 60)
  const hours = Math.floor(minutes / 60)
  const days = Math.floor(hours / 24)
  const two = (big: number, bigUnit: string, small: number, smallUnit: string): string =>
    small ? `${big}${bigUnit}${small}${smallUnit}` : `${big}${bigUnit}`
  if (seconds < 120) return `${seconds}s`
  if (minutes < 10) return two(minutes, 'm', seconds % 60, 's')
  if (hours < 3) return `${minutes}m`
  if (hours < 8) return two(hours, 'h', minutes % 60, 'm')
  if (hours < 48) return `${hours}h`
  if (days < 8) return two(days, 'd', hours % 24, 'h')
  if (days < 365 * 2) return `${days}d`
  return two(Math.floor(days / 365), 'y', days % 365, 'd')
}

const ageColumn = column('Age', (object) => age(object.metadata.creationTimestamp))
const count = (value: Json): number => Object.keys(value ?? {}).length
const orNone = (value: unknown): unknown => (value === undefined || value === null || value === '' ? '<none>' : value)
const list = (values: string[] | undefined): unknown => orNone((values ?? []).join(','))
const labels = (value: Record<string, string> | undefined): unknown =>
  list(Object.entries(value ?? {}).map(([key, text]) => `${key}=${text}`))
const template = (object: KubeObject): Json[] => object.spec?.template?.spec?.containers ?? []
const modes: Record<string, string> = { ReadWriteOnce: 'RWO', ReadOnlyMany: 'ROX', ReadWriteMany: 'RWX', ReadWriteOncePod: 'RWOP' }
const accessModes = (values: string[] | undefined): string => (values ?? []).map((mode) => modes[mode] ?? mode).join(',')

const containers = wide('Containers', (object) => list(template(object).map(({ name }) => name)))
const images = wide('Images', (object) => list(template(object).map(({ image }) => image)))
const selector = wide('Selector', (object) => labels(object.spec?.selector?.matchLabels))
const ready = column('Ready', ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec?.replicas ?? 1}`)

const roles = ({ metadata }: KubeObject): unknown =>
  list(
    Object.keys(metadata.labels ?? {})
      .filter((key) => key.startsWith('node-role.kubernetes.io/'))
      .map((key) => key.slice('node-role.kubernetes.io/'.length)),
  )

function nodeStatus({ spec, status }: KubeObject): string {
  const condition = status?.conditions?.find((each: Json) => each.type === 'Ready')
  const text = condition ? (condition.status === 'True' ? 'Ready' : 'NotReady') : 'Unknown'
  return spec?.unschedulable ? `${text},SchedulingDisabled` : text
}

function podStatus({ metadata, status }: KubeObject): string {
  if (metadata.deletionTimestamp) return 'Terminating'
  const waiting = status?.containerStatuses?.find((each: Json) => each.state?.waiting?.reason)
  return waiting?.state.waiting.reason ?? status?.reason ?? status?.phase ?? 'Pending'
}

const servicePorts = ({ spec }: KubeObject): unknown =>
  list((spec?.ports ?? []).map((port: Json) => `${port.port}${port.nodePort ? `:${port.nodePort}` : ''}/${port.protocol ?? 'TCP'}`))

function externalIp({ spec, status }: KubeObject): unknown {
  if (spec?.type !== 'LoadBalancer') return orNone(spec?.externalName ?? list(spec?.externalIPs))
  const addresses = (status?.loadBalancer?.ingress ?? []).map((each: Json) => each.ip ?? each.hostname)
  return addresses.length > 0 ? addresses.join(',') : '<pending>'
}

const restarts = ({ status }: KubeObject): number =>
  (status?.containerStatuses ?? []).reduce((sum: number, each: Json) => sum + (each.restartCount ?? 0), 0)

const quotaText = ({ status, spec }: KubeObject): string =>
  Object.entries(status?.hard ?? spec?.hard ?? {})
    .map(([name, hard]) => `${name}: ${status?.used?.[name] ?? 0}/${hard}`)
    .join(', ')

const isTrue = (object: KubeObject, type: string): boolean =>
  object.status?.conditions?.some((each: Json) => each.type === type && each.status === 'True') ?? false

/** Columns after the name, by `group/Kind`; a kind that is not listed has only its age. */
const columns: Record<string, Column[]> = {
  '/Namespace': [column('Status', ({ status }) => status?.phase), ageColumn],
  '/ConfigMap': [column('Data', (object) => count(object.data) + count(object.binaryData), 'integer'), ageColumn],
  '/Secret': [column('Type', ({ type }) => type), column('Data', ({ data }) => count(data), 'integer'), ageColumn],
  '/Service': [
    column('Type', ({ spec }) => spec?.type),
    column('Cluster-IP', ({ spec }) => orNone(spec?.clusterIP)),
    column('External-IP', externalIp),
    column('Port(s)', servicePorts),
    ageColumn,
    wide('Selector', ({ spec }) => labels(spec?.selector)),
  ],
  '/ServiceAccount': [column('Secrets', ({ secrets }) => secrets?.length ?? 0, 'integer'), ageColumn],
  '/Pod': [
    column('Ready', ({ spec, status }) => {
      const running = (status?.containerStatuses ?? []).filter((each: Json) => each.ready).length
      return `${running}/${spec?.containers?.length ?? 0}`
    }),
    column('Status', podStatus),
    column('Restarts', restarts, 'integer'),
    ageColumn,
    wide('IP', ({ status }) => orNone(status?.podIP)),
    wide('Node', ({ spec }) => orNone(spec?.nodeName)),
    wide('Nominated Node', ({ status }) => orNone(status?.nominatedNodeName)),
    wide('Readiness Gates', () => '<none>'),
  ],
  '/Node': [
    column('Status', nodeStatus),
    column('Roles', roles),
    ageColumn,
    column('Version', ({ status }) => status?.nodeInfo?.kubeletVersion ?? ''),
    wide('Internal-IP', ({ status }) => orNone(status?.addresses?.find((each: Json) => each.type === 'InternalIP')?.address)),
    wide('OS-Image', ({ status }) => status?.nodeInfo?.osImage ?? '<unknown>'),
    wide('Kernel-Version', ({ status }) => status?.nodeInfo?.kernelVersion ?? '<unknown>'),
    wide('Container-Runtime', ({ status }) => status?.nodeInfo?.containerRuntimeVersion ?? '<unknown>'),
  ],
  '/PersistentVolume': [
    column('Capacity', ({ spec }) => spec?.capacity?.storage),
    column('Access Modes', ({ spec }) => accessModes(spec?.accessModes)),
    column('Reclaim Policy', ({ spec }) => spec?.persistentVolumeReclaimPolicy),
    column('Status', ({ status }) => status?.phase),
    column('Claim', ({ spec }) => (spec?.claimRef ? `${spec.claimRef.namespace}/${spec.claimRef.name}` : '')),
    column('StorageClass', ({ spec }) => spec?.storageClassName ?? ''),
    column('Reason', ({ status }) => status?.reason ?? ''),
    ageColumn,
  ],
  '/PersistentVolumeClaim': [
    column('Status', ({ metadata, status }) => (metadata.deletionTimestamp ? 'Terminating' : status?.phase)),
    column('Volume', ({ spec }) => spec?.volumeName ?? ''),
    column('Capacity', ({ status }) => status?.capacity?.storage ?? ''),
    column('Access Modes', ({ status }) => accessModes(status?.accessModes)),
    column('StorageClass', ({ spec }) => spec?.storageClassName ?? ''),
    ageColumn,
    wide('VolumeMode', ({ spec }) => spec?.volumeMode),
  ],
  '/Event': [
    column('Last Seen', ({ metadata, lastTimestamp, eventTime }) => age(lastTimestamp ?? eventTime ?? metadata.creationTimestamp)),
    column('Type', ({ type }) => type),
    column('Reason', ({ reason }) => reason),
    column('Object', ({ involvedObject }) => `${(involvedObject?.kind ?? '').toLowerCase()}/${involvedObject?.name ?? ''}`),
    wide('Subobject', ({ involvedObject }) => involvedObject?.fieldPath ?? ''),
    wide('Source', ({ source }) => source?.component ?? ''),
    column('Message', ({ message }) => message),
  ],
  '/ResourceQuota': [column('Request', quotaText), column('Limit', () => ''), ageColumn],
  '/LimitRange': [column('Created At', ({ metadata }) => metadata.creationTimestamp, 'date')],
  'apps/Deployment': [
    ready,
    column('Up-to-date', ({ status }) => status?.updatedReplicas ?? 0, 'integer'),
    column('Available', ({ status }) => status?.availableReplicas ?? 0, 'integer'),
    ageColumn,
    containers,
    images,
    selector,
  ],
  'apps/StatefulSet': [ready, ageColumn, containers, images],
  'apps/ReplicaSet': [
    column('Desired', ({ spec }) => spec?.replicas ?? 1, 'integer'),
    column('Current', ({ status }) => status?.replicas ?? 0, 'integer'),
    column('Ready', ({ status }) => status?.readyReplicas ?? 0, 'integer'),
    ageColumn,
    containers,
    images,
    selector,
  ],
  'apps/DaemonSet': [
    column('Desired', ({ status }) => status?.desiredNumberScheduled ?? 0, 'integer'),
    column('Current', ({ status }) => status?.currentNumberScheduled ?? 0, 'integer'),
    column('Ready', ({ status }) => status?.numberReady ?? 0, 'integer'),
    ageColumn,
    containers,
    images,
    selector,
  ],
  'batch/Job': [
    column('Completions', ({ spec, status }) => `${status?.succeeded ?? 0}/${spec?.completions ?? 1}`),
    ageColumn,
    containers,
    images,
  ],
  'batch/CronJob': [
    column('Schedule', ({ spec }) => spec?.schedule),
    column('Suspend', ({ spec }) => String(spec?.suspend ?? false)),
    column('Active', ({ status }) => status?.active?.length ?? 0, 'integer'),
    column('Last Schedule', ({ status }) => (status?.lastScheduleTime ? age(status.lastScheduleTime) : '<none>')),
    ageColumn,
  ],
  'networking.k8s.io/NetworkPolicy': [column('Pod-Selector', ({ spec }) => labels(spec?.podSelector?.matchLabels)), ageColumn],
  'networking.k8s.io/Ingress': [
    column('Class', ({ spec }) => orNone(spec?.ingressClassName)),
    column('Hosts', ({ spec }) => list((spec?.rules ?? []).map((rule: Json) => rule.host ?? '*'))),
    ageColumn,
  ],
  'policy/PodDisruptionBudget': [
    column('Min Available', ({ spec }) => String(spec?.minAvailable ?? 'N/A')),
    column('Max Unavailable', ({ spec }) => String(spec?.maxUnavailable ?? 'N/A')),
    column('Allowed Disruptions', ({ status }) => status?.disruptionsAllowed ?? 0, 'integer'),
    ageColumn,
  ],
  'rbac.authorization.k8s.io/RoleBinding': [column('Role', ({ roleRef }) => `${roleRef?.kind}/${roleRef?.name}`), ageColumn],
  'rbac.authorization.k8s.io/ClusterRoleBinding': [column('Role', ({ roleRef }) => `${roleRef?.kind}/${roleRef?.name}`), ageColumn],
  'storage.k8s.io/StorageClass': [
    column('Provisioner', ({ provisioner }) => provisioner),
    column('ReclaimPolicy', ({ reclaimPolicy }) => reclaimPolicy ?? 'Delete'),
    column('VolumeBindingMode', ({ volumeBindingMode }) => volumeBindingMode ?? 'Immediate'),
    column('AllowVolumeExpansion', ({ allowVolumeExpansion }) => allowVolumeExpansion ?? false, 'boolean'),
    ageColumn,
  ],
  'coordination.k8s.io/Lease': [column('Holder', ({ spec }) => spec?.holderIdentity ?? ''), ageColumn],
  'apiextensions.k8s.io/CustomResourceDefinition': [
    column('Created At', ({ metadata }) => metadata.creationTimestamp, 'date'),
    wide('Established', (object) => String(isTrue(object, 'Established'))),
  ],
}

/** The columns of a built-in kind. */
export const columnsOf = (group: string, kind: string): Column[] => [nameColumn, ...(columns[`${group}/${kind}`] ?? [ageColumn])]
