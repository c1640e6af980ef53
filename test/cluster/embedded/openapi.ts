import { createHash } from 'node:crypto'
import type { Json } from './object.ts'
import { apiVersionOf, type Registry, type ResourceType } from './resources.ts'

/**
 * The OpenAPI document, as far as kubectl needs it: which kinds support server-side field validation, and the schemas of custom
 * resources for `kubectl explain`. Built-in kinds are described as objects of any content, because only their shape is checked.
 */

const pathOf = (group: string, version: string): string => (group ? `apis/${group}/${version}` : `api/${version}`)

/** `/openapi/v3`: the addresses of the documents. The hash changes with the content, so that clients know when to read again. */
export function openApiIndex(registry: Registry): Json {
  const paths: Record<string, Json> = {}
  for (const [group, versions] of registry.groups()) {
    for (const version of versions) {
      const path = pathOf(group, version)
      const hash = createHash('sha256').update(`${path} ${registry.generation}`).digest('hex').toUpperCase()
      paths[path] = { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` }
    }
  }
  return { paths }
}

const reversed = (group: string): string => (group.includes('.') ? group.split('.').reverse().join('.') : group || 'core')
const schemaName = (type: ResourceType): string => `${type.custom ? '' : 'io.k8s.api.'}${reversed(type.group)}.${type.version}.${type.kind}`

const metadataName = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta'

function schemaOf(type: ResourceType): Json {
  const kind = { group: type.group, version: type.version, kind: type.kind }
  const envelope = {
    apiVersion: { type: 'string' },
    kind: { type: 'string' },
    metadata: { allOf: [{ $ref: `#/components/schemas/${metadataName}` }] },
  }
  const own = type.custom?.schema ?? { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
  return { ...own, properties: { ...own.properties, ...envelope }, 'x-kubernetes-group-version-kind': [kind] }
}

const query = (name: string): Json => ({ name, in: 'query', schema: { type: 'string', uniqueItems: true } })
const writing = ['dryRun', 'fieldManager', 'fieldValidation', 'pretty'].map(query)

function pathsOf(type: ResourceType): [string, Json][] {
  const base = `/${pathOf(type.group, type.version)}${type.namespaced ? '/namespaces/{namespace}' : ''}/${type.plural}`
  const kind = { group: type.group, version: type.version, kind: type.kind }
  const schema = { $ref: `#/components/schemas/${schemaName(type)}` }
  const answer = { responses: { 200: { description: 'OK', content: { 'application/json': { schema } } } } }
  const does = (action: string, parameters: Json[] = []): Json => ({
    ...answer,
    parameters,
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': kind,
  })
  const patchTypes = ['application/apply-patch+yaml', 'application/json-patch+json', 'application/merge-patch+json']
  // strategic merge patches are omitted for built-in kinds: kubectl would look for merge keys in schemas without fields
  const content = Object.fromEntries(patchTypes.map((mediaType) => [mediaType, { schema: { type: 'object' } }]))
  const collection = { get: does('list'), ...(type.verbs.includes('create') ? { post: does('post', writing) } : {}) }
  if (!type.verbs.includes('get')) return [[base, collection]]
  const single = {
    get: does('get'),
    put: does('put', writing),
    patch: { ...does('patch', [...writing, query('force')]), requestBody: { content } },
    delete: does('delete', [query('dryRun')]),
  }
  return [
    [base, collection],
    [`${base}/{name}`, single],
  ]
}

/** `/openapi/v3/apis/<group>/<version>`; undefined if it is not served. */
export function openApiOf(registry: Registry, group: string, version: string): Json {
  const types = registry.all().filter((type) => type.group === group && type.version === version)
  if (types.length === 0) return undefined
  const schemas: Record<string, Json> = {
    [metadataName]: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true, description: 'Metadata that every object has.' },
  }
  for (const type of types) schemas[schemaName(type)] = schemaOf(type)
  return {
    openapi: '3.0.0',
    info: { title: 'Kubernetes', version: apiVersionOf({ group, version }) },
    paths: Object.fromEntries(types.flatMap(pathsOf)),
    components: { schemas },
  }
}

/** The answer of servers since 1.28. Clients request it with an "@", which a media type cannot have; client-go refuses an answer with it. */
export const openApiV2Protobuf = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf'

/** `/openapi/v2` without definitions: only version 3 describes kinds. */
export const openApiV2 = (): Json => ({ swagger: '2.0', info: { title: 'Kubernetes', version: 'embedded' }, paths: {} })

/** The same document in the only encoding that client-go reads: fields 1 (swagger), 2 (info: title, version) and 8 (paths). */
export function openApiV2Bytes(): Buffer {
  const field = (number: number, content: Buffer): Buffer => Buffer.concat([Buffer.from([(number << 3) | 2, content.length]), content])
  const info = Buffer.concat([field(1, Buffer.from('Kubernetes')), field(2, Buffer.from('embedded'))])
  return Buffer.concat([field(1, Buffer.from('2.0')), field(2, info), field(8, Buffer.alloc(0))])
}
