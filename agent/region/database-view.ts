import type { Clock } from '../../shared/clock.ts'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { namespaceOf } from '../resources/kind.ts'
import type { Operation } from '../resources/operation.ts'
import type { Caches, PodView, ServiceView, StatefulSetView } from './caches.ts'

/** All that the caches hold of one database. The arrays are replaced, never changed, when something in them changes. */
export type DatabaseView = {
  readonly namespace: string
  readonly name: string
  /** The CrateDB; undefined before its creation was applied and after its end. */
  readonly object: KubernetesObject | undefined
  readonly statefulSets: readonly StatefulSetView[]
  readonly pods: readonly PodView[]
  readonly services: readonly ServiceView[]
  /** Those that are kept, by sequence. */
  readonly operations: readonly Operation[]
  /**
   * Unix milliseconds at which this process saw the health change; undefined while it has been the same since the process began.
   * The operator writes neither a time nor an equal value again (crate-operator.md, 6.2).
   */
  readonly healthChangedAt: number | undefined
  /** Goes up with every change of any of them: what was made from the view is current while this stays the same. */
  readonly revision: number
}

export type DatabaseViews = {
  get(namespace: string, name: string): DatabaseView | undefined
  /** Of one namespace, by name. The array is replaced, never changed. */
  within(namespace: string): readonly DatabaseView[]
  /** Goes up with every change of any view in the namespace. */
  revisionOf(namespace: string): number
  /** All of them, in no order. */
  values(): Iterable<DatabaseView>
  /** Calls the listener after each change of a view, when the view has it. Returns what ends that. */
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
 * Gathers by database what the caches hold by kind, so that reading one database or a thousand never searches the pods of all.
 * It follows the caches from its creation on.
 */
export function createDatabaseViews(
  caches: Pick<Caches, 'databases' | 'statefulSets' | 'pods' | 'services' | 'operations'>,
  { clock }: { clock: Clock },
): DatabaseViews {
  const rooms = new Map<string, Room>()
  const listeners = new Set<(view: DatabaseView) => void>()
  let revision = 0

  /** The view that a change is about, made if need be, with its revision and its room's raised. */
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
    // One counter for all, so that a view that ends and begins anew never has a revision that it had before.
    view.revision = room.revision = ++revision
    return view
  }

  /** Ends a change: a view of which nothing is left goes, and those who listen are told. */
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

/** What the operator's last ping said; undefined before the first. */
export function healthOf({ status }: KubernetesObject): string | undefined {
  return status?.crateDBStatus?.health
}

type Followed<T> = {
  values(): Iterable<T>
  subscribe(listener: (change: { type: 'added' | 'changed' | 'removed'; object: T }) => void): unknown
}

/** Tells of everything that is there, then of every change; `present` is undefined for what was removed. */
export function follow<T>(cache: Followed<T>, tell: (changed: T, present: T | undefined) => void): void {
  for (const object of cache.values()) tell(object, object)
  cache.subscribe(({ type, object }) => tell(object, type === 'removed' ? undefined : object))
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
