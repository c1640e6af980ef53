import { alter, standIn } from './controllers.ts'
import { type Attempt, type Core, systemUser } from './core.ts'
import { deleteObject } from './deletes.ts'
import { equal, type Json, type KubeObject, timestamp } from './object.ts'
import { forbidden, notFound } from './status.ts'
import type { WorkQueue } from './work-queue.ts'
import { createObject } from './writes.ts'

const namespacesBucket = '/namespaces'

const lasting = ['default', 'kube-system', 'kube-public']

/** Refuses to create objects in a namespace that does not exist (404) or is being deleted (403), and to delete system namespaces (403). */
export function namespaceAdmission(core: Core): (attempt: Attempt) => void {
  return ({ operation, type, namespace, object, old }) => {
    if (operation === 'delete' && type.bucket === namespacesBucket && lasting.includes(old?.metadata.name ?? '')) {
      throw forbidden(type, old?.metadata.name ?? '', 'this namespace may not be deleted')
    }
    if (operation !== 'create' || namespace === undefined) return
    const found = core.store.bucket(namespacesBucket).get(undefined, namespace)?.object
    if (!found) throw notFound({ group: '', plural: 'namespaces', kind: 'Namespace' }, namespace)
    if (!found.metadata.deletionTimestamp) return
    const message = `unable to create new content in namespace ${namespace} because it is being terminated`
    throw forbidden(type, object?.metadata.name ?? '', message, [
      { reason: 'NamespaceTerminating', message: `namespace ${namespace} is being terminated`, field: 'metadata.namespace' },
    ])
  }
}

/**
 * Stand-in for kube-controller-manager's namespace, service account and root CA controllers: every namespace has its default
 * ServiceAccount and the CA, and a deleted one is emptied, kind by kind, before it is removed.
 */
export function runNamespaceController(core: Core, queue: WorkQueue, rootCa: string): void {
  const leaving = new Set<string>()
  const drainLater = (namespace: string): void => queue.add(`namespace ${namespace}`, () => drain(core, namespace))
  const furnishLater = (namespace: string): void => queue.add(`furnish ${namespace}`, () => furnish(core, namespace, rootCa))

  core.store.listeners.push(({ bucket, type, entry }) => {
    const { name, namespace, deletionTimestamp } = entry.object.metadata
    if (bucket.resource === namespacesBucket) {
      if (type === 'DELETED') leaving.delete(name)
      else if (deletionTimestamp) {
        leaving.add(name)
        drainLater(name)
      } else if (type === 'ADDED') furnishLater(name)
      return
    }
    if (namespace === undefined) return
    if (leaving.has(namespace)) drainLater(namespace)
    else if (type === 'DELETED' && (bucket.resource === '/serviceaccounts' || bucket.resource === '/configmaps')) furnishLater(namespace)
  })
}

function furnish(core: Core, namespace: string, rootCa: string): void {
  const found = core.store.bucket(namespacesBucket).get(undefined, namespace)?.object
  if (!found || found.metadata.deletionTimestamp) return
  const make = (plural: string, name: string, content: Json): void => {
    const type = core.registry.find('', 'v1', plural)
    if (!type || core.store.bucket(type.bucket).get(namespace, name)) return
    createObject(core, type, namespace, { metadata: { name }, ...content }, standIn('kube-controller-manager'))
  }
  make('serviceaccounts', 'default', {})
  make('configmaps', 'kube-root-ca.crt', { data: { 'ca.crt': rootCa } })
}

function drain(core: Core, namespace: string): void {
  const remaining = new Map<string, KubeObject[]>()
  for (const type of core.registry.buckets()) {
    if (!type.namespaced) continue
    const bucket = core.store.bucket(type.bucket)
    for (const { object } of bucket.list(namespace)) {
      if (object.metadata.deletionTimestamp) continue
      const target = { type, namespace, name: object.metadata.name, subresource: '' }
      deleteObject(
        core,
        target,
        { propagationPolicy: 'Background' },
        { user: systemUser, manager: 'kube-controller-manager', dryRun: false },
      )
    }
    const left = bucket.list(namespace)
    if (left.length > 0)
      remaining.set(
        `${type.plural}.${type.group}`,
        left.map(({ object }) => object),
      )
  }
  alter(core, namespacesBucket, undefined, namespace, (object) => {
    const conditions = conditionsOf(remaining)
    const before: Json[] = object.status?.conditions ?? []
    const kept = conditions.map((now) => {
      const old = before.find((each) => each.type === now.type)
      return old && equal({ ...old, lastTransitionTime: '' }, { ...now, lastTransitionTime: '' }) ? old : now
    })
    object.status = { ...object.status, phase: 'Terminating', conditions: kept }
    if (remaining.size > 0) return
    const others = (object.spec?.finalizers ?? []).filter((each: string) => each !== 'kubernetes')
    object.spec = others.length > 0 ? { ...object.spec, finalizers: others } : {}
  })
}

/** The conditions of a namespace that is being deleted, in the real controller's words. */
function conditionsOf(remaining: Map<string, KubeObject[]>): Json[] {
  const counts = [...remaining].map(([resource, objects]) => `${resource} has ${objects.length} resource instances`)
  const holders = new Map<string, number>()
  for (const object of [...remaining.values()].flat()) {
    for (const finalizer of object.metadata.finalizers ?? []) holders.set(finalizer, (holders.get(finalizer) ?? 0) + 1)
  }
  const held = [...holders].map(([finalizer, count]) => `${finalizer} in ${count} resource instances`)
  const lastTransitionTime = timestamp()
  const condition = (type: string, bad: boolean, reason: string, message: string): Json => ({
    type,
    status: bad ? 'True' : 'False',
    lastTransitionTime,
    reason,
    message,
  })
  return [
    condition('NamespaceDeletionDiscoveryFailure', false, 'ResourcesDiscovered', 'All resources successfully discovered'),
    condition('NamespaceDeletionGroupVersionParsingFailure', false, 'ParsedGroupVersions', 'All legacy kube types successfully parsed'),
    condition(
      'NamespaceDeletionContentFailure',
      false,
      'ContentDeleted',
      'All content successfully deleted, may be waiting on finalization',
    ),
    counts.length > 0
      ? condition('NamespaceContentRemaining', true, 'SomeResourcesRemain', `Some resources are remaining: ${counts.join(', ')}`)
      : condition('NamespaceContentRemaining', false, 'ContentRemoved', 'All content successfully removed'),
    held.length > 0
      ? condition(
          'NamespaceFinalizersRemaining',
          true,
          'SomeFinalizersRemain',
          `Some content in the namespace has finalizers remaining: ${held.join(', ')}`,
        )
      : condition('NamespaceFinalizersRemaining', false, 'ContentHasNoFinalizers', 'All content-preserving finalizers finished'),
  ]
}
