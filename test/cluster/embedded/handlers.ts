import { type Core, systemUser, type User } from './core.ts'
import { deleteObject, deleteOptions } from './deletes.ts'
import { listObjects, selectorOf } from './lists.ts'
import { isMap, type Json, type KubeObject } from './object.ts'
import { jsonPatch, mergePatch, strategicMergePatch } from './patch.ts'
import { readPodLog } from './pod-logs.ts'
import type { Rbac } from './rbac.ts'
import { type Representation, renderList, renderObject } from './representation.ts'
import { type ApiRequest, isDryRun, parseDocument } from './request.ts'
import { apiVersionOf, type ResourceType } from './resources.ts'
import { answerReview } from './reviews.ts'
import { scaled, scaleOf } from './scale.ts'
import { unknownFields } from './schema.ts'
import { badRequest, methodNotAllowed, notFound, unsupportedMediaType } from './status.ts'
import type { Entry } from './store.ts'
import type { Tokens } from './tokens.ts'
import { applyObject, checkPatchOptions, createObject, type Target, updateObject, type WriteOptions } from './writes.ts'

/** A complete answer; only watches have none. */
export type Answer = { code: number; body: string; mediaType?: string }

/** A request for a served resource, with its body. */
export type ResourceRequest = ApiRequest & {
  type: ResourceType
  target: Target
  form: Representation
  user: User
  userAgent: string
  mediaType: string
  body: Buffer
}

export type Services = { core: Core; rbac: Rbac; tokens: Tokens }

const json = (code: number, value: Json): Answer => ({ code, body: JSON.stringify(value) })
const one = (code: number, entry: Entry, { type, form }: ResourceRequest): Answer => ({ code, body: renderObject(entry, type, form) })

const managerOf = ({ query, userAgent }: ResourceRequest): string =>
  query.get('fieldManager') || (userAgent.split('/')[0] ?? '').slice(0, 128) || 'unknown'

const writeOptions = (request: ResourceRequest, kind: string): WriteOptions => ({
  user: request.user,
  manager: managerOf(request),
  dryRun: isDryRun(request.query, kind),
})

/** Refuses fields that are not in the schema if the client requests that, as kubectl does. */
function checkStrictly({ query, type }: ResourceRequest, document: Json): void {
  const mode = query.get('fieldValidation')
  if (mode && !['Ignore', 'Warn', 'Strict'].includes(mode)) throw badRequest(`fieldValidation: Unsupported value: ${JSON.stringify(mode)}`)
  if (mode !== 'Strict' || !type.custom) return
  const unknown = unknownFields(document, type.custom.schema)
  if (unknown.length === 0) return
  const list = unknown.map((field) => `unknown field ${JSON.stringify(field)}`).join(', ')
  throw badRequest(
    `${type.kind} in version ${JSON.stringify(type.version)} cannot be handled as a ${type.kind}: strict decoding error: ${list}`,
  )
}

function get(services: Services, request: ResourceRequest): Answer {
  const { type, namespace, name } = request.target
  const entry = services.core.store.bucket(type.bucket).get(namespace, name)
  if (!entry) throw notFound(type, name)
  return one(200, entry, request)
}

function list({ core }: Services, { type, target, query, form }: ResourceRequest): Answer {
  const { entries, metadata } = listObjects(core, type, target.namespace, query)
  return { code: 200, body: renderList(entries, type, metadata, form) }
}

async function create({ core, rbac }: Services, request: ResourceRequest): Promise<Answer> {
  const { type, target, user } = request
  const document = (await parseDocument(request.body, request.mediaType)) as Json
  if (!type.verbs.includes('get')) return json(201, answerReview(rbac, user, type.kind, document))
  checkStrictly(request, document)
  return one(201, createObject(core, type, target.namespace, document, writeOptions(request, 'CreateOptions')), request)
}

async function update({ core }: Services, request: ResourceRequest): Promise<Answer> {
  const document = (await parseDocument(request.body, request.mediaType)) as Json
  checkStrictly(request, document)
  return one(
    200,
    updateObject(core, request.target, () => document, writeOptions(request, 'UpdateOptions')),
    request,
  )
}

