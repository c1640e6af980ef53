import { crdRules } from './crd.ts'
import { completeLimitRange } from './limit-ranges.ts'
import { equal, isMap, type Json, type KubeObject } from './object.ts'
import { parseQuantity } from './quantity.ts'
import type { KindRules, Lookup } from './resources.ts'
import { type Cause, cause, forbidden } from './status.ts'

const immutable = 'field is immutable'
const sameField = (field: string, now: Json, old: Json, detail = immutable): Cause[] =>
  equal(now ?? null, old ?? null) ? [] : [cause.invalid(field, now ?? null, detail)]

/** The map in a field, created if missing. */
function within(object: Json, field: string): Json {
  if (!isMap(object[field])) object[field] = {}
  return object[field]
}

/** Sets missing fields. */
function fill(target: Record<string, Json>, defaults: Record<string, Json>): void {
  for (const [key, value] of Object.entries(defaults)) if (target[key] === undefined) target[key] = value
}

function checkKeys(data: Json, field: string): Cause[] {
  return Object.keys(data ?? {})
    .filter((key) => !/^[-._a-zA-Z0-9]{1,253}$/.test(key) || key === '.' || key === '..')
    .map((key) => cause.invalid(`${field}[${key}]`, key, "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"))
}

const configMap: KindRules = {
  check(object, old) {
    const faults = [...checkKeys(object.data, 'data'), ...checkKeys(object.binaryData, 'binaryData')]
    if (!old?.immutable) return faults
    if (!object.immutable) faults.push(cause.forbidden('immutable', 'field is immutable when `immutable` is set'))
    if (!equal(object.data, old.data)) faults.push(cause.forbidden('data', 'field is immutable when `immutable` is set'))
    return faults
  },
}

const secret: KindRules = {
  prepare(object) {
    fill(object, { type: 'Opaque' })
    if (isMap(object.stringData)) {
      object.data = { ...object.data }
      for (const [key, value] of Object.entries(object.stringData)) object.data[key] = Buffer.from(String(value)).toString('base64')
    }
    delete object.stringData
  },
  check(object, old) {
    const faults = checkKeys(object.data, 'data')
    if (object.type === 'kubernetes.io/dockerconfigjson' && !object.data?.['.dockerconfigjson']) {
      faults.push(cause.required('data[.dockerconfigjson]'))
    }
    if (!old) return faults
    faults.push(...sameField('type', object.type, old.type))
    if (old.immutable && !object.immutable) faults.push(cause.forbidden('immutable', 'field is immutable when `immutable` is set'))
    if (old.immutable && !equal(object.data, old.data)) faults.push(cause.forbidden('data', 'field is immutable when `immutable` is set'))
    return faults
  },
}

const lastClusterIp = new WeakMap<Lookup, number>()

/** The next address of 10.0.0.0/8 in this cluster. None is assigned twice, so no write has to search the Services. */
function nextClusterIp(lookup: Lookup): string {
  const number = (lastClusterIp.get(lookup) ?? 256) + 1
  lastClusterIp.set(lookup, number)
  return `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`
}

const service: KindRules = {
  name: 'service',
  prepare(object, old, lookup) {
    const spec = within(object, 'spec')
    fill(spec, { type: 'ClusterIP', sessionAffinity: 'None' })
    for (const port of spec.ports ?? []) fill(port, { protocol: 'TCP', targetPort: port.port })
    if (spec.type === 'ExternalName') return
    if (old?.spec.clusterIP && spec.clusterIP === undefined) spec.clusterIP = old.spec.clusterIP
    if (!spec.clusterIP) spec.clusterIP = nextClusterIp(lookup)
    spec.clusterIPs = [spec.clusterIP]
    fill(object, { status: { loadBalancer: {} } })
  },
  check(object, old) {
    const { type, ports = [], clusterIP } = object.spec
    const types = ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName']
    const faults = types.includes(type) ? [] : [cause.notSupported('spec.type', type, types)]
    if (ports.length === 0 && clusterIP !== 'None' && type !== 'ExternalName') faults.push(cause.required('spec.ports'))
    for (const [index, port] of ports.entries()) {
      const inRange = Number.isInteger(port.port) && port.port > 0 && port.port < 65_536
      if (!inRange) faults.push(cause.invalid(`spec.ports[${index}].port`, port.port ?? 0, 'must be between 1 and 65535, inclusive'))
      if (ports.length > 1 && !port.name) faults.push(cause.required(`spec.ports[${index}].name`))
    }
    if (old && old.spec.type !== 'ExternalName' && type !== 'ExternalName') {
      faults.push(...sameField('spec.clusterIP', clusterIP, old.spec.clusterIP))
    }
    return faults
  },
}

const namespace: KindRules = {
  name: 'label',
  prepare(object, old) {
    object.metadata.labels = { ...object.metadata.labels, 'kubernetes.io/metadata.name': object.metadata.name }
    if (old) object.spec = old.spec
    else object.spec = { ...object.spec, finalizers: [...new Set([...(object.spec?.finalizers ?? []), 'kubernetes'])] }
    fill(object, { status: { phase: 'Active' } })
  },
}

