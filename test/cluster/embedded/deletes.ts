import type { Core } from './core.ts'
import { isMap, type Json, type KubeObject, timestamp } from './object.ts'
import type { ResourceType } from './resources.ts'
import { cause, conflict, invalid, notFound } from './status.ts'
import { Entry } from './store.ts'
import type { Target, WriteOptions } from './writes.ts'
import { isDone } from './writes.ts'

export type DeleteOptions = {
  gracePeriodSeconds?: number
  propagationPolicy?: string
  preconditions?: { uid?: string; resourceVersion?: string }
}

/** Reads DeleteOptions from a body and a query; the query takes precedence, as on the real server. */
export function deleteOptions(body: Json, query: URLSearchParams): DeleteOptions & { dryRun: boolean } {
  const given = isMap(body) ? body : {}
  const grace = query.get('gracePeriodSeconds')
  const orphan = query.get('orphanDependents') ?? given.orphanDependents
  const policy = query.get('propagationPolicy') ?? given.propagationPolicy ?? (String(orphan) === 'true' ? 'Orphan' : undefined)
  const policies = ['Background', 'Foreground', 'Orphan']
  if (policy !== undefined && !policies.includes(policy)) {
    throw invalid({ group: 'meta.k8s.io', kind: 'DeleteOptions' }, '', [cause.notSupported('propagationPolicy', policy, policies)])
  }
  const seconds = grace === null ? given.gracePeriodSeconds : Number(grace)
  return {
    ...(seconds === undefined || seconds === null ? {} : { gracePeriodSeconds: seconds }),
    ...(policy === undefined ? {} : { propagationPolicy: policy }),
    ...(given.preconditions ? { preconditions: given.preconditions } : {}),
    dryRun: query.getAll('dryRun').includes('All') || (Array.isArray(given.dryRun) && given.dryRun.includes('All')),
  }
}

/** The result of a deletion: done, or begun and held by finalizers, a grace period or a namespace's content. */
export type Deletion = { removed: boolean; entry: Entry }

/** Deletes an object, or marks it for deletion. Throws 404, and 409 when a precondition does not hold. */
export function deleteObject(core: Core, target: Target, given: DeleteOptions, options: WriteOptions): Deletion {
  const { type, namespace, name } = target
  const { store } = core
  const bucket = store.bucket(type.bucket)
  const existing = bucket.get(namespace, name)
  if (!existing) throw notFound(type, name)
  const old = existing.object
  checkPreconditions(type, old, given)
  for (const admission of core.mutating) {
    admission({ operation: 'delete', type, subresource: '', namespace, object: undefined, old, user: options.user })
  }
  const marked = mark(type, old, given)
  if (isDone(marked)) {
    return { removed: true, entry: options.dryRun ? existing : store.remove(bucket, existing) }
  }
  const unchanged = marked.metadata.deletionTimestamp === old.metadata.deletionTimestamp && sameHolds(marked, old)
  if (unchanged) return { removed: false, entry: existing }
  return { removed: false, entry: options.dryRun ? new Entry(marked, existing.revision) : store.put(bucket, marked, existing) }
}

const sameHolds = (a: KubeObject, b: KubeObject): boolean =>
  (a.metadata.finalizers ?? []).join() === (b.metadata.finalizers ?? []).join() &&
  a.metadata.deletionGracePeriodSeconds === b.metadata.deletionGracePeriodSeconds

function checkPreconditions(type: ResourceType, old: KubeObject, { preconditions }: DeleteOptions): void {
  const { uid, resourceVersion, name } = old.metadata
  if (preconditions?.uid && preconditions.uid !== uid) {
    throw conflict(type, name, `Precondition failed: UID in precondition: ${preconditions.uid}, UID in object meta: ${uid}`)
  }
  if (preconditions?.resourceVersion && preconditions.resourceVersion !== resourceVersion) {
    const text = `Precondition failed: ResourceVersion in precondition: ${preconditions.resourceVersion}, ResourceVersion in object meta: ${resourceVersion}`
    throw conflict(type, name, text)
  }
}

/** The object as marked for deletion, with the finalizers that carry out the propagation policy. */
function mark(type: ResourceType, old: KubeObject, given: DeleteOptions): KubeObject {
  const seconds = graceOf(type, old, given)
  const first = !old.metadata.deletionTimestamp
  const { finalizers: before = [], ...rest } = old.metadata
  const finalizers = propagating(before, given.propagationPolicy)
  const shorter = !first && seconds < (old.metadata.deletionGracePeriodSeconds ?? 0)
  const metadata = {
    ...rest,
    ...(finalizers.length > 0 ? { finalizers } : {}),
    ...(first ? { deletionTimestamp: timestamp(Date.now() + seconds * 1000) } : {}),
    ...(first || shorter ? { deletionGracePeriodSeconds: seconds } : {}),
    ...(first && type.generation ? { generation: (rest.generation ?? 0) + 1 } : {}),
  }
  const phase = type.bucket === '/namespaces' ? { status: { ...old.status, phase: 'Terminating' } } : {}
  return { ...old, metadata, ...phase }
}

/** Only a running pod has a grace period, because its kubelet confirms the end. */
function graceOf(type: ResourceType, old: KubeObject, given: DeleteOptions): number {
  const running = type.bucket === '/pods' && old.spec?.nodeName && !['Succeeded', 'Failed'].includes(old.status?.phase)
  return running ? (given.gracePeriodSeconds ?? old.spec.terminationGracePeriodSeconds ?? 30) : 0
}

function propagating(finalizers: string[], policy: string | undefined): string[] {
  if (policy === undefined) return finalizers
  const others = finalizers.filter((each) => each !== 'orphan' && each !== 'foregroundDeletion')
  if (policy === 'Foreground') return [...others, 'foregroundDeletion']
  return policy === 'Orphan' ? [...others, 'orphan'] : others
}
