import { isMap, type Json, setKey, timestamp } from './object.ts'
import { ApiError, badRequest } from './status.ts'

/**
 * kubectl's typed commands (`auth can-i`, `create namespace`, `create token` …) always send protobuf.
 * This decodes the kinds that they send, with the field numbers of Kubernetes' generated.proto files, and refuses fields that
 * are not in these tables instead of dropping them. Answers are always JSON.
 */
type Kind = 'string' | 'strings' | 'int' | 'bool' | 'strings map' | 'bytes map' | 'quantities map' | 'time' | Message | { list: Message }
type Message = { [number: number]: [name: string, kind: Kind] }

const metadata: Message = {
  1: ['name', 'string'],
  2: ['generateName', 'string'],
  3: ['namespace', 'string'],
  5: ['uid', 'string'],
  6: ['resourceVersion', 'string'],
  8: ['creationTimestamp', 'time'],
  11: ['labels', 'strings map'],
  12: ['annotations', 'strings map'],
  13: [
    'ownerReferences',
    {
      list: {
        1: ['kind', 'string'],
        3: ['name', 'string'],
        4: ['uid', 'string'],
        5: ['apiVersion', 'string'],
        6: ['controller', 'bool'],
        7: ['blockOwnerDeletion', 'bool'],
      },
    },
  ],
  14: ['finalizers', 'strings'],
}
const reference: Message = { 1: ['name', 'string'] }
const rules: Message = {
  1: ['verbs', 'strings'],
  2: ['apiGroups', 'strings'],
  3: ['resources', 'strings'],
  4: ['resourceNames', 'strings'],
  5: ['nonResourceURLs', 'strings'],
}
const role: Message = { 1: ['metadata', metadata], 2: ['rules', { list: rules }] }
const subject: Message = { 1: ['kind', 'string'], 2: ['apiGroup', 'string'], 3: ['name', 'string'], 4: ['namespace', 'string'] }
const roleRef: Message = { 1: ['apiGroup', 'string'], 2: ['kind', 'string'], 3: ['name', 'string'] }
const roleBinding: Message = { 1: ['metadata', metadata], 2: ['subjects', { list: subject }], 3: ['roleRef', roleRef] }
const resourceAttributes: Message = {
  1: ['namespace', 'string'],
  2: ['verb', 'string'],
  3: ['group', 'string'],
  4: ['version', 'string'],
  5: ['resource', 'string'],
  6: ['subresource', 'string'],
  7: ['name', 'string'],
}
const otherAttributes: Message = { 1: ['path', 'string'], 2: ['verb', 'string'] }
const deleteOptions: Message = {
  1: ['gracePeriodSeconds', 'int'],
  2: ['preconditions', { 1: ['uid', 'string'], 2: ['resourceVersion', 'string'] }],
  3: ['orphanDependents', 'bool'],
  4: ['propagationPolicy', 'string'],
  5: ['dryRun', 'strings'],
}

const container: Message = {
  1: ['name', 'string'],
  2: ['image', 'string'],
  3: ['command', 'strings'],
  4: ['args', 'strings'],
  6: ['ports', { list: { 1: ['name', 'string'], 3: ['containerPort', 'int'], 4: ['protocol', 'string'] } }],
  7: ['env', { list: { 1: ['name', 'string'], 2: ['value', 'string'] } }],
  8: ['resources', { 1: ['limits', 'quantities map'], 2: ['requests', 'quantities map'] }],
}
const podTemplate: Message = { 1: ['metadata', metadata], 2: ['spec', { 2: ['containers', { list: container }] }] }

const messages: Record<string, Message> = {
  Deployment: {
    1: ['metadata', metadata],
    2: ['spec', { 1: ['replicas', 'int'], 2: ['selector', { 1: ['matchLabels', 'strings map'] }], 3: ['template', podTemplate] }],
  },
  Namespace: { 1: ['metadata', metadata], 2: ['spec', { 1: ['finalizers', 'strings'] }] },
  ConfigMap: { 1: ['metadata', metadata], 2: ['data', 'strings map'], 3: ['binaryData', 'bytes map'], 4: ['immutable', 'bool'] },
  Secret: {
    1: ['metadata', metadata],
    2: ['data', 'bytes map'],
    3: ['type', 'string'],
    4: ['stringData', 'strings map'],
    5: ['immutable', 'bool'],
  },
  ServiceAccount: {
    1: ['metadata', metadata],
    2: ['secrets', { list: { 3: ['name', 'string'] } }],
    3: ['imagePullSecrets', { list: reference }],
    4: ['automountServiceAccountToken', 'bool'],
  },
  ResourceQuota: { 1: ['metadata', metadata], 2: ['spec', { 1: ['hard', 'quantities map'], 2: ['scopes', 'strings'] }] },
  PriorityClass: {
    1: ['metadata', metadata],
    2: ['value', 'int'],
    3: ['globalDefault', 'bool'],
    4: ['description', 'string'],
    5: ['preemptionPolicy', 'string'],
  },
  Role: role,
  ClusterRole: role,
  RoleBinding: roleBinding,
  ClusterRoleBinding: roleBinding,
  SelfSubjectAccessReview: {
    1: ['metadata', metadata],
    2: ['spec', { 1: ['resourceAttributes', resourceAttributes], 2: ['nonResourceAttributes', otherAttributes] }],
  },
  SubjectAccessReview: {
    1: ['metadata', metadata],
    2: [
      'spec',
      {
        1: ['resourceAttributes', resourceAttributes],
        2: ['nonResourceAttributes', otherAttributes],
        3: ['user', 'string'],
        4: ['groups', 'strings'],
      },
    ],
  },
  SelfSubjectRulesReview: { 1: ['metadata', metadata], 2: ['spec', { 1: ['namespace', 'string'] }] },
  SelfSubjectReview: { 1: ['metadata', metadata] },
  TokenRequest: { 1: ['metadata', metadata], 2: ['spec', { 1: ['audiences', 'strings'], 4: ['expirationSeconds', 'int'] }] },
  DeleteOptions: deleteOptions,
  Eviction: { 1: ['metadata', metadata], 2: ['deleteOptions', deleteOptions] },
}

