import { createHash } from 'node:crypto'
import type { Clock } from '../../shared/clock.ts'
import { pointerTo } from '../../shared/json-pointer.ts'
import { type Cache, createCache } from '../../shared/kubernetes/cache.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { deleteObject } from '../../shared/kubernetes/delete.ts'
import { type Kind, type KubernetesObject, keyOf, kinds, type ObjectMeta, pathOf, pathOfObject } from '../../shared/kubernetes/objects.ts'
import { readObject } from '../../shared/kubernetes/read.ts'
import { type Part, together } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'
import { takeOver } from '../operations/taking-over.ts'
import { identityOf } from '../region/caches.ts'
import { differing } from '../resources/covers.ts'
import { foreignFields, namesOf, type OwnedField } from '../resources/field-owners.ts'
import { projectOf } from '../resources/kind.ts'
import { annotation, fieldManager, label } from '../resources/labels.ts'

/** The fields that are kept of an object that Skerry made: enough to detect a change. */
type ManagedView = {
  kind: string
  metadata: Pick<ObjectMeta, 'name' | 'namespace' | 'resourceVersion' | 'uid' | 'deletionTimestamp'>
  /** By its label. */
  project: string | undefined
  /** Hash of everything but the status and the API server's bookkeeping. */
  digest: string
  /** Of a ResourceQuota only. */
  used: Record<string, string> | undefined
}

const followed = ['Namespace', 'RoleBinding', 'Role', 'ResourceQuota', 'LimitRange', 'NetworkPolicy', 'ServiceAccount'] as const

/** How long a Secret is taken to be right, in milliseconds. It has no watch: the agent would need the right to read every Secret of the cluster. */
export const secretsFreshMs = 5 * 60_000

/** The objects that the project controller makes, and their state in the cluster. */
export type ManagedObjects = Part & {
  namespace(name: string): ManagedView | undefined
  /** The quota that Skerry made in a namespace. */
  quota(namespace: string): ManagedView | undefined
  /** Every followed object in a namespace. */
  within(namespace: string): ManagedView[]
  /**
   * Applies the object unless the cluster has it already, and removes fields of others from its spec or data. The API server is asked only
   * if the cache differs from the last object that was found to be right.
   * @throws Problem as `takeOver` does
   */
  ensure(wanted: KubernetesObject): Promise<void>
  /** Deletes the object with that uid, if it still exists. */
  remove(view: Pick<ManagedView, 'kind' | 'metadata'>): Promise<void>
  /** Calls the listener with the id of each project whose objects changed. */
  subscribe(listener: (project: string) => void): () => void
}

/** @param mustAct throws when the Lease is no longer held; called right before each write */
export function createManagedObjects({
  cluster,
  clock,
  log,
  mustAct,
}: {
  cluster: Cluster
  clock: Clock
  log: Log
  mustAct: () => void
}): ManagedObjects {
  const labelSelector = 'app.kubernetes.io/managed-by=skerry'
  const caches = Object.fromEntries(
    followed.map((kind) => [
      kind,
      createCache<ManagedView>({ kind: kinds[kind], labelSelector, view: managedView }, { cluster, clock, log }),
    ]),
  ) as Record<(typeof followed)[number], Cache<ManagedView>>
  const all = Object.values(caches)
  const settled = new Settled(clock)

  function cacheOf(kind: string): Cache<ManagedView> | undefined {
    return caches[kind as (typeof followed)[number]]
  }

  async function ensure(given: KubernetesObject): Promise<void> {
    const path = pathOfObject(given)
    const hash = hashOf(given)
    if (settled.has(path, hash, cacheOf(given.kind)?.get(keyOf(given.metadata)))) return
    const object = given.kind === 'Secret' ? given : withAppliedHash(given, hash)
    const standing = await readObject(cluster, path)
    const foreign = standing ? foreignFields(standing, object, standing) : []
    const isRight = standing && foreign.length === 0 && differing(standing, object) === undefined && !isOwnedByProject(standing)
    if (isRight) return settle(path, hash, standing)
    const applied = await takeOver(cluster, object, { before: standing, mustAct })
    const said = { kind: object.kind, namespace: object.metadata.namespace, object: object.metadata.name, isNew: !standing }
    log.info({ ...said, ...(foreign.length > 0 && { takenOver: foreign.map(told) }) }, 'object applied')
    settle(path, hash, applied)
  }

  function settle(path: string, wanted: string, object: KubernetesObject): void {
    const cache = cacheOf(object.kind)
    settled.add(path, wanted, cache && managedView(object))
    cache?.put(object)
  }

  async function remove({ kind, metadata }: Pick<ManagedView, 'kind' | 'metadata'>): Promise<void> {
    const path = pathOf(kinds[kind as keyof typeof kinds] as Kind, metadata.namespace, metadata.name)
    settled.forget(path)
    mustAct()
    if (await deleteObject(cluster, path, metadata.uid))
      log.info({ kind, namespace: metadata.namespace, object: metadata.name }, 'object deleted')
  }

  return {
    ...together('objects of projects', all),
    namespace: (name) => caches.Namespace.get(name),
    quota: (namespace) => caches.ResourceQuota.in(namespace)[0],
    within: (namespace) => all.flatMap((cache) => cache.in(namespace)),
    ensure,
    remove,
    subscribe(listener) {
      const ends = all.map((cache) =>
        cache.subscribe(({ type, object, key }) => {
          const path = pathOf(kinds[object.kind as keyof typeof kinds] as Kind, ...splitKey(key))
          if (type === 'removed') settled.forget(path)
          if (type === 'removed' && object.kind === 'Namespace') settled.forgetWithin(path)
          const project = object.project ?? projectOf(object.metadata.namespace ?? object.metadata.name)
          if (project !== undefined) listener(project)
        }),
      )
      return () => {
        for (const end of ends) end()
      }
    },
  }
}

