import type { Attempt, Core, User } from './core.ts'
import { applyConfiguration, recordUpdate, type Writer } from './managed-fields.ts'
import { TypedValueError } from './merge.ts'
import { checkMetadata, incoming, keepIdentity, raiseGeneration, stampNew } from './metadata.ts'
import { clone, equal, type Json, type KubeObject } from './object.ts'
import { apiVersionOf, hasStatus, type ResourceType } from './resources.ts'
import { applyDefaults, prune } from './schema.ts'
import { alreadyExists, badRequest, cause, internal, invalid, modified, notFound } from './status.ts'
import { Entry } from './store.ts'
import { validate } from './validation.ts'

export type WriteOptions = {
  user: User
  /** The field manager: as requested, or the client's name from its User-Agent. */
  manager: string
  dryRun: boolean
}

/** The target of a path. */
export type Target = { type: ResourceType; namespace: string | undefined; name: string; subresource: string }

function writerOf(target: Pick<Target, 'type' | 'subresource'>, options: WriteOptions): Writer {
  return {
    manager: options.manager,
    apiVersion: apiVersionOf(target.type),
    subresource: target.subresource === 'status' ? 'status' : '',
    hasStatus: hasStatus(target.type),
  }
}

function attempt(target: Target, operation: Attempt['operation'], object: Attempt['object'], old: Attempt['old'], user: User): Attempt {
  const { type, namespace, subresource } = target
  return { operation, type, subresource, namespace, object, old, user }
}

/** Refuses an invalid object with all its faults, after setting defaults. */
function complete(core: Core, type: ResourceType, object: KubeObject, old: KubeObject | undefined): void {
  if (type.custom) {
    prune(object, type.custom.schema, true)
    applyDefaults(object, type.custom.schema, true)
  }
  // a missing spec must be reported as a fault, not cause an exception
  type.rules.prepare?.(object, old, core.lookup)
  const faults = checkMetadata(type, object, old)
  if (type.custom) faults.push(...validate(object, type.custom.schema, ''))
  faults.push(...(type.rules.check?.(object, old, core.lookup) ?? []))
  if (faults.length > 0) throw invalid(type, object.metadata.name, faults)
}

/**
 * Creates an object from a client's document. Throws 400, 409 AlreadyExists, 422, or what admission throws.
 * With `dryRun`, everything is checked and nothing is stored.
 */
export function createObject(core: Core, type: ResourceType, namespace: string | undefined, document: Json, options: WriteOptions): Entry {
  const object = incoming(type, namespace, document)
  if (object.metadata.resourceVersion) throw internal('resourceVersion should not be set on objects to be created')
  delete object.metadata.managedFields
  const target = { type, namespace, name: object.metadata.name, subresource: '' }
  return insert(core, target, object, options, (created) => {
    const managed = recordUpdate(undefined, created, type.fields, writerOf(target, options))
    if (managed) created.metadata.managedFields = managed
  })
}

function insert(core: Core, target: Target, object: KubeObject, options: WriteOptions, own: (created: KubeObject) => void): Entry {
  const { type, namespace } = target
  const { store } = core
  const bucket = store.bucket(type.bucket)
  stampNew(type, object)
  if (hasStatus(type)) delete object.status
  const creation = attempt(target, 'create', object, undefined, options.user)
  for (const admission of core.mutating) admission(creation)
  complete(core, type, object, undefined)
  if (bucket.get(namespace, object.metadata.name)) throw alreadyExists(type, object.metadata.name)
  type.rules.admit?.(object, undefined, core.lookup)
  for (const admission of core.validating) admission(creation)
  own(object)
  return options.dryRun ? new Entry(object, 0) : store.put(bucket, object, undefined)
}

/**
 * Replaces an object with the result of `next` for the current one (in the version of the target's type).
 * A write that changes nothing keeps the revision. Removing the last finalizer of a deleted object removes the object.
 */
export function updateObject(core: Core, target: Target, next: (current: KubeObject) => Json, options: WriteOptions): Entry {
  const { type, namespace, name } = target
  const existing = core.store.bucket(type.bucket).get(namespace, name)
  if (!existing) throw notFound(type, name)
  const old = existing.object
  const current = old.apiVersion === apiVersionOf(type) ? old : { ...old, apiVersion: apiVersionOf(type) }
  const object = incoming(type, namespace, clone(next(current)), name)
  const { resourceVersion, managedFields: given } = object.metadata
  if (!resourceVersion && (type.custom || type.kind === 'CustomResourceDefinition')) {
    throw invalid(type, name, [
      { reason: 'FieldValueInvalid', message: 'Invalid value: 0x0: must be specified for an update', field: 'metadata.resourceVersion' },
    ])
  }
  if (resourceVersion && resourceVersion !== old.metadata.resourceVersion) throw modified(type, name)
  const updated = mayChange(target, object, old)
  return replace(core, target, updated, existing, options, (result) => {
    // an explicit empty list, or one empty entry, resets all ownership, as the real server documents
    const reset = given !== undefined && (given.length === 0 || (given.length === 1 && Object.keys(given[0] ?? {}).length === 0))
    const base = reset ? { ...old, metadata: { ...old.metadata, managedFields: [] } } : old
    const managed = recordUpdate(base, result, type.fields, writerOf(target, options))
    if (managed?.length) result.metadata.managedFields = managed
    else delete result.metadata.managedFields
  })
}

