import { randomInt, randomUUID } from 'node:crypto'
import { equal, isMap, type Json, type KubeObject, type ObjectMeta, timestamp } from './object.ts'
import { canonicalQuantities } from './quantity.ts'
import { apiVersionOf, type ResourceType } from './resources.ts'
import { checkShapes, dropNulls } from './shapes.ts'
import { badRequest, type Cause, cause, conflict, invalid } from './status.ts'

const label = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/
const service = /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/
const subdomain = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const qualifiedName = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/
const labelValue = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/

const subdomainText =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
const labelText =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
const serviceText =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
const qualifiedText =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"

/** Characters of generated names: no vowels, and no characters that look alike. */
const alphabet = 'bcdfghjklmnpqrstvwxz2456789'
const suffix = (): string => Array.from({ length: 5 }, () => alphabet[randomInt(alphabet.length)]).join('')

function checkName(type: ResourceType, name: string): Cause[] {
  const field = 'metadata.name'
  switch (type.rules.name) {
    case 'path':
      return name === '.' || name === '..' || /[/%]/.test(name) ? [cause.invalid(field, name, "may not contain '/' or '%'")] : []
    case 'label':
      return label.test(name) ? [] : [cause.invalid(field, name, name.length > 63 ? 'must be no more than 63 characters' : labelText)]
    case 'service':
      return service.test(name) ? [] : [cause.invalid(field, name, name.length > 63 ? 'must be no more than 63 characters' : serviceText)]
    default:
      return subdomain.test(name)
        ? []
        : [cause.invalid(field, name, name.length > 253 ? 'must be no more than 253 characters' : subdomainText)]
  }
}

function checkQualified(key: string, field: string): Cause[] {
  const [name = '', prefix, ...more] = key.split('/').reverse()
  if (more.length > 0 || !qualifiedName.test(name)) return [cause.invalid(field, key, qualifiedText)]
  if (prefix !== undefined && !subdomain.test(prefix)) return [cause.invalid(field, key, `prefix part ${subdomainText}`)]
  return []
}

function checkLabels(labels: Json): Cause[] {
  return Object.entries(labels ?? {}).flatMap(([key, value]) => {
    const faults = checkQualified(key, 'metadata.labels')
    if (labelValue.test(String(value))) return faults
    const detail =
      String(value).length > 63
        ? 'must be no more than 63 characters'
        : `a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`
    return [...faults, cause.invalid('metadata.labels', value, detail)]
  })
}

function checkAnnotations(annotations: Json): Cause[] {
  const faults = Object.keys(annotations ?? {}).flatMap((key) => checkQualified(key.toLowerCase(), 'metadata.annotations'))
  const size = Object.entries(annotations ?? {}).reduce((sum, [key, value]) => sum + key.length + String(value).length, 0)
  if (size <= 256 * 1024) return faults
  return [...faults, { reason: 'FieldValueTooLong', message: 'Too long: must have at most 262144 bytes', field: 'metadata.annotations' }]
}

function checkOwners(owners: Json): Cause[] {
  const faults: Cause[] = (owners ?? []).flatMap((owner: Json) =>
    ['apiVersion', 'kind', 'name', 'uid']
      .filter((key) => !owner[key])
      .map((key) =>
        cause.invalid(`metadata.ownerReferences.${key}`, owner[key] ?? '', `${key === 'apiVersion' ? 'version' : key} must not be empty`),
      ),
  )
  if ((owners ?? []).filter((owner: Json) => owner.controller).length > 1) {
    faults.push(cause.invalid('metadata.ownerReferences', owners, 'Only one reference can have Controller set to true'))
  }
  return faults
}

/** Every fault of an object's metadata. */
export function checkMetadata(type: ResourceType, object: KubeObject, old: KubeObject | undefined): Cause[] {
  const { metadata } = object
  const faults = [
    ...(old ? [] : checkName(type, metadata.name)),
    ...checkLabels(metadata.labels),
    ...checkAnnotations(metadata.annotations),
    ...checkOwners(metadata.ownerReferences),
  ]
  for (const finalizer of metadata.finalizers ?? []) {
    faults.push(...checkQualified(finalizer, 'metadata.finalizers'))
    // the real server requires this only of built-in kinds
    if (
      !type.custom &&
      type.kind !== 'CustomResourceDefinition' &&
      !finalizer.includes('/') &&
      !['orphan', 'foregroundDeletion', 'kubernetes'].includes(finalizer)
    ) {
      faults.push(cause.invalid('metadata.finalizers', finalizer, 'name is neither a standard finalizer name nor is it fully qualified'))
    }
  }
  if (!old?.metadata.deletionTimestamp) return faults
  const added = (metadata.finalizers ?? []).filter((each) => !old.metadata.finalizers?.includes(each))
  if (added.length > 0) {
    const list = added.map((each) => JSON.stringify(each)).join(', ')
    const detail = `no new finalizers can be added if the object is being deleted, found new finalizers []string{${list}}`
    faults.push(cause.forbidden('metadata.finalizers', detail))
  }
  return faults
}

const stringMaps = ['labels', 'annotations']