/** Applying an object that does not exist also needs permission to create it. */
function mayCreate({ core, rbac }: Services, { type, target, user }: ResourceRequest): void {
  const { namespace, name } = target
  if (core.store.bucket(type.bucket).get(namespace, name)) return
  const wanted = { verb: 'create', group: type.group, resource: type.plural, subresource: '', name, namespace: namespace ?? '' }
  if (!rbac.allows(user, wanted)) throw rbac.denied(user, wanted)
}

const patchTypes = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/apply-patch+yaml',
  'application/strategic-merge-patch+json',
]

async function patch(services: Services, request: ResourceRequest): Promise<Answer> {
  const { core } = services
  const { type, target, query, mediaType } = request
  const accepted = type.custom ? patchTypes.slice(0, 3) : patchTypes
  if (!accepted.includes(mediaType)) throw unsupportedMediaType(accepted)
  const force = query.get('force') === 'true'
  checkPatchOptions(mediaType, query.get('fieldManager'), force)
  const document = (await parseDocument(request.body, mediaType, accepted)) as Json
  const options = writeOptions(request, 'PatchOptions')
  if (mediaType === 'application/apply-patch+yaml') {
    if (!isMap(document) || !document.kind || !document.apiVersion)
      throw badRequest("Object 'Kind' is missing in the configuration to apply")
    checkStrictly(request, document)
    mayCreate(services, request)
    const { entry, created } = applyObject(core, target, document, force, options)
    return one(created ? 201 : 200, entry, request)
  }
  if (mediaType !== 'application/json-patch+json' && !isMap(document)) throw badRequest('cannot unmarshal the patch into an object')
  const change = (current: KubeObject): Json => {
    const next = patched(mediaType, current, document, type)
    checkStrictly(request, next)
    return next
  }
  return one(200, updateObject(core, target, change, options), request)
}

function patched(mediaType: string, current: KubeObject, document: Json, type: ResourceType): Json {
  if (mediaType === 'application/json-patch+json') return jsonPatch(current, document)
  if (mediaType === 'application/merge-patch+json') return mergePatch(current, document)
  return strategicMergePatch(current, document, type.fields)
}

async function remove({ core }: Services, request: ResourceRequest): Promise<Answer> {
  const { type, target } = request
  const { dryRun, ...options } = deleteOptions(await parseDocument(request.body, request.mediaType), request.query)
  const { removed, entry } = deleteObject(core, target, options, { ...writeOptions(request, 'DeleteOptions'), dryRun })
  if (!removed || type.bucket === '/pods') return one(200, entry, request)
  const { name, uid } = entry.object.metadata
  const details = { name, ...(type.group ? { group: type.group } : {}), kind: type.plural, uid }
  return json(200, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details })
}

async function removeAll({ core }: Services, request: ResourceRequest): Promise<Answer> {
  const { type, target, query, form } = request
  const { dryRun, ...options } = deleteOptions(await parseDocument(request.body, request.mediaType), query)
  const { namespace } = target
  const selector = selectorOf(type, query)
  const chosen = core.store
    .bucket(type.bucket)
    .list(namespace)
    .filter(({ object }) => !selector || selector(object))
  const entries = chosen.map(({ object }) => {
    const each = { ...target, namespace: object.metadata.namespace, name: object.metadata.name }
    return deleteObject(core, each, options, { ...writeOptions(request, 'DeleteOptions'), dryRun }).entry
  })
  return { code: 200, body: renderList(entries, type, { resourceVersion: String(core.store.revision) }, form) }
}

const verbs: Record<string, (services: Services, request: ResourceRequest) => Answer | Promise<Answer>> = {
  get,
  list,
  create,
  update,
  patch,
  delete: remove,
  deletecollection: removeAll,
}

/** `POST serviceaccounts/<name>/token` */
async function createToken({ core, tokens }: Services, request: ResourceRequest): Promise<Answer> {
  const { type, namespace, name } = request.target
  const account = core.lookup.get('/serviceaccounts', namespace, name)
  if (!account) throw notFound(type, name)
  const document = ((await parseDocument(request.body, request.mediaType)) ?? {}) as Json
  const seconds = document.spec?.expirationSeconds ?? 3600
  const { token, expires } = tokens.issue(account, seconds, document.spec?.audiences?.length ? document.spec.audiences : undefined)
  const status = { token, expirationTimestamp: `${expires.toISOString().slice(0, 19)}Z` }
  const envelope = { kind: 'TokenRequest', apiVersion: 'authentication.k8s.io/v1', metadata: { name, namespace } }
  return json(201, { ...envelope, spec: { audiences: [], ...document.spec, expirationSeconds: seconds }, status })
}