function checkPodTemplate(object: KubeObject): Cause[] {
  const containers = object.spec?.template?.spec?.containers
  if (!Array.isArray(containers) || containers.length === 0) return [cause.required('spec.template.spec.containers')]
  return containers.flatMap((container, index) => {
    const field = `spec.template.spec.containers[${index}]`
    return [...(container.name ? [] : [cause.required(`${field}.name`)]), ...(container.image ? [] : [cause.required(`${field}.image`)])]
  })
}

function checkSelector(object: KubeObject): Cause[] {
  const wanted = object.spec?.selector?.matchLabels
  if (!isMap(object.spec?.selector)) return [cause.required('spec.selector')]
  const labels = object.spec?.template?.metadata?.labels ?? {}
  const fits = Object.entries(wanted ?? {}).every(([key, value]) => labels[key] === value)
  return fits ? [] : [cause.invalid('spec.template.metadata.labels', labels, '`selector` does not match template `labels`')]
}

const workload: KindRules = {
  prepare: (object) => fill(within(object, 'spec'), { replicas: 1 }),
  check: (object, old) => [
    ...checkSelector(object),
    ...checkPodTemplate(object),
    ...(old ? sameField('spec.selector', object.spec.selector, old.spec.selector) : []),
  ],
}

const changeableOfStatefulSet = [
  'replicas',
  'template',
  'updateStrategy',
  'persistentVolumeClaimRetentionPolicy',
  'minReadySeconds',
  'ordinals',
  'revisionHistoryLimit',
]

const statefulSet: KindRules = {
  name: 'label',
  prepare(object) {
    fill(within(object, 'spec'), { replicas: 1, podManagementPolicy: 'OrderedReady', updateStrategy: { type: 'RollingUpdate' } })
    for (const template of object.spec.volumeClaimTemplates ?? []) fillClaim(template)
  },
  check(object, old) {
    const faults = [...checkSelector(object), ...checkPodTemplate(object)]
    if (!old) return faults
    const fixed = (spec: Json): Json => Object.fromEntries(Object.entries(spec).filter(([key]) => !changeableOfStatefulSet.includes(key)))
    if (!equal(fixed(object.spec), fixed(old.spec))) {
      const detail = "updates to statefulset spec for fields other than 'replicas', 'template', and 'updateStrategy' are forbidden"
      faults.push(cause.forbidden('spec', detail))
    }
    return faults
  },
}

function fillClaim(claim: Json): void {
  fill(within(claim, 'spec'), { volumeMode: 'Filesystem' })
  fill(claim, { status: { phase: 'Pending' } })
}

const storageOf = (claim: KubeObject): string | undefined => claim.spec?.resources?.requests?.storage

const claim: KindRules = {
  prepare(object, old, lookup) {
    fillClaim(object)
    if (old || object.spec.storageClassName !== undefined) return
    const standard = lookup
      .list('storage.k8s.io/storageclasses')
      .find((each) => each.metadata.annotations?.['storageclass.kubernetes.io/is-default-class'] === 'true')
    if (standard) object.spec.storageClassName = standard.metadata.name
  },
  check(object, old) {
    const faults: Cause[] = []
    if (!object.spec.accessModes?.length) faults.push(cause.required('spec.accessModes', 'at least 1 access mode is required'))
    const size = storageOf(object)
    if (size === undefined) faults.push(cause.required('spec.resources[storage]'))
    else if (parseQuantity(size) === undefined)
      faults.push(cause.invalid('spec.resources.requests[storage]', size, 'quantities must match the regular expression'))
    if (!old || faults.length > 0) return faults
    const fixed = ({ spec: { resources: _, volumeName, ...spec } }: KubeObject): Json =>
      old.spec.volumeName ? { ...spec, volumeName } : spec
    if (!equal(fixed(object), fixed(old))) {
      faults.push(cause.forbidden('spec', 'spec is immutable after creation except resources.requests for bound claims'))
    }
    const [before, now] = [parseQuantity(storageOf(old)), parseQuantity(size)]
    if (before !== undefined && now !== undefined && now < before) {
      faults.push(cause.forbidden('spec.resources.requests.storage', 'field can not be less than previous value'))
    }
    return faults
  },
  admit(object, old, lookup) {
    const [before, now] = [parseQuantity(old && storageOf(old)), parseQuantity(storageOf(object))]
    if (!old || before === undefined || now === undefined || now <= before) return
    const type = { group: '', plural: 'persistentvolumeclaims', kind: 'PersistentVolumeClaim' }
    const name = object.metadata.name
    if (old.status?.phase !== 'Bound') throw forbidden(type, name, 'Only bound persistent volume claims can be expanded')
    const storageClass = lookup.get('storage.k8s.io/storageclasses', undefined, object.spec.storageClassName ?? '')
    if (!storageClass?.allowVolumeExpansion) {
      const detail = 'only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize'
      throw forbidden(type, name, detail)
    }
  },
}

