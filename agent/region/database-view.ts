import type { Clock } from '../../shared/clock.ts'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { namespaceOf } from '../resources/kind.ts'
import type { Operation } from '../resources/operation.ts'
import type { Caches, PodView, ServiceView, StatefulSetView } from './caches.ts'

/** Everything in the caches about one database. An array is never changed in place: a change replaces it. */
export type DatabaseView = {
  readonly namespace: string
  readonly name: string
  /** The CrateDB; undefined before it is created and after it is deleted. */
  readonly object: KubernetesObject | undefined
  readonly statefulSets: readonly StatefulSetView[]
  readonly pods: readonly PodView[]
  readonly services: readonly ServiceView[]
  /** The operations that are kept, by sequence. */
  readonly operations: readonly Operation[]
  /**
   * When this process saw the health change, in Unix milliseconds; undefined if it has not changed since the process started.
   * The operator writes no time, and does not write an unchanged value again (crate-operator.md, 6.2).
   */
  readonly healthChangedAt: number | undefined
  /** Increases with every change of the view: a result derived from the view is current while this stays the same. */
  readonly revision: number
}

export type DatabaseViews = {
  get(namespace: string, name: string): DatabaseView | undefined
  /** The views of one namespace, by name. A change replaces the array. */
  within(namespace: string): readonly DatabaseView[]
  /** Increases with every change of a view in the namespace. */
  revisionOf(namespace: string): number
  /** All views, in no order. */
  values(): Iterable<DatabaseView>
  /** Calls the listener after each change of a view. Returns the function that unsubscribes. */
  subscribe(listener: (view: DatabaseView) => void): () => void
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }
const blank = {
  object: undefined,
  statefulSets: [],
  pods: [],
  services: [],
  operations: [],
  healthChangedAt: undefined,
  revision: 0,
}

type Room = { views: Map<string, Mutable<DatabaseView>>; sorted: readonly DatabaseView[] | undefined; revision: number }

/**
 * Groups the content of the caches by database, so that a read of one database, or of a thousand, never searches all pods.
 * It follows the caches from its creation on.
 */
export function createDatabaseViews(
  caches: Pick<Caches, 'databases' | 'statefulSets' | 'pods' | 'services' | 'operations'>,
  { clock }: { clock: Clock },
): DatabaseViews {
  const rooms = new Map<string, Room>()
  const listeners = new Set<(view: DatabaseView) => void>()
  let revision = 0

  /** The view that a change is about, created if it does not exist. Increases its revision and that of its room. */
  function touch(namespace: string, name: string): Mutable<DatabaseView> {
    let room = rooms.get(namespace)
    if (!room) {
      room = { views: new Map(), sorted: undefined, revision: 0 }
      rooms.set(namespace, room)
    }
    let view = room.views.get(name)
    if (!view) {
      view = { ...blank, namespace, name }
      room.views.set(name, view)
      room.sorted = undefined
    }
    // One counter for all views: a view that is removed and created again never repeats a revision.
    view.revision = room.revision = ++revision
    return view
  }

  /** Ends a change: removes the view if it is empty, and calls the listeners. */
  function settle(view: DatabaseView): void {
    forgetEmpty(view)
    for (const listener of listeners) listener(view)
  }

  function forgetEmpty({ namespace, name, object, statefulSets, pods, services, operations }: DatabaseView): void {
    const room = rooms.get(namespace)
    if (!room || object || statefulSets.length + pods.length + services.length + operations.length > 0) return
    room.views.delete(name)
    room.sorted = undefined
    if (room.views.size === 0) rooms.delete(namespace)
  }

  follow(caches.databases, ({ metadata }, object) => {
    const view = touch(metadata.namespace ?? '', metadata.name)
    if (object && view.object && healthOf(object) !== healthOf(view.object)) view.healthChangedAt = clock.now()
    if (object?.metadata.uid !== view.object?.metadata.uid) view.healthChangedAt = undefined
    view.object = object
    settle(view)
  })
  for (const part of ['statefulSets', 'pods', 'services'] as const) {
    follow<PodView | StatefulSetView | ServiceView>(caches[part], (changed, present) => {
      if (changed.database === undefined) return
      const view = touch(changed.metadata.namespace ?? '', changed.database)
      const others = (view[part] as readonly PodView[]).filter(({ metadata }) => metadata.name !== changed.metadata.name)
      const all = present ? [...others, present] : others
      view[part] = all.toSorted((a, b) => compare(a.metadata.name, b.metadata.name)) as never
      settle(view)
    })
  }
  follow(caches.operations, (changed, present) => {
    const { target } = changed.spec
    if (target.kind !== 'database') return
    const view = touch(namespaceOf(target.project), target.database)
    const others = view.operations.filter(({ metadata }) => metadata.name !== changed.metadata.name)
    view.operations = (present ? [...others, present] : others).toSorted((a, b) => a.spec.sequence - b.spec.sequence)
    settle(view)
  })

  return {
    get: (namespace, name) => rooms.get(namespace)?.views.get(name),
    within(namespace) {
      const room = rooms.get(namespace)
      if (!room) return []
      room.sorted ??= [...room.views.values()].sort((a, b) => compare(a.name, b.name))
      return room.sorted
    },
    revisionOf: (namespace) => rooms.get(namespace)?.revision ?? 0,
    *values() {
      for (const { views } of rooms.values()) yield* views.values()
    },
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

/** The health that the operator's last ping reported; undefined before the first ping. */
export function healthOf({ status }: KubernetesObject): string | undefined {
  return status?.crateDBStatus?.health
}

type Followed<T> = {
  values(): Iterable<T>
  subscribe(listener: (change: { type: 'added' | 'changed' | 'removed'; object: T }) => void): unknown
}

/** Calls `tell` for every object in the cache, then for every change; `present` is undefined for a removed object. */
export function follow<T>(cache: Followed<T>, tell: (changed: T, present: T | undefined) => void): void {
  for (const object of cache.values()) tell(object, object)
  cache.subscribe(({ type, object }) => tell(object, type === 'removed' ? undefined : object))
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