/** The object with only the changes that the subresource allows. */
function mayChange({ type, subresource }: Target, object: KubeObject, old: KubeObject): KubeObject {
  keepIdentity(type, object, old)
  if (subresource === 'status') return { ...clone(old), ...(object.status === undefined ? {} : { status: object.status }) }
  if (subresource === 'finalize') return { ...clone(old), spec: { ...old.spec, finalizers: object.spec?.finalizers ?? [] } }
  if (!hasStatus(type)) return object
  const { status: _, ...rest } = object
  return (old.status === undefined ? rest : { ...rest, status: clone(old.status) }) as KubeObject
}

function replace(
  core: Core,
  target: Target,
  object: KubeObject,
  existing: Entry,
  options: WriteOptions,
  own: (result: KubeObject) => void,
): Entry {
  const { type, subresource } = target
  const { store } = core
  const bucket = store.bucket(type.bucket)
  const old = existing.object
  const change = attempt(target, 'update', object, old, options.user)
  for (const admission of core.mutating) admission(change)
  if (subresource !== 'finalize') {
    complete(core, type, object, old)
    type.rules.admit?.(object, old, core.lookup)
    for (const admission of core.validating) admission(change)
  }
  raiseGeneration(type, object, old)
  own(object)
  if (equal(object, old)) return existing
  if (options.dryRun) return new Entry(object, existing.revision)
  if (isDone(object)) return store.remove(bucket, existing, object)
  return store.put(bucket, object, existing)
}

/** Whether nothing holds a deleted object any more. */
export function isDone(object: KubeObject): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds, finalizers } = object.metadata
  if (!deletionTimestamp || finalizers?.length || deletionGracePeriodSeconds) return false
  return object.kind !== 'Namespace' || object.apiVersion !== 'v1' || !object.spec?.finalizers?.length
}

/**
 * Server-side apply. Creates or merges the object. Throws 409 with the conflicting managers unless `force`.
 */
export function applyObject(
  core: Core,
  target: Target,
  document: Json,
  force: boolean,
  options: WriteOptions,
): { entry: Entry; created: boolean } {
  const { type, namespace, name, subresource } = target
  const config = incoming(type, namespace, document, name)
  if (config.metadata.managedFields?.length) throw badRequest('metadata.managedFields must be nil')
  const existing = core.store.bucket(type.bucket).get(namespace, name)
  const { resourceVersion, ...metadata } = config.metadata
  if (resourceVersion && existing && resourceVersion !== existing.object.metadata.resourceVersion) throw modified(type, name)
  const { status, ...rest } = config
  const doored = subresource === 'status' ? { apiVersion: config.apiVersion, kind: config.kind, status } : hasStatus(type) ? rest : config
  const asked = { ...doored, metadata } as KubeObject
  if (!existing && (subresource || resourceVersion)) throw notFound(type, name)
  const result = applied(existing?.object, asked, target, force, options)
  if (!existing) {
    const { managedFields } = result.metadata
    const entry = insert(core, target, result, options, (created) => {
      if (managedFields) created.metadata.managedFields = managedFields
    })
    return { entry, created: true }
  }
  const object = clone(result)
  const { managedFields } = object.metadata
  keepIdentity(type, object, existing.object)
  return {
    entry: replace(core, target, object, existing, options, () => Object.assign(object.metadata, { managedFields })),
    created: false,
  }
}

function applied(live: KubeObject | undefined, config: KubeObject, target: Target, force: boolean, options: WriteOptions): KubeObject {
  const { type, name } = target
  try {
    return applyConfiguration(live, config, type.fields, writerOf(target, options), force)
  } catch (error) {
    if (!(error instanceof TypedValueError)) throw error
    const where = `${target.namespace ? `${target.namespace}/` : ''}${name}; ${apiVersionOf(type)}, Kind=${type.kind}`
    throw internal(`failed to create typed patch object (${where}): ${error.message}`)
  }
}

/** Refuses options of an apply or patch that exclude each other. */
export function checkPatchOptions(mediaType: string, manager: string | null, force: boolean): void {
  const options = { group: 'meta.k8s.io', kind: 'PatchOptions' }
  const apply = mediaType === 'application/apply-patch+yaml'
  if (apply && !manager) throw invalid(options, '', [cause.required('fieldManager', 'is required for apply patch')])
  if (!apply && force) throw invalid(options, '', [cause.forbidden('force', 'may not be specified for non-apply patch')])
}
