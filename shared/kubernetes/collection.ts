import { keyOf, type ObjectMeta } from './objects.ts'

/** The minimum that a cache keeps of an object: its name and version. The uid distinguishes it from a later object of that name. */
export type Cached = { metadata: Pick<ObjectMeta, 'name' | 'namespace' | 'resourceVersion' | 'uid'> }

/** One change of a collection. */
export type Change<T> =
  | { type: 'added'; key: string; object: T; previous?: undefined }
  | { type: 'changed'; key: string; object: T; previous: T }
  | { type: 'removed'; key: string; object: T; previous?: undefined }

/** The objects of a cache, by key and by namespace. It never goes back to an older version of an object. */
export class Collection<T extends Cached> {
  readonly #objects = new Map<string, T>()
  readonly #byNamespace = new Map<string, Map<string, T>>()
  readonly #listeners = new Set<(change: Change<T>) => void>()
  #version = 0

  get size(): number {
    return this.#objects.size
  }

  /** Goes up with every change: a result derived from the collection is current while this stays the same. */
  get version(): number {
    return this.#version
  }

  get(key: string): T | undefined {
    return this.#objects.get(key)
  }

  keys(): IterableIterator<string> {
    return this.#objects.keys()
  }

  values(): IterableIterator<T> {
    return this.#objects.values()
  }

  /** The objects in one namespace, in no order. */
  in(namespace: string): T[] {
    return [...(this.#byNamespace.get(namespace)?.values() ?? [])]
  }

  /**
   * Calls the listener after each change, in order. Returns the function that unsubscribes. An object that was deleted and created again
   * is reported as removed and then added, even if the watch missed the deletion, as long as the view keeps the uid.
   */
  subscribe(listener: (change: Change<T>) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Takes an object unless the collection already holds that version or a later one. */
  protected store(object: T): void {
    const key = keyOf(object.metadata)
    const standing = this.#objects.get(key)
    if (standing && !isNewer(object.metadata.resourceVersion, standing.metadata.resourceVersion)) return
    const isAnother = standing !== undefined && isReplacedBy(standing, object)
    if (isAnother) this.remove(key)
    this.#objects.set(key, object)
    const namespace = object.metadata.namespace ?? ''
    this.#byNamespace.set(namespace, (this.#byNamespace.get(namespace) ?? new Map<string, T>()).set(key, object))
    this.#tell(standing && !isAnother ? { type: 'changed', key, object, previous: standing } : { type: 'added', key, object })
  }

  /** @param resourceVersion of the deletion: an object that is newer stays */
  protected remove(key: string, resourceVersion?: string): void {
    const object = this.#objects.get(key)
    if (!object || (resourceVersion !== undefined && isNewer(object.metadata.resourceVersion, resourceVersion))) return
    this.#objects.delete(key)
    const namespace = object.metadata.namespace ?? ''
    const neighbours = this.#byNamespace.get(namespace)
    neighbours?.delete(key)
    if (neighbours?.size === 0) this.#byNamespace.delete(namespace)
    this.#tell({ type: 'removed', key, object })
  }

  #tell(change: Change<T>): void {
    this.#version++
    for (const listener of this.#listeners) listener(change)
  }
}

/**
 * Whether one resourceVersion is later than another of the same collection. They are etcd revisions, compared as numbers;
 * KEP-5504 makes that a promise of the API.
 */
export function isNewer(version: string | undefined, than: string | undefined): boolean {
  if (version === undefined || than === undefined || than === '') return true
  return version.length === than.length ? version > than : version.length > than.length
}

/** Whether the standing object was deleted and created again under its name, perhaps without an event for the deletion. */
function isReplacedBy({ metadata: { uid } }: Cached, object: Cached): boolean {
  return uid !== undefined && uid !== object.metadata.uid
}
