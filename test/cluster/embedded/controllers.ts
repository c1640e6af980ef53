import { type Core, systemUser } from './core.ts'
import { crdBucket, crdFinalizer, establishedStatus } from './crd.ts'
import { deleteObject } from './deletes.ts'
import { clone, equal, type Json, type KubeObject } from './object.ts'
import type { WorkQueue } from './work-queue.ts'
import { isDone, type WriteOptions } from './writes.ts'

/** The stand-ins write under the names of the controllers that they replace. */
export const standIn = (manager: string): WriteOptions => ({ user: systemUser, manager, dryRun: false })

/**
 * Writes an object as a controller does: `change` gets a copy of the current object and alters it. Nothing is written if
 * nothing changed or the object is gone. A deleted object without finalizers is removed.
 */
export function alter(
  core: Core,
  bucketName: string,
  namespace: string | undefined,
  name: string,
  change: (object: KubeObject) => void,
): void {
  const bucket = core.store.bucket(bucketName)
  const existing = bucket.get(namespace, name)
  if (!existing) return
  const object = clone(existing.object)
  change(object)
  if (equal(object, existing.object)) return
  if (isDone(object)) core.store.remove(bucket, existing, object)
  else core.store.put(bucket, object, existing)
}

export const dropFinalizer = (object: KubeObject, finalizer: string): void => {
  const rest = (object.metadata.finalizers ?? []).filter((each) => each !== finalizer)
  if (rest.length > 0) object.metadata.finalizers = rest
  else delete object.metadata.finalizers
}

/**
 * Stand-in for the controllers of CustomResourceDefinitions: establishes new ones, and deletes the objects of deleted ones
 * before it removes these.
 */
export function runDefinitionController(core: Core, queue: WorkQueue): void {
  const leaving = new Map<string, string>()
  const clean = (name: string, resource: string): void => {
    const type = core.registry.stored(resource)
    const bucket = core.store.bucket(resource)
    for (const { object } of type ? bucket.list() : []) {
      if (!type || object.metadata.deletionTimestamp) continue
      const { namespace, name } = object.metadata
      deleteObject(core, { type, namespace, name, subresource: '' }, {}, standIn('kube-apiserver'))
    }
    if (bucket.size === 0) alter(core, crdBucket, undefined, name, (crd) => dropFinalizer(crd, crdFinalizer))
  }

  core.store.listeners.push(({ bucket, type, entry }) => {
    const waiting = leaving.get(bucket.resource)
    if (waiting && type === 'DELETED') queue.add(`crd ${waiting}`, () => clean(waiting, bucket.resource))
    if (bucket.resource !== crdBucket) return
    const { object } = entry
    const { name } = object.metadata
    const resource = `${object.spec.group}/${object.spec.names.plural}`
    if (type === 'DELETED') leaving.delete(resource)
    else if (object.metadata.deletionTimestamp) {
      leaving.set(resource, name)
      queue.add(`crd ${name}`, () => clean(name, resource))
    } else queue.add(`crd ${name}`, () => alter(core, crdBucket, undefined, name, establish))
  })
}

function establish(crd: KubeObject): void {
  if (crd.metadata.deletionTimestamp) return
  const status = establishedStatus(crd)
  const holds = (crd.status?.conditions ?? []).some((each: Json) => each.type === 'Established' && each.status === 'True')
  // an established definition keeps its conditions, so that establishing it again changes nothing
  crd.status = holds ? { ...status, conditions: crd.status.conditions } : status
}
