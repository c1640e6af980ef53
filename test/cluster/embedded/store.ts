import type { KubeObject } from './object.ts'

/** One object at one revision. Its JSON is made at most once for answers, lists and watches. */
export class Entry {
  readonly object: KubeObject
  readonly revision: number
  #json: string | undefined
  #otherVersions: Map<string, string> | undefined

  constructor(object: KubeObject, revision: number) {
    this.object = object
    this.revision = revision
  }

  /** The object as JSON in the requested version. Versions differ only in their name, as with conversion strategy `None`. */
  json(apiVersion = this.object.apiVersion): string {
    if (apiVersion === this.object.apiVersion) {
      this.#json ??= JSON.stringify(this.object)
      return this.#json
    }
    this.#otherVersions ??= new Map()
    let text = this.#otherVersions.get(apiVersion)
    if (text === undefined) {
      text = JSON.stringify({ ...this.object, apiVersion })
      this.#otherVersions.set(apiVersion, text)
    }
    return text
  }

  get key(): string {
    return storeKey(this.object.metadata.namespace, this.object.metadata.name)
  }
}

/** One change, kept as history for watches and for lists that continue at an older revision. */
export type Change = {
  type: 'ADDED' | 'MODIFIED' | 'DELETED'
  revision: number
  entry: Entry
  previous: Entry | undefined
  bucket: Bucket
}

/** The key that orders objects in a list, as in etcd: `namespace/name`, or `name` for a cluster-scoped object. */
const storeKey = (namespace: string | undefined, name: string): string => (namespace ? `${namespace}/${name}` : name)

/** The objects of one resource, indexed by namespace and name. */
export class Bucket {
  readonly resource: string
  readonly watchers = new Set<(change: Change) => void>()
  /** The revision of the last change in this bucket. */
  revision = 0
  /** Changes up to this revision are forgotten. */
  forgotten = 0
  changes: Change[] = []
  size = 0
  readonly #historyLimit: number
  readonly #namespaces = new Map<string, Map<string, Entry>>()
  /** Sorted names per namespace. Updates do not change them, so only creations and deletions cost a sort. */
  readonly #sortedNames = new Map<string, string[]>()
  #sortedNamespaces: string[] | undefined

  constructor(resource: string, historyLimit: number) {
    this.resource = resource
    this.#historyLimit = historyLimit
  }

  get(namespace: string | undefined, name: string): Entry | undefined {
    return this.#namespaces.get(namespace ?? '')?.get(name)
  }

  /** Whether a namespace has any objects. */
  has(namespace: string): boolean {
    return this.#namespaces.has(namespace)
  }