const pod: KindRules = {
  prepare(object) {
    fill(within(object, 'spec'), { restartPolicy: 'Always', terminationGracePeriodSeconds: 30, serviceAccountName: 'default' })
    fill(object, { status: { phase: 'Pending' } })
  },
  check(object, old) {
    const faults: Cause[] = []
    if (!object.spec.containers?.length) faults.push(cause.required('spec.containers'))
    if (!old) return faults
    // images, tolerations and deadlines may change; a scheduler sets the node through the binding subresource
    const fixed = (spec: Json): Json => {
      const { tolerations: _, activeDeadlineSeconds: __, terminationGracePeriodSeconds: ___, ...rest } = spec
      return { ...rest, containers: rest.containers?.map(({ image: _, ...container }: Json) => container), initContainers: undefined }
    }
    if (!equal(fixed(object.spec), fixed(old.spec))) {
      faults.push(cause.forbidden('spec', 'pod updates may not change fields other than `spec.containers[*].image`, `spec.tolerations`'))
    }
    return faults
  },
}

const ruleFields = ['verbs', 'apiGroups', 'resources', 'resourceNames', 'nonResourceURLs']
const isTexts = (value: Json): boolean => Array.isArray(value) && value.every((each) => typeof each === 'string')

const role: KindRules = {
  name: 'path',
  check: ({ rules = [] }) =>
    rules.flatMap((rule: Json, index: number) => {
      const wrong = ruleFields.filter((field) => rule[field] !== undefined && !isTexts(rule[field]))
      const faults = wrong.map((field) => cause.invalid(`rules[${index}].${field}`, rule[field], 'must be a list of strings'))
      return rule.verbs?.length ? faults : [...faults, cause.required(`rules[${index}].verbs`, 'verbs must contain at least one value')]
    }),
}

const binding: KindRules = {
  name: 'path',
  prepare: (object) => {
    for (const subject of object.subjects ?? []) {
      if (subject.kind !== 'ServiceAccount') fill(subject, { apiGroup: 'rbac.authorization.k8s.io' })
    }
  },
  check: (object, old) => {
    if (!object.roleRef?.name) return [cause.required('roleRef.name')]
    return old ? sameField('roleRef', object.roleRef, old.roleRef, 'cannot change roleRef') : []
  },
}

const storageClass: KindRules = {
  prepare: (object) => fill(object, { reclaimPolicy: 'Delete', volumeBindingMode: 'Immediate' }),
  check: (object, old) => [
    ...(object.provisioner ? [] : [cause.required('provisioner')]),
    ...(old ? sameField('provisioner', object.provisioner, old.provisioner, 'updates to provisioner are forbidden.') : []),
    ...(old ? sameField('parameters', object.parameters, old.parameters, 'updates to parameters are forbidden.') : []),
  ],
}

const lease: KindRules = {
  check({ spec }) {
    const seconds = spec?.leaseDurationSeconds
    return seconds !== undefined && !(seconds > 0) ? [cause.invalid('spec.leaseDurationSeconds', seconds, 'must be greater than 0')] : []
  },
}

const quota: KindRules = {
  check: ({ spec }) =>
    Object.entries(spec?.hard ?? {})
      .filter(([, value]) => !((parseQuantity(value) ?? -1) >= 0))
      .map(([name, value]) => cause.invalid(`spec.hard[${name}]`, value, 'must be a quantity greater than or equal to 0')),
}

/** The rules of built-in kinds, by `group/Kind`. */
export const kindRules: Record<string, KindRules> = {
  '/Namespace': namespace,
  '/ConfigMap': configMap,
  '/Secret': secret,
  '/Service': service,
  '/Pod': pod,
  '/PersistentVolume': { prepare: (object) => fill(object, { status: { phase: 'Pending' } }) },
  '/PersistentVolumeClaim': claim,
  '/LimitRange': { prepare: completeLimitRange },
  '/ResourceQuota': quota,
  'apiextensions.k8s.io/CustomResourceDefinition': crdRules,
  'apps/Deployment': workload,
  'apps/StatefulSet': statefulSet,
  'apps/ReplicaSet': workload,
  'apps/DaemonSet': { check: workload.check as NonNullable<KindRules['check']> },
  'batch/CronJob': { check: ({ spec }) => (spec?.schedule ? [] : [cause.required('spec.schedule')]) },
  'coordination.k8s.io/Lease': lease,
  'rbac.authorization.k8s.io/Role': role,
  'rbac.authorization.k8s.io/ClusterRole': role,
  'rbac.authorization.k8s.io/RoleBinding': binding,
  'rbac.authorization.k8s.io/ClusterRoleBinding': binding,
  'storage.k8s.io/StorageClass': storageClass,
}
