/** Metadata as Skerry reads and writes it. */
export type ObjectMeta = {
  name: string
  namespace?: string
  generateName?: string
  uid?: string
  resourceVersion?: string
  generation?: number
  creationTimestamp?: string
  deletionTimestamp?: string
  finalizers?: string[]
  labels?: Record<string, string>
  annotations?: Record<string, string>
  ownerReferences?: OwnerReference[]
}

export type OwnerReference = {
  apiVersion: string
  kind: string
  name: string
  uid: string
  controller?: boolean
  blockOwnerDeletion?: boolean
}

/** Any Kubernetes object. The types of the fields beside the metadata depend on its kind. */
export type KubernetesObject = {
  apiVersion: string
  kind: string
  metadata: ObjectMeta
  // biome-ignore lint/suspicious/noExplicitAny: an object of a kind that the compiler does not know
  [field: string]: any
}

/** A kind, and its place in the API. */
export type Kind = { apiVersion: string; kind: string; plural: string; namespaced: boolean }

/** Every kind that Skerry reads or writes. */
export const kinds = {
  Project: { apiVersion: 'skerry.dev/v1', kind: 'Project', plural: 'projects', namespaced: false },
  Operation: { apiVersion: 'skerry.dev/v1', kind: 'Operation', plural: 'operations', namespaced: true },
  RetainedDatabase: { apiVersion: 'skerry.dev/v1', kind: 'RetainedDatabase', plural: 'retaineddatabases', namespaced: true },
  Registration: { apiVersion: 'skerry.dev/v1', kind: 'Registration', plural: 'registrations', namespaced: true },
  CrateDB: { apiVersion: 'cloud.crate.io/v1', kind: 'CrateDB', plural: 'cratedbs', namespaced: true },
  Namespace: { apiVersion: 'v1', kind: 'Namespace', plural: 'namespaces', namespaced: false },
  Node: { apiVersion: 'v1', kind: 'Node', plural: 'nodes', namespaced: false },
  Secret: { apiVersion: 'v1', kind: 'Secret', plural: 'secrets', namespaced: true },
  ConfigMap: { apiVersion: 'v1', kind: 'ConfigMap', plural: 'configmaps', namespaced: true },
  Service: { apiVersion: 'v1', kind: 'Service', plural: 'services', namespaced: true },
  ServiceAccount: { apiVersion: 'v1', kind: 'ServiceAccount', plural: 'serviceaccounts', namespaced: true },
  Pod: { apiVersion: 'v1', kind: 'Pod', plural: 'pods', namespaced: true },
  Event: { apiVersion: 'v1', kind: 'Event', plural: 'events', namespaced: true },
  PersistentVolume: { apiVersion: 'v1', kind: 'PersistentVolume', plural: 'persistentvolumes', namespaced: false },
  PersistentVolumeClaim: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', plural: 'persistentvolumeclaims', namespaced: true },
  ResourceQuota: { apiVersion: 'v1', kind: 'ResourceQuota', plural: 'resourcequotas', namespaced: true },
  LimitRange: { apiVersion: 'v1', kind: 'LimitRange', plural: 'limitranges', namespaced: true },
  Deployment: { apiVersion: 'apps/v1', kind: 'Deployment', plural: 'deployments', namespaced: true },
  StatefulSet: { apiVersion: 'apps/v1', kind: 'StatefulSet', plural: 'statefulsets', namespaced: true },
  DaemonSet: { apiVersion: 'apps/v1', kind: 'DaemonSet', plural: 'daemonsets', namespaced: true },
  CronJob: { apiVersion: 'batch/v1', kind: 'CronJob', plural: 'cronjobs', namespaced: true },
  NetworkPolicy: { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', plural: 'networkpolicies', namespaced: true },
  Role: { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', plural: 'roles', namespaced: true },
  RoleBinding: { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'RoleBinding', plural: 'rolebindings', namespaced: true },
  StorageClass: { apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', plural: 'storageclasses', namespaced: false },
  IngressClass: { apiVersion: 'networking.k8s.io/v1', kind: 'IngressClass', plural: 'ingressclasses', namespaced: false },
  CSIDriver: { apiVersion: 'storage.k8s.io/v1', kind: 'CSIDriver', plural: 'csidrivers', namespaced: false },
  VolumeAttachment: { apiVersion: 'storage.k8s.io/v1', kind: 'VolumeAttachment', plural: 'volumeattachments', namespaced: false },
  // Of kubernetes-csi/external-snapshotter: they exist where somebody installed their CRDs. Group snapshots are v1 since its release 8.6.
  VolumeSnapshot: { apiVersion: 'snapshot.storage.k8s.io/v1', kind: 'VolumeSnapshot', plural: 'volumesnapshots', namespaced: true },
  VolumeSnapshotClass: {
    apiVersion: 'snapshot.storage.k8s.io/v1',
    kind: 'VolumeSnapshotClass',
    plural: 'volumesnapshotclasses',
    namespaced: false,
  },
  VolumeGroupSnapshot: {
    apiVersion: 'groupsnapshot.storage.k8s.io/v1',
    kind: 'VolumeGroupSnapshot',
    plural: 'volumegroupsnapshots',
    namespaced: true,
  },
  VolumeGroupSnapshotClass: {
    apiVersion: 'groupsnapshot.storage.k8s.io/v1',
    kind: 'VolumeGroupSnapshotClass',
    plural: 'volumegroupsnapshotclasses',
    namespaced: false,
  },
  VolumeGroupSnapshotBeta: {
    apiVersion: 'groupsnapshot.storage.k8s.io/v1beta2',
    kind: 'VolumeGroupSnapshot',
    plural: 'volumegroupsnapshots',
    namespaced: true,
  },
  VolumeGroupSnapshotClassBeta: {
    apiVersion: 'groupsnapshot.storage.k8s.io/v1beta2',
    kind: 'VolumeGroupSnapshotClass',
    plural: 'volumegroupsnapshotclasses',
    namespaced: false,
  },
  Lease: { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', plural: 'leases', namespaced: true },
} satisfies Record<string, Kind>

export type KindName = keyof typeof kinds

/** The API path of a kind's collection, in one namespace or in all of them, or of one object in it. */
export function pathOf(kind: Kind, namespace?: string, name?: string): string {
  const group = kind.apiVersion.includes('/') ? `/apis/${kind.apiVersion}` : `/api/${kind.apiVersion}`
  const scope = namespace !== undefined && kind.namespaced ? `/namespaces/${encodeURIComponent(namespace)}` : ''
  return `${group}${scope}/${kind.plural}${name === undefined ? '' : `/${encodeURIComponent(name)}`}`
}

/** The API path of an object, whose kind must be one of `kinds`. */
export function pathOfObject({ apiVersion, kind, metadata }: KubernetesObject): string {
  const known = Object.values(kinds).find((candidate) => candidate.kind === kind && candidate.apiVersion === apiVersion)
  if (!known) throw new TypeError(`${apiVersion} ${kind} is not in the table of kinds`)
  return pathOf(known, metadata.namespace, metadata.name)
}

/** `namespace/name`, or `name` without a namespace: the key of an object in a cache. */
export function keyOf({ namespace, name }: { namespace?: string | undefined; name: string }): string {
  return namespace === undefined ? name : `${namespace}/${name}`
}