export const protobufType = 'application/vnd.kubernetes.protobuf'

/** The document in a protobuf body, as in JSON; undefined for an unknown kind. */
export function decodeProtobuf(bytes: Buffer): Json {
  if (bytes.subarray(0, 4).toString('latin1') !== 'k8s\0') return undefined
  let typeMeta: Json = {}
  let raw: Buffer = Buffer.alloc(0)
  for (const { number, value } of fields(bytes.subarray(4))) {
    if (number === 1 && Buffer.isBuffer(value)) typeMeta = decode(value, { 1: ['apiVersion', 'string'], 2: ['kind', 'string'] })
    if (number === 2 && Buffer.isBuffer(value)) raw = value
  }
  const message = messages[typeMeta.kind]
  return message && { ...typeMeta, ...decode(raw, message) }
}

function* fields(bytes: Buffer): Generator<{ number: number; value: number | Buffer }> {
  let at = 0
  const varint = (): number => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++] ?? 0
      value |= BigInt(byte & 127) << shift
      if (byte < 128) return Number(BigInt.asIntN(64, value))
    }
  }
  while (at < bytes.length) {
    const tag = varint()
    const wire = tag & 7
    const length = wire === 2 ? varint() : wire === 1 ? 8 : wire === 5 ? 4 : 0
    if (at + length > bytes.length || wire > 5 || wire === 3 || wire === 4) throw badRequest('unexpected EOF in protobuf')
    if (wire === 0) yield { number: tag >> 3, value: varint() }
    else {
      yield { number: tag >> 3, value: bytes.subarray(at, at + length) }
      at += length
    }
  }
}

function decode(bytes: Buffer, message: Message): Json {
  const result: Record<string, Json> = {}
  for (const { number, value } of fields(bytes)) {
    const [name, kind] = message[number] ?? []
    if (name === undefined || kind === undefined) {
      if (isBlank(value)) continue
      throw new ApiError(
        415,
        'UnsupportedMediaType',
        `protobuf field ${number} is not known here; send the object as JSON, as kubectl create -f does`,
      )
    }
    if (kind === 'int') result[name] = Number(value)
    else if (kind === 'bool') result[name] = value === 1
    else if (Buffer.isBuffer(value)) take(result, name, kind, value)
  }
  return result
}

/** Whether a field holds only zeros and empty strings, at any depth: Go writes its zero values too. */
function isBlank(value: number | Buffer): boolean {
  if (!Buffer.isBuffer(value)) return value === 0
  try {
    return [...fields(value)].every((field) => field.number > 0 && isBlank(field.value))
  } catch {
    return false // not a message, so non-empty text
  }
}

function take(result: Record<string, Json>, name: string, kind: Exclude<Kind, 'int' | 'bool'>, bytes: Buffer): void {
  const text = bytes.toString('utf8')
  if (kind === 'string') {
    if (text) result[name] = text
  } else if (kind === 'strings') result[name] = [...(result[name] ?? []), text]
  else if (kind === 'time') {
    const { seconds } = decode(bytes, { 1: ['seconds', 'int'] })
    // Go's zero time stands for "not set"
    if (seconds > 0) result[name] = timestamp(seconds * 1000)
  } else if (typeof kind === 'string') {
    const [key = '', value] = mapEntry(bytes, kind)
    if (!isMap(result[name])) result[name] = {}
    setKey(result[name], key, value)
  } else if ('list' in kind) result[name] = [...(result[name] ?? []), decode(bytes, kind.list as Message)]
  else result[name] = decode(bytes, kind)
}

function mapEntry(bytes: Buffer, kind: string): [key: string | undefined, value: string] {
  const parts: Buffer[] = []
  for (const { number, value } of fields(bytes)) if (Buffer.isBuffer(value)) parts[number] = value
  const value = parts[2] ?? Buffer.alloc(0)
  if (kind === 'bytes map') return [parts[1]?.toString('utf8'), value.toString('base64')]
  // a Quantity is a message whose first field is its text
  if (kind === 'quantities map') return [parts[1]?.toString('utf8'), decode(value, { 1: ['text', 'string'] }).text ?? '0']
  return [parts[1]?.toString('utf8'), value.toString('utf8')]
}
