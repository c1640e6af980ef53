import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import type { Operation } from '../resources/operation.ts'
import type { Caches } from './caches.ts'
import { follow } from './database-view.ts'

/** Everything in the caches about one project. */
export type ProjectView = {
  readonly id: string
  readonly object: KubernetesObject | undefined
  /** The operations on the project itself that are kept, by sequence. */
  readonly operations: readonly Operation[]
  /** Increases with every change of the view. */
  readonly revision: number
}

export type ProjectViews = {
  get(id: string): ProjectView | undefined
  /** All views, by id. A change replaces the array. */
  all(): readonly ProjectView[]
  /** Calls the listener after each change of a view. Returns the function that unsubscribes. */
  subscribe(listener: (view: ProjectView) => void): () => void
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** Groups the content of the caches by project. It follows the caches from its creation on. */
export function createProjectViews(caches: Pick<Caches, 'projects' | 'operations'>): ProjectViews {
  const views = new Map<string, Mutable<ProjectView>>()
  const listeners = new Set<(view: ProjectView) => void>()
  let sorted: readonly ProjectView[] | undefined
  let revision = 0

  function change(id: string, edit: (view: Mutable<ProjectView>) => void): void {
    let view = views.get(id)
    if (!view) {
      view = { id, object: undefined, operations: [], revision: 0 }
      views.set(id, view)
      sorted = undefined
    }
    edit(view)
    view.revision = ++revision
    if (!view.object && view.operations.length === 0) {
      views.delete(id)
      sorted = undefined
    }
    for (const listener of listeners) listener(view)
  }

  follow(caches.projects, ({ metadata }, object) => {
    change(metadata.name, (view) => {
      view.object = object
    })
  })
  follow(caches.operations, ({ metadata, spec }, present) => {
    if (spec.target.kind !== 'project') return
    change(spec.target.project, (view) => {
      const others = view.operations.filter((operation) => operation.metadata.name !== metadata.name)
      view.operations = (present ? [...others, present] : others).toSorted((a, b) => a.spec.sequence - b.spec.sequence)
    })
  })

  return {
    get: (id) => views.get(id),
    all() {
      sorted ??= [...views.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
      return sorted
    },
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