/** `POST pods/<name>/eviction` */
async function evict({ core }: Services, request: ResourceRequest): Promise<Answer> {
  const document = ((await parseDocument(request.body, request.mediaType)) ?? {}) as Json
  const options = deleteOptions(document.deleteOptions, request.query)
  deleteObject(core, { ...request.target, subresource: '' }, options, { ...writeOptions(request, 'DeleteOptions'), dryRun: options.dryRun })
  return json(201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 })
}

/** `POST pods/<name>/binding`, which a scheduler calls. */
async function bind({ core }: Services, request: ResourceRequest): Promise<Answer> {
  const document = ((await parseDocument(request.body, request.mediaType)) ?? {}) as Json
  const { type, namespace, name } = request.target
  const bucket = core.store.bucket(type.bucket)
  const existing = bucket.get(namespace, name)
  if (!existing) throw notFound(type, name)
  if (!document.target?.name) throw badRequest('target.name: Required value')
  const { object } = existing
  core.store.put(
    bucket,
    { ...object, metadata: { ...object.metadata }, spec: { ...object.spec, nodeName: document.target.name } },
    existing,
  )
  return json(201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 })
}

/** `deployments/<name>/scale` and its like: read, replaced or patched as a Scale, written as the workload. */
async function scale({ core }: Services, request: ResourceRequest): Promise<Answer> {
  const { target, verb, mediaType } = request
  const { type, namespace, name } = target
  const current = core.lookup.get(type.bucket, namespace, name)
  if (!current) throw notFound(type, name)
  if (verb === 'get') return json(200, scaleOf(current))
  if (verb !== 'update' && verb !== 'patch') throw methodNotAllowed()
  const accepted = verb === 'patch' ? patchTypes.filter((each) => each !== 'application/apply-patch+yaml') : undefined
  const document = (await parseDocument(request.body, mediaType, accepted)) as Json
  const change = (workload: KubeObject): Json =>
    scaled(workload, verb === 'patch' ? patched(mediaType, scaleOf(workload), document, type) : document)
  return json(200, scaleOf(updateObject(core, target, change, writeOptions(request, 'UpdateOptions')).object))
}

/** `pods/<name>/log` */
async function log({ core }: Services, { target, query, method }: ResourceRequest): Promise<Answer> {
  if (method !== 'GET') throw methodNotAllowed()
  return { code: 200, body: await readPodLog(core, target, query), mediaType: 'text/plain' }
}

const subresources: Record<string, (services: Services, request: ResourceRequest) => Promise<Answer>> = {
  token: createToken,
  eviction: evict,
  binding: bind,
  scale,
  log,
}

/** Answers every request for a resource except watches. Throws ApiError. */
export function answer(services: Services, request: ResourceRequest): Answer | Promise<Answer> {
  const { type, verb, target, method } = request
  const own = subresources[target.subresource]
  if (own) {
    if (method !== 'POST' && own !== scale && own !== log) throw methodNotAllowed()
    return own(services, request)
  }
  const handler = verbs[verb]
  const allowed = (type.verbs as string[]).includes(verb) && !(target.subresource && !['get', 'update', 'patch'].includes(verb))
  if (!handler || !allowed || (verb === 'create' && target.name)) throw methodNotAllowed()
  return handler(services, request)
}

/** Returns a token for a ServiceAccount, which it creates if necessary, on behalf of the cluster's owner. */
export function tokenFor({ core, tokens }: Services, namespace: string, name: string): string {
  const type = core.registry.find('', 'v1', 'serviceaccounts') as ResourceType
  const options = { user: systemUser, manager: 'test-cluster', dryRun: false }
  const account =
    core.store.bucket(type.bucket).get(namespace, name)?.object ??
    createObject(core, type, namespace, { apiVersion: apiVersionOf(type), kind: type.kind, metadata: { name } }, options).object
  return tokens.issue(account, 24 * 3600).token
}