/** Checks the types of the metadata that a client sent. The real server could not decode a fault here: 400. */
function checkShape(metadata: Json): void {
  if (!isMap(metadata)) throw badRequest('json: cannot unmarshal metadata into Go struct field of type v1.ObjectMeta')
  const wrong = (field: string, want: string): never => {
    throw badRequest(`json: cannot unmarshal metadata.${field} into Go struct field ObjectMeta.metadata.${field} of type ${want}`)
  }
  for (const field of ['name', 'namespace', 'generateName', 'resourceVersion', 'uid']) {
    if (metadata[field] !== undefined && metadata[field] !== null && typeof metadata[field] !== 'string') wrong(field, 'string')
  }
  for (const field of stringMaps) {
    const value = metadata[field]
    if (value === undefined || value === null) continue
    if (!isMap(value) || Object.values(value).some((each) => typeof each !== 'string')) wrong(field, 'map[string]string')
  }
  for (const field of ['finalizers', 'ownerReferences', 'managedFields']) {
    const value = metadata[field]
    if (value === undefined || value === null) continue
    const fits = field === 'finalizers' ? (item: Json) => typeof item === 'string' : isMap
    if (!Array.isArray(value) || !value.every(fits)) wrong(field, field === 'finalizers' ? '[]string' : '[]struct')
  }
}

/**
 * A document from a client as an object of the type: envelope checked (400), namespace filled in from the path.
 * The caller must not use the document any more.
 */
export function incoming(type: ResourceType, namespace: string | undefined, document: Json, name?: string): KubeObject {
  if (!isMap(document)) throw badRequest('the body of the request is not an object')
  const { apiVersion = apiVersionOf(type), kind = type.kind } = document
  if (type.custom && document.kind === undefined)
    throw badRequest(`Object 'Kind' is missing in '${JSON.stringify(document).slice(0, 200)}'`)
  if (apiVersion !== apiVersionOf(type) || kind !== type.kind) {
    const [got, want] = kind === type.kind ? [apiVersion, apiVersionOf(type)] : [kind, type.kind]
    const what = kind === type.kind ? 'API version' : 'kind'
    throw badRequest(`the ${what} in the data (${got}) does not match the expected ${what} (${want})`)
  }
  const metadata: Json = document.metadata ?? {}
  checkShape(metadata)
  for (const key of Object.keys(metadata)) if (metadata[key] === null) delete metadata[key]
  if (type.namespaced) {
    if (metadata.namespace && metadata.namespace !== namespace) {
      throw badRequest('the namespace of the provided object does not match the namespace sent on the request')
    }
    metadata.namespace = namespace
  } else delete metadata.namespace
  if (name !== undefined) {
    if (metadata.name === undefined || metadata.name === '') metadata.name = name
    if (metadata.name !== name) {
      throw badRequest(`the name of the object (${metadata.name}) does not match the name on the URL (${name})`)
    }
  }
  const object = { ...document, apiVersion: type.storageApiVersion, kind: type.kind, metadata }
  if (!type.custom) {
    dropNulls(object)
    checkShapes(type.kind, type.version, object)
    canonicalQuantities(type.kind, object)
  }
  return object
}

/** Sets the server's fields of a new object: name, uid, time of creation, generation. */
export function stampNew(type: ResourceType, object: KubeObject): void {
  const { metadata } = object
  if (!metadata.name && metadata.generateName) metadata.name = metadata.generateName.slice(0, 58) + suffix()
  if (!metadata.name) throw invalid(type, '', [cause.required('metadata.name', 'name or generateName is required')])
  metadata.uid = randomUUID()
  metadata.creationTimestamp = timestamp()
  for (const key of ['deletionTimestamp', 'deletionGracePeriodSeconds', 'selfLink', 'generation', 'resourceVersion'] as const) {
    delete (metadata as Json)[key]
  }
  if (type.generation) metadata.generation = 1
}

/** Carries over the fields that no client can change, and refuses a document of another object or an older state. */
export function keepIdentity(type: ResourceType, object: KubeObject, old: KubeObject): void {
  const { metadata } = object
  const name = old.metadata.name
  if (metadata.uid && metadata.uid !== old.metadata.uid) {
    throw conflict(type, name, `Precondition failed: UID in precondition: ${metadata.uid}, UID in object meta: ${old.metadata.uid}`)
  }
  const kept: (keyof ObjectMeta)[] = [
    'uid',
    'creationTimestamp',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
    'generation',
    'generateName',
    'resourceVersion',
  ]
  for (const key of kept) {
    if (old.metadata[key] === undefined) delete metadata[key]
    else (metadata as Json)[key] = old.metadata[key]
  }
}

/** Raises the generation if the desired state changed: the spec, or, without the subresource status, anything but metadata. */
export function raiseGeneration(type: ResourceType, object: KubeObject, old: KubeObject): void {
  if (!type.generation || old.metadata.generation === undefined) return
  const withStatus = !type.subresources.includes('status')
  const wanted = ({ metadata: _, status, ...rest }: KubeObject): Json => (withStatus ? { ...rest, status } : rest)
  if (!equal(wanted(object), wanted(old))) object.metadata.generation = old.metadata.generation + 1
}
