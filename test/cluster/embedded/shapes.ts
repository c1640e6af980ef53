import { isMap, type Json, ownValue } from './object.ts'
import { badRequest } from './status.ts'

/**
 * The types of those fields of built-in kinds that this server uses. The real one decodes into Go structs, which
 * checks all fields.
 */
type Shape = 'object' | 'strings' | 'bytes' | 'list' | 'texts' | 'string' | 'integer' | 'boolean'

const common: Record<string, Shape> = { spec: 'object', status: 'object' }
const template: Record<string, Shape> = {
  'spec.template': 'object',
  'spec.template.metadata': 'object',
  'spec.template.metadata.labels': 'strings',
  'spec.template.spec': 'object',
  'spec.template.spec.containers': 'list',
}
const selected: Record<string, Shape> = {
  'spec.replicas': 'integer',
  'spec.selector': 'object',
  'spec.selector.matchLabels': 'strings',
  ...template,
}
const resources: Record<string, Shape> = { 'spec.resources': 'object', 'spec.resources.requests': 'object' }

const shapes: Record<string, Record<string, Shape>> = {
  ConfigMap: { data: 'strings', binaryData: 'bytes', immutable: 'boolean' },
  Secret: { data: 'bytes', stringData: 'strings', type: 'string', immutable: 'boolean' },
  Service: { 'spec.type': 'string', 'spec.ports': 'list', 'spec.selector': 'strings', 'spec.clusterIP': 'string' },
  ServiceAccount: { secrets: 'list', imagePullSecrets: 'list' },
  Pod: { 'spec.containers': 'list', 'spec.nodeName': 'string' },
  PersistentVolumeClaim: { ...resources, 'spec.accessModes': 'texts', 'spec.storageClassName': 'string' },
  ResourceQuota: { 'spec.hard': 'object' },
  LimitRange: { 'spec.limits': 'list' },
  Deployment: selected,
  StatefulSet: { ...selected, 'spec.volumeClaimTemplates': 'list' },
  ReplicaSet: selected,
  DaemonSet: selected,
  Job: template,
  CronJob: { 'spec.schedule': 'string', 'spec.suspend': 'boolean' },
  Lease: { 'spec.holderIdentity': 'string', 'spec.leaseDurationSeconds': 'integer', 'spec.leaseTransitions': 'integer' },
  Role: { rules: 'list' },
  ClusterRole: { rules: 'list', aggregationRule: 'object' },
  RoleBinding: { subjects: 'list', roleRef: 'object' },
  ClusterRoleBinding: { subjects: 'list', roleRef: 'object' },
  StorageClass: { provisioner: 'string', allowVolumeExpansion: 'boolean', parameters: 'strings' },
  CustomResourceDefinition: { 'spec.names': 'object', 'spec.versions': 'list', 'spec.group': 'string' },
}

const goType: Record<Shape, string> = {
  object: 'object',
  strings: 'map[string]string',
  bytes: 'map[string][]uint8',
  list: '[]struct',
  texts: '[]string',
  string: 'string',
  integer: 'int32',
  boolean: 'bool',
}

function fits(value: Json, shape: Shape): boolean {
  if (shape === 'object') return isMap(value)
  if (shape === 'strings' || shape === 'bytes') return isMap(value) && Object.values(value).every((each) => typeof each === 'string')
  if (shape === 'list') return Array.isArray(value) && value.every(isMap)
  if (shape === 'texts') return Array.isArray(value) && value.every((item) => typeof item === 'string')
  return shape === 'integer' ? Number.isInteger(value) : typeof value === shape
}

const isBase64 = (text: string): boolean => {
  const bare = text.replace(/[\r\n]/g, '')
  return bare.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(bare)
}

/** Refuses, with 400, a document of a built-in kind that the real server could not decode. */
export function checkShapes(kind: string, version: string, document: Json): void {
  for (const [path, shape] of Object.entries({ ...common, ...shapes[kind] })) {
    const value = path.split('.').reduce((each, step) => ownValue(each, step), document)
    if (value === undefined) continue
    const start = `${kind} in version ${JSON.stringify(version)} cannot be handled as a ${kind}`
    if (!fits(value, shape)) {
      const actual = Array.isArray(value) ? 'array' : typeof value
      throw badRequest(`${start}: json: cannot unmarshal ${actual} into Go struct field ${kind}.${path} of type ${goType[shape]}`)
    }
    if (shape === 'bytes' && !(Object.values(value) as string[]).every(isBase64))
      throw badRequest(`${start}: illegal base64 data at input byte 0`)
  }
}

/** Drops nulls, in place, as decoding into a struct does. */
export function dropNulls(value: Json): void {
  if (Array.isArray(value)) for (const item of value) dropNulls(item)
  if (!isMap(value)) return
  for (const key of Object.keys(value)) {
    if (value[key] === null) delete value[key]
    else dropNulls(value[key])
  }
}
