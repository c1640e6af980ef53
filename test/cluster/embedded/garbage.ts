import { alter, dropFinalizer, standIn } from './controllers.ts'
import type { Core } from './core.ts'
import { deleteObject } from './deletes.ts'
import type { KubeObject, OwnerReference } from './object.ts'
import type { Change, Entry } from './store.ts'
import type { WorkQueue } from './work-queue.ts'

/** The place of an object. */
type Place = { resource: string; namespace: string | undefined; name: string }

const placeOf = (resource: string, object: KubeObject): Place => ({
  resource,
  namespace: object.metadata.namespace,
  name: object.metadata.name,
})

/**
 * Stand-in for kube-controller-manager's garbage collector. Deletes objects whose owners are all gone (background), makes
 * an owner wait for its dependents (foreground), and removes references to an owner that leaves its dependents behind (orphan).
 */
export function runGarbageCollector(core: Core, queue: WorkQueue): void {
  new GarbageCollector(core, queue).run()
}

class GarbageCollector {
  readonly #core: Core
  readonly #queue: WorkQueue
  /** Objects by uid, to look up owners. */
  readonly #places = new Map<string, Place>()
  /** Uids of dependents by uid of their owner. */
  readonly #dependents = new Map<string, Set<string>>()

  constructor(core: Core, queue: WorkQueue) {
    this.#core = core
    this.#queue = queue
  }

  run(): void {
    this.#core.store.listeners.push((change) => this.#notice(change))
  }

  #notice({ bucket, type, entry, previous }: Change): void {
    const { object } = entry
    const { uid, ownerReferences = [], deletionTimestamp, finalizers = [] } = object.metadata
    const owners = type === 'DELETED' ? [] : ownerReferences
    this.#link(uid, previous?.object.metadata.ownerReferences ?? [], owners)
    if (type === 'DELETED') {
      this.#places.delete(uid)
      for (const dependent of this.#dependents.get(uid) ?? []) this.#collectLater(dependent)
      for (const { uid: owner } of ownerReferences) this.#finishLater(owner)
      return
    }
    if (type === 'ADDED') this.#places.set(uid, placeOf(bucket.resource, object))
    if (owners.length > 0 && ownerReferences !== previous?.object.metadata.ownerReferences) this.#collectLater(uid)
    const propagates = finalizers.includes('foregroundDeletion') || finalizers.includes('orphan')
    if (deletionTimestamp && propagates) this.#finishLater(uid)
  }

  #collectLater(uid: string): void {
    this.#queue.add(`collect ${uid}`, () => this.#collect(uid))
  }

  #finishLater(uid: string): void {
    this.#queue.add(`finish ${uid}`, () => this.#finish(uid))
  }

  #link(uid: string, before: OwnerReference[], now: OwnerReference[]): void {
    if (before === now) return
    for (const owner of before) this.#dependents.get(owner.uid)?.delete(uid)
    for (const owner of now) {
      const dependents = this.#dependents.get(owner.uid) ?? new Set()
      this.#dependents.set(owner.uid, dependents.add(uid))
    }
    for (const owner of before) if (this.#dependents.get(owner.uid)?.size === 0) this.#dependents.delete(owner.uid)
  }

  #entry(uid: string): { place: Place; entry: Entry } | undefined {
    const place = this.#places.get(uid)
    const entry = place && this.#core.store.bucket(place.resource).get(place.namespace, place.name)
    return place && entry && entry.object.metadata.uid === uid ? { place, entry } : undefined
  }

  /** Deletes an object whose owners are all gone; otherwise removes the references to those that are gone. */
  #collect(uid: string): void {
    const found = this.#entry(uid)
    const owners = found?.entry.object.metadata.ownerReferences ?? []
    if (!found || owners.length === 0) return
    const present = owners.filter((owner) => this.#places.has(owner.uid))
    const holding = present.filter((owner) => !this.#waits(owner.uid))
    if (holding.length === 0) {
      this.#delete(found.place, uid)
      return
    }
    if (present.length === owners.length) return
    alter(this.#core, found.place.resource, found.place.namespace, found.place.name, (object) => {
      object.metadata.ownerReferences = present
    })
  }

  #waits(uid: string): boolean {
    const { deletionTimestamp, finalizers = [] } = this.#entry(uid)?.entry.object.metadata ?? {}
    return deletionTimestamp !== undefined && finalizers.includes('foregroundDeletion')
  }

  #delete({ resource, namespace, name }: Place, uid: string): void {
    const type = this.#core.registry.stored(resource)
    const entry = this.#core.store.bucket(resource).get(namespace, name)
    if (!type || entry?.object.metadata.deletionTimestamp) return
    const blocking = [...(this.#dependents.get(uid) ?? [])].some((dependent) => this.#blocks(dependent, uid))
    const propagationPolicy = blocking ? 'Foreground' : 'Background'
    const target = { type, namespace, name, subresource: '' }
    deleteObject(this.#core, target, { propagationPolicy, preconditions: { uid } }, standIn('kube-controller-manager'))
  }

  #blocks(dependent: string, owner: string): boolean {
    const references = this.#entry(dependent)?.entry.object.metadata.ownerReferences ?? []
    return references.some((reference) => reference.uid === owner && reference.blockOwnerDeletion)
  }

  /** Carries out the propagation policy of an owner that is being deleted. */
  #finish(uid: string): void {
    const found = this.#entry(uid)
    if (!found?.entry.object.metadata.deletionTimestamp) return
    const { resource, namespace, name } = found.place
    const finalizers = found.entry.object.metadata.finalizers ?? []
    const dependents = [...(this.#dependents.get(uid) ?? [])]
    if (finalizers.includes('orphan')) {
      for (const dependent of dependents) this.#untie(dependent, uid)
      alter(this.#core, resource, namespace, name, (object) => dropFinalizer(object, 'orphan'))
      return
    }
    if (!finalizers.includes('foregroundDeletion')) return
    if (!dependents.some((dependent) => this.#blocks(dependent, uid))) {
      alter(this.#core, resource, namespace, name, (object) => dropFinalizer(object, 'foregroundDeletion'))
    }
    for (const dependent of dependents) this.#collectLater(dependent)
  }

  #untie(dependent: string, owner: string): void {
    const place = this.#places.get(dependent)
    if (!place) return
    alter(this.#core, place.resource, place.namespace, place.name, ({ metadata }) => {
      const rest = (metadata.ownerReferences ?? []).filter((reference) => reference.uid !== owner)
      if (rest.length > 0) metadata.ownerReferences = rest
      else delete metadata.ownerReferences
    })
  }
}
