import { columnsOf } from './columns.ts'
import { builtInFields, plainFields } from './field-types.ts'
import { kindRules } from './kind-rules.ts'
import { allVerbs, type ResourceType, type Verb } from './resources.ts'

type Row = {
  plural?: string
  short?: string[]
  categories?: string[]
  /** Cluster-scoped. */
  cluster?: true
  status?: true
  generation?: true
  subresources?: string[]
  fieldSelectors?: string[]
  /** Served, but stored in this version. */
  storedAs?: string
  verbs?: Verb[]
}

const all = ['all']
const eventFields = [
  ...['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'].map((field) => `involvedObject.${field}`),
  ...['reason', 'reportingComponent', 'source', 'type'],
]
const podFields = [
  ...['spec.nodeName', 'spec.restartPolicy', 'spec.schedulerName', 'spec.serviceAccountName'],
  ...['status.phase', 'status.podIP', 'status.nominatedNodeName'],
]
const workload: Row = { status: true, generation: true, categories: all }
const scalable: Row = { ...workload, subresources: ['scale'] }

/** Namespaces cannot be deleted as a collection, because each takes its content along. */
const namespaceVerbs = allVerbs.filter((verb) => verb !== 'deletecollection')

/** Every built-in resource: `group/version`, kind, and its differences from a plain namespaced one. */
const table: [groupVersion: string, kind: string, row: Row][] = [
  [
    'v1',
    'Namespace',
    { cluster: true, short: ['ns'], status: true, verbs: namespaceVerbs, subresources: ['finalize'], fieldSelectors: ['status.phase'] },
  ],
  ['v1', 'ConfigMap', { short: ['cm'] }],
  ['v1', 'Secret', { fieldSelectors: ['type'] }],
  ['v1', 'Service', { short: ['svc'], categories: all, status: true, fieldSelectors: ['spec.clusterIP', 'spec.type'] }],
  ['v1', 'ServiceAccount', { short: ['sa'], subresources: ['token'] }],
  ['v1', 'Pod', { short: ['po'], categories: all, status: true, subresources: ['eviction', 'binding', 'log'], fieldSelectors: podFields }],
  ['v1', 'Node', { cluster: true, short: ['no'], status: true, fieldSelectors: ['spec.unschedulable'] }],
  ['v1', 'PersistentVolume', { cluster: true, short: ['pv'], status: true }],
  ['v1', 'PersistentVolumeClaim', { short: ['pvc'], status: true }],
  ['v1', 'Event', { short: ['ev'], fieldSelectors: eventFields }],
  ['v1', 'ResourceQuota', { short: ['quota'], status: true }],
  ['v1', 'LimitRange', { short: ['limits'] }],
  ['v1', 'Endpoints', { plural: 'endpoints', short: ['ep'] }],
  ['apps/v1', 'Deployment', { ...scalable, short: ['deploy'] }],
  ['apps/v1', 'StatefulSet', { ...scalable, short: ['sts'] }],
  ['apps/v1', 'ReplicaSet', { ...scalable, short: ['rs'], fieldSelectors: ['status.replicas'] }],
  ['apps/v1', 'DaemonSet', { ...workload, short: ['ds'] }],
  ['apps/v1', 'ControllerRevision', {}],
  ['batch/v1', 'Job', { ...workload, fieldSelectors: ['status.successful'] }],
  ['batch/v1', 'CronJob', { ...workload, short: ['cj'] }],
  ['batch/v1beta1', 'CronJob', { ...workload, short: ['cj'], storedAs: 'batch/v1' }],
  ['networking.k8s.io/v1', 'NetworkPolicy', { plural: 'networkpolicies', short: ['netpol'], generation: true }],
  ['networking.k8s.io/v1', 'Ingress', { plural: 'ingresses', short: ['ing'], status: true, generation: true }],
  ['networking.k8s.io/v1', 'IngressClass', { cluster: true, plural: 'ingressclasses' }],
  ['policy/v1', 'PodDisruptionBudget', { short: ['pdb'], status: true, generation: true }],
  ['policy/v1beta1', 'PodDisruptionBudget', { short: ['pdb'], status: true, generation: true, storedAs: 'policy/v1' }],
  ['rbac.authorization.k8s.io/v1', 'Role', {}],
  ['rbac.authorization.k8s.io/v1', 'RoleBinding', {}],
  ['rbac.authorization.k8s.io/v1', 'ClusterRole', { cluster: true }],
  ['rbac.authorization.k8s.io/v1', 'ClusterRoleBinding', { cluster: true }],
  ['storage.k8s.io/v1', 'StorageClass', { cluster: true, plural: 'storageclasses', short: ['sc'] }],
  ['storage.k8s.io/v1', 'VolumeAttachment', { cluster: true, status: true }],
  ['storage.k8s.io/v1', 'CSIDriver', { cluster: true }],
  ['apiregistration.k8s.io/v1', 'APIService', { cluster: true, status: true }],
  ['coordination.k8s.io/v1', 'Lease', {}],
  ['scheduling.k8s.io/v1', 'PriorityClass', { cluster: true, plural: 'priorityclasses', short: ['pc'] }],
  ['apiextensions.k8s.io/v1', 'CustomResourceDefinition', { cluster: true, short: ['crd', 'crds'], status: true, generation: true }],
  ['authorization.k8s.io/v1', 'SelfSubjectAccessReview', { cluster: true, verbs: ['create'] }],
  ['authorization.k8s.io/v1', 'SelfSubjectRulesReview', { cluster: true, verbs: ['create'] }],
  ['authorization.k8s.io/v1', 'SubjectAccessReview', { cluster: true, verbs: ['create'] }],
  ['authentication.k8s.io/v1', 'SelfSubjectReview', { cluster: true, verbs: ['create'] }],
]

/** The built-in resources. */
export function builtInTypes(): ResourceType[] {
  return table.map(([groupVersion, kind, row]) => {
    const [group, version] = groupVersion.includes('/') ? (groupVersion.split('/') as [string, string]) : ['', groupVersion]
    const singular = kind.toLowerCase()
    const plural = row.plural ?? `${singular}s`
    return {
      group,
      version,
      kind,
      listKind: `${kind}List`,
      plural,
      singular,
      shortNames: row.short ?? [],
      categories: row.categories ?? [],
      namespaced: !row.cluster,
      verbs: row.verbs ?? allVerbs,
      subresources: [...(row.status ? ['status'] : []), ...(row.subresources ?? [])],
      bucket: `${group}/${plural}`,
      storageApiVersion: row.storedAs ?? groupVersion,
      generation: row.generation ?? false,
      fields: builtInFields[`${group}/${kind}`] ?? plainFields,
      columns: columnsOf(group, kind),
      fieldSelectors: row.fieldSelectors ?? [],
      rules: kindRules[`${group}/${kind}`] ?? {},
      custom: undefined,
    }
  })
}