/** A field that somebody else has set, for the log: without its value, which may be a secret. */
function told({ path, managers }: OwnedField): string {
  return `${pointerTo(path)} (set by ${namesOf(managers)})`
}

/** Up to 0.1.0, the objects of a project had an owner reference to it. Of a Secret, which bears no hash, nothing else shows that it has to go. */
function isOwnedByProject({ metadata }: KubernetesObject): boolean {
  return (
    metadata.ownerReferences?.some(({ apiVersion, kind }) => kind === kinds.Project.kind && apiVersion === kinds.Project.apiVersion) ??
    false
  )
}

/** What was last found to be right, by path. */
class Settled {
  readonly #clock: Clock
  /** The hash of the wanted object, and the digest of the one found; for Secrets, which no watch follows, the moment instead. */
  readonly #entries = new Map<string, { wanted: string; found: string | number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  has(path: string, wanted: string, view: ManagedView | undefined): boolean {
    const known = this.#entries.get(path)
    if (known?.wanted !== wanted) return false
    return typeof known.found === 'number' ? this.#clock.monotonic() - known.found < secretsFreshMs : view?.digest === known.found
  }

  add(path: string, wanted: string, view: ManagedView | undefined): void {
    this.#entries.set(path, { wanted, found: view?.digest ?? this.#clock.monotonic() })
  }

  forget(path: string): void {
    this.#entries.delete(path)
  }

  /** Secrets go with their namespace, and no watch reports that. */
  forgetWithin(path: string): void {
    for (const other of this.#entries.keys()) if (other.startsWith(`${path}/`)) this.#entries.delete(other)
  }
}

function splitKey(key: string): [namespace: string | undefined, name: string] {
  const [first = '', second] = key.split('/')
  return second === undefined ? [undefined, first] : [first, second]
}

function managedView(object: KubernetesObject): ManagedView {
  const { kind, metadata } = object
  const { uid, deletionTimestamp } = metadata
  return {
    kind,
    metadata: {
      ...identityOf(object),
      ...(uid !== undefined && { uid }),
      ...(deletionTimestamp !== undefined && { deletionTimestamp }),
    },
    project: metadata.labels?.[label.project],
    digest: hashOf(object),
    used: kind === 'ResourceQuota' ? object.status?.used : undefined,
  }
}

/** Of the fields that people and controllers can change, independent of the order of keys. */
function hashOf({ metadata, status: _, ...rest }: KubernetesObject): string {
  const { labels, annotations, ownerReferences } = metadata
  return createHash('sha256')
    .update(JSON.stringify(sorted({ ...rest, labels, annotations, ownerReferences })))
    .digest('base64url')
    .slice(0, 22)
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, field]) => [key, sorted(field)]),
  )
}

/**
 * Server-side apply removes fields that were applied before and are no longer wanted, but only when the object is applied: the hash on the
 * object shows that another object was wanted before. Secrets have none, since nothing may reveal their content.
 */
function withAppliedHash(object: KubernetesObject, hash: string): KubernetesObject {
  const { metadata } = object
  return { ...object, metadata: { ...metadata, annotations: { ...metadata.annotations, [annotation.applied]: hash } } }
}

/** Whether Skerry made the namespace: it has Skerry's labels, or, if they were removed, fields that Skerry applied. */
export function isSkerrysNamespace(namespace: KubernetesObject, project: string): boolean {
  const { labels = {}, managedFields = [] } = namespace.metadata as ObjectMeta & {
    managedFields?: { manager: string; operation: string }[]
  }
  if (labels['app.kubernetes.io/managed-by'] === 'skerry' && labels[label.project] === project) return true
  return managedFields.some(({ manager, operation }) => manager === fieldManager && operation === 'Apply')
}