  /** The entries of one namespace, or of all by default, ordered by key. The caller must not change them. */
  list(namespace?: string): Entry[] {
    if (namespace !== undefined) return this.#sortedEntries(namespace)
    // '/' sorts above '-' and '.', so "a-b/…" comes before "a/…" as in etcd
    this.#sortedNamespaces ??= [...this.#namespaces.keys()].sort((a, b) => (`${a}/` < `${b}/` ? -1 : 1))
    if (this.#sortedNamespaces.length === 1) return this.#sortedEntries(this.#sortedNamespaces[0] ?? '')
    return this.#sortedNamespaces.flatMap((each) => this.#sortedEntries(each))
  }

  /**
   * The entries at an older revision, ordered by key: the current ones with the changes since then undone.
   * The caller makes sure that the revision is not forgotten.
   */
  listAt(revision: number, namespace?: string): Entry[] {
    if (revision >= this.revision) return this.list(namespace)
    const entries = new Map(this.list(namespace).map((entry) => [entry.key, entry]))
    for (let index = this.changes.length - 1; index >= 0; index--) {
      const change = this.changes[index] as Change
      if (change.revision <= revision) break
      if (namespace !== undefined && change.entry.object.metadata.namespace !== namespace) continue
      if (change.previous) entries.set(change.entry.key, change.previous)
      else entries.delete(change.entry.key)
    }
    return [...entries.values()].sort((a, b) => (a.key < b.key ? -1 : 1))
  }

  /** The changes after a revision, oldest first. */
  since(revision: number): Change[] {
    let low = 0
    let high = this.changes.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.changes[middle] as Change).revision <= revision) low = middle + 1
      else high = middle
    }
    return this.changes.slice(low)
  }

  /** Stores a change and notifies the watchers, in order and before the writer gets its answer. */
  record(change: Change): void {
    const { namespace = '', name } = change.entry.object.metadata
    let names = this.#namespaces.get(namespace)
    if (!names) {
      names = new Map()
      this.#namespaces.set(namespace, names)
      this.#sortedNamespaces = undefined
    }
    if (change.type === 'DELETED') {
      names.delete(name)
      this.size--
      if (names.size === 0) {
        this.#namespaces.delete(namespace)
        this.#sortedNamespaces = undefined
      }
      this.#sortedNames.delete(namespace)
    } else {
      names.set(name, change.entry)
      if (change.type === 'ADDED') {
        this.size++
        this.#sortedNames.delete(namespace)
      }
    }
    this.revision = change.revision
    this.changes.push(change)
    // only once half as many again have piled up, because each cut copies the rest
    if (this.changes.length > this.#historyLimit * 1.5) this.#forget(this.changes.length - this.#historyLimit)
    for (const watcher of this.watchers) watcher(change)
  }

  /** Replaces the content of every object, without a new revision and without an event. */
  rewrite(read: (object: KubeObject) => KubeObject): void {
    for (const entries of this.#namespaces.values()) {
      for (const [name, entry] of entries) entries.set(name, new Entry(read(entry.object), entry.revision))
    }
  }

  /** Forgets all history up to a revision. */
  compact(revision: number): void {
    this.changes = this.since(revision)
    this.forgotten = Math.max(this.forgotten, revision)
  }

  #forget(count: number): void {
    this.forgotten = (this.changes[count - 1] as Change).revision
    this.changes = this.changes.slice(count)
  }

  #sortedEntries(namespace: string): Entry[] {
    const entries = this.#namespaces.get(namespace)
    if (!entries) return []
    let names = this.#sortedNames.get(namespace)
    if (!names) {
      names = [...entries.keys()].sort()
      this.#sortedNames.set(namespace, names)
    }
    return names.map((name) => entries.get(name) as Entry)
  }
}

/** All objects, under one revision counter that only grows, as etcd's does. */
export class Store {
  revision = 1
  #compacted = 0
  readonly #historyLimit: number
  readonly buckets = new Map<string, Bucket>()
  /** Called on every change, after the watchers. A listener must defer its own writes. */
  readonly listeners: ((change: Change) => void)[] = []

  /** @param historyLimit changes kept per resource; older ones are forgotten, and clients that still need them get 410 Gone */
  constructor(historyLimit: number) {
    this.#historyLimit = historyLimit
  }

  bucket(resource: string): Bucket {
    let bucket = this.buckets.get(resource)
    if (!bucket) {
      bucket = new Bucket(resource, this.#historyLimit)
      this.buckets.set(resource, bucket)
    }
    return bucket
  }

  /** Stores an object under the next revision. The caller must not change it any more. */
  put(bucket: Bucket, object: KubeObject, previous: Entry | undefined): Entry {
    const revision = ++this.revision
    object.metadata.resourceVersion = String(revision)
    const entry = new Entry(object, revision)
    this.#record({ type: previous ? 'MODIFIED' : 'ADDED', revision, entry, previous, bucket })
    return entry
  }

  /** Removes an object. The change carries `last`, its final state, under the revision of the removal. */
  remove(bucket: Bucket, previous: Entry, last: KubeObject = previous.object): Entry {
    const revision = ++this.revision
    const entry = new Entry({ ...last, metadata: { ...last.metadata, resourceVersion: String(revision) } }, revision)
    this.#record({ type: 'DELETED', revision, entry, previous, bucket })
    return entry
  }

  /** Forgets all history up to now. */
  compact(): void {
    this.#compacted = this.revision
    for (const bucket of this.buckets.values()) bucket.compact(this.revision)
  }

  /** The oldest revision from which a list or watch of this bucket can still start. */
  oldest(bucket: Bucket): number {
    return Math.max(bucket.forgotten, this.#compacted)
  }

  #record(change: Change): void {
    change.bucket.record(change)
    for (const listener of this.listeners) listener(change)
  }
}
