/**
 * How the fields of a kind merge: for server-side apply (who owns what) and for strategic merge patches.
 *
 * `any` is content without a description: maps merge key by key, lists are replaced as a whole.
 * `open` structs accept unlisted fields as `any`; the others refuse to apply them.
 */
export type FieldType =
  | { is: 'any' }
  | { is: 'atomic' }
  | { is: 'set' }
  | { is: 'map'; values: FieldType }
  | { is: 'struct'; fields: Record<string, FieldType>; open: boolean }
  | { is: 'list'; keys: string[]; mergeKey: string; items: FieldType; defaults: Record<string, string> }

export const any: FieldType = { is: 'any' }
export const atomic: FieldType = { is: 'atomic' }
export const set: FieldType = { is: 'set' }

/** A built-in object type; unlisted fields are `any`. */
export const struct = (fields: Record<string, FieldType>): FieldType => ({ is: 'struct', fields, open: true })

/** A list whose items are known by `keys`; a strategic merge patch uses only the first of them, as Kubernetes' tags say. */
export const keyed = (keys: string[], items: FieldType = any, defaults: Record<string, string> = {}): FieldType => ({
  is: 'list',
  keys,
  mergeKey: keys[0] ?? 'name',
  items,
  defaults,
})

/** The type of a field within a value of this type. */
export function fieldOf(type: FieldType, name: string): FieldType | undefined {
  if (type.is === 'map') return type.values
  if (type.is === 'struct') return Object.hasOwn(type.fields, name) ? type.fields[name] : type.open ? any : undefined
  return any
}

const tcp = { protocol: 'TCP' }
const byType = keyed(['type'])

/** `metadata`, the same for every kind. */
export const metadataType = struct({
  finalizers: set,
  ownerReferences: keyed(['uid'], atomic),
})

const source = struct({
  secretKeyRef: atomic,
  configMapKeyRef: atomic,
  fieldRef: atomic,
  resourceFieldRef: atomic,
})
const container = struct({
  env: keyed(['name'], struct({ valueFrom: source })),
  ports: keyed(['containerPort', 'protocol'], any, tcp),
  volumeMounts: keyed(['mountPath']),
  volumeDevices: keyed(['devicePath']),
})
const podSpec = struct({
  containers: keyed(['name'], container),
  initContainers: keyed(['name'], container),
  ephemeralContainers: keyed(['name'], container),
  volumes: keyed(['name']),
  imagePullSecrets: keyed(['name']),
  hostAliases: keyed(['ip']),
  topologySpreadConstraints: keyed(['topologyKey', 'whenUnsatisfiable'], struct({ labelSelector: atomic })),
  nodeSelector: atomic,
})
const podTemplate = struct({ metadata: metadataType, spec: podSpec })
const workload = struct({
  metadata: metadataType,
  spec: struct({ selector: atomic, template: podTemplate }),
  status: struct({ conditions: byType }),
})
const jobSpec = struct({ selector: atomic, template: podTemplate })
const withConditions = struct({ metadata: metadataType, status: struct({ conditions: byType }) })

/** The fields of built-in kinds that are not plain maps or atomic lists, by `group/Kind`. */
export const builtInFields: Record<string, FieldType> = {
  '/Pod': struct({ metadata: metadataType, spec: podSpec, status: struct({ conditions: byType, podIPs: keyed(['ip']) }) }),
  '/Service': struct({
    metadata: metadataType,
    spec: struct({ ports: keyed(['port', 'protocol'], any, tcp), selector: atomic }),
    status: struct({ conditions: byType }),
  }),
  '/ServiceAccount': struct({ metadata: metadataType, secrets: keyed(['name']) }),
  '/Node': struct({
    metadata: metadataType,
    spec: struct({ podCIDRs: set }),
    status: struct({ conditions: byType, addresses: byType }),
  }),
  '/Namespace': withConditions,
  '/PersistentVolume': struct({ metadata: metadataType, spec: struct({ claimRef: any }) }),
  '/PersistentVolumeClaim': struct({
    metadata: metadataType,
    spec: struct({ selector: atomic, dataSource: atomic }),
    status: struct({ conditions: byType }),
  }),
  '/ResourceQuota': struct({ metadata: metadataType, spec: struct({ scopeSelector: atomic }) }),
  'apps/Deployment': workload,
  'apps/StatefulSet': workload,
  'apps/DaemonSet': workload,
  'apps/ReplicaSet': workload,
  'batch/Job': struct({ metadata: metadataType, spec: jobSpec, status: struct({ conditions: byType }) }),
  'batch/CronJob': struct({
    metadata: metadataType,
    spec: struct({ jobTemplate: struct({ metadata: metadataType, spec: jobSpec }) }),
  }),
  'networking.k8s.io/NetworkPolicy': struct({ metadata: metadataType, spec: struct({ podSelector: atomic }) }),
  'networking.k8s.io/Ingress': struct({ metadata: metadataType }),
  'policy/PodDisruptionBudget': struct({
    metadata: metadataType,
    spec: struct({ selector: atomic }),
    status: struct({ conditions: byType }),
  }),
  'rbac.authorization.k8s.io/ClusterRole': struct({ metadata: metadataType }),
  'apiextensions.k8s.io/CustomResourceDefinition': withConditions,
}

/** The type of a built-in kind without special fields. */
export const plainFields: FieldType = struct({ metadata: metadataType })
