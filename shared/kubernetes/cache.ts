import { backoff, type Clock } from '../clock.ts'
import { isProblem } from '../errors.ts'
import type { Part } from '../lifecycle.ts'
import type { Log } from '../log.ts'
import type { Cluster } from './connection.ts'
import { type Kind, type KubernetesObject, keyOf, type ObjectMeta, pathOf } from './objects.ts'

/** What a cache keeps of an object: at least what names and orders it. With its uid, it is told from another of its name. */
export type Cached = { metadata: Pick<ObjectMeta, 'name' | 'namespace' | 'resourceVersion' | 'uid'> }

export type Change<T> =
  | { type: 'added'; key: string; object: T; previous?: undefined }
  | { type: 'changed'; key: string; object: T; previous: T }
  | { type: 'removed'; key: string; object: T; previous?: undefined }

export type CacheConfig<T> = {
  kind: Kind
  /** Only this namespace; all when left out. */
  namespace?: string | undefined
  labelSelector?: string | undefined
  /** By one of the fields that the API server selects this kind by; every kind has `metadata.name`. */
  fieldSelector?: string | undefined
  /** Objects in one page of a list: bounds what is parsed at once. A pod has 10 KB of JSON, and several times that when parsed. */
  pageSize?: number
  /** What is kept of each object; all but `managedFields` when left out. */
  view?: (object: KubernetesObject) => T
}

/** A copy of a collection that follows the cluster by a watch. */
export type Cache<T> = Part & {
  get(key: string): T | undefined
  values(): IterableIterator<T>
  /** Those in one namespace, in no order. */
  in(namespace: string): T[]
  readonly size: number
  /** Goes up with every change of what the cache holds: what was made from it is current while this stays the same. */
  readonly version: number
  /** The resourceVersion up to which the watch has told everything; empty before. Of one cluster, all kinds' can be compared. */
  readonly seen: string
  /** Whether the collection was seen whole, and is followed since. It stays true while a broken watch is mended. */
  readonly synced: boolean
  /** The monotonic moment, in milliseconds, at which the API server last proved that the watch lives; undefined before. */
  readonly heardAt: number | undefined
  /** Why the collection cannot be followed at the moment. */
  readonly trouble: string | undefined
  /**
   * Calls the listener after each change, in order. Returns what ends that. One that was deleted and made anew is told as
   * removed and then added, however little of it was heard, as long as the view keeps the uid.
   */
  subscribe(listener: (change: Change<T>) => void): () => void
  /** Takes the answer of a write into the copy, so that its writer reads it back at once. An older one is ignored. */
  put(object: KubernetesObject): void
}

export type CacheTools = {
  cluster: Cluster
  clock: Clock
  log: Log
  /** Runs one reading of a page after the other for all caches that share it. Each at once when left out. */
  inTurn?: <Result>(work: () => Promise<Result>) => Promise<Result>
}

/**
 * What caches share to read one page at a time. Memory that a process once took for parsing it hardly ever gives back: with a
 * thousand databases, side by side took 60 MiB more for good.
 */
export function createTurns(): NonNullable<CacheTools['inTurn']> {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const mine = last.then(work, work)
    last = mine
    return mine
  }
}

/** Between two attempts to list or watch again. */
// The longest one is short for a watch: the API server is next door, and what is decided here must not be decided on old news.
const pauses = { baseMs: 250, capMs: 5_000 }
/** Objects in one page of a list, where nothing else is said. */
const usualPageSize = 100

type Page = { metadata: { resourceVersion: string; continue?: string }; items?: KubernetesObject[] }

/**
 * A watch cache of one collection. Its `start` resolves when the collection was seen whole.
 *
 * A watch that ends is resumed from where it was; one that the API server has forgotten (410) begins with a new list, and
 * only what differs is told. It never gives up: failures are spread by full jitter and logged once each time they begin.
 */
export function createCache<T extends Cached = KubernetesObject>(
  {
    kind,
    namespace,
    labelSelector,
    fieldSelector,
    pageSize = usualPageSize,
    view = withoutManagedFields as unknown as (object: KubernetesObject) => T,
  }: CacheConfig<T>,
  { cluster, clock, log, inTurn = (work) => work() }: CacheTools,
): Cache<T> {
  const path = pathOf(kind, namespace)
  const objects = new Map<string, T>()
  const byNamespace = new Map<string, Map<string, T>>()
  const listeners = new Set<(change: Change<T>) => void>()
  let seen = '' // the resourceVersion up to which the watch has told everything
  let version = 0
  let synced = false
  let heardAt: number | undefined
  let trouble: string | undefined
  let failures = 0
  let running: Promise<void> | undefined
  const ending = new AbortController()

  function tell(change: Change<T>): void {
    version++
    for (const listener of listeners) listener(change)
  }

  function store(object: T): void {
    const key = keyOf(object.metadata)
    let previous = objects.get(key)
    if (previous && !isNewer(object.metadata.resourceVersion, previous.metadata.resourceVersion)) return
    if (previous && isAnother(previous, object)) {
      remove(key)
      previous = undefined
    }
    objects.set(key, object)
    index(key, object)
    tell(previous ? { type: 'changed', key, object, previous } : { type: 'added', key, object })
  }

  function remove(key: string, resourceVersion?: string): void {
    const object = objects.get(key)
    if (!object || (resourceVersion !== undefined && isNewer(object.metadata.resourceVersion, resourceVersion))) return
    objects.delete(key)
    const namespace = object.metadata.namespace ?? ''
    const there = byNamespace.get(namespace)
    there?.delete(key)
    if (there?.size === 0) byNamespace.delete(namespace)
    tell({ type: 'removed', key, object })
  }

  function index(key: string, object: T): void {
    const namespace = object.metadata.namespace ?? ''
    const there = byNamespace.get(namespace)
    if (there) there.set(key, object)
    else byNamespace.set(namespace, new Map([[key, object]]))
  }

  /** Reads the whole collection, page by page, and tells what differs from what was held. */
  async function list(signal: AbortSignal): Promise<void> {
    const there = new Set<string>()
    let page: Page['metadata'] | undefined
    do {
      const token = page?.continue
      page = await inTurn(() => readPage(token, there, signal))
    } while (page.continue)
    // Only now: a watch from here on tells nothing of the pages that were not read.
    seen = page.resourceVersion
    for (const key of objects.keys()) if (!there.has(key)) remove(key, seen)
    heard()
  }

  async function readPage(token: string | undefined, there: Set<string>, signal: AbortSignal) {
    const { metadata, items = [] } = await cluster.request<Page>({
      method: 'GET',
      path,
      query: { limit: pageSize, continue: token, labelSelector, fieldSelector },
      timeoutMs: 20_000, // a page is small, and others may wait for their turn
      signal,
    })
    for (const item of items) {
      there.add(keyOf(item.metadata))
      // Items of a list do not say their own kind.
      store(view({ ...item, apiVersion: kind.apiVersion, kind: kind.kind }))
    }
    return metadata
  }

  async function follow(signal: AbortSignal): Promise<void> {
    for await (const { type, object } of cluster.watch(path, { resourceVersion: seen, labelSelector, fieldSelector }, signal)) {
      heard()
      seen = object.metadata.resourceVersion ?? seen
      if (type === 'ADDED' || type === 'MODIFIED') store(view(object))
      else if (type === 'DELETED') remove(keyOf(object.metadata), object.metadata.resourceVersion)
    }
  }

  function heard(): void {
    heardAt = clock.monotonic()
    failures = 0
    if (trouble !== undefined) log.info({ kind: kind.kind }, 'watch works again')
    trouble = undefined
  }

  async function run(signal: AbortSignal, whole: () => void): Promise<void> {
    while (!signal.aborted) {
      const began = clock.monotonic()
      try {
        if (seen === '') {
          await list(signal)
          synced = true
          whole()
        }
        await follow(signal)
        // An end in good order is resumed at once, unless the server does nothing but end watches.
        if (clock.monotonic() - began < 1_000) await pause(signal)
      } catch (error) {
        if (signal.aborted) return
        if (isProblem(error, 'gone')) seen = ''
        else if (trouble === undefined) log.warn({ kind: kind.kind, err: error }, 'watch broken, trying again')
        trouble = error instanceof Error ? error.message : String(error)
        await pause(signal)
      }
    }
  }

  function pause(signal: AbortSignal): Promise<void> {
    return clock.sleep(backoff(pauses, failures++, Math.random()), signal).catch(() => {})
  }

  return {
    name: `cache of ${kind.plural}`,
    get: (key) => objects.get(key),
    values: () => objects.values(),
    in: (namespace) => [...(byNamespace.get(namespace)?.values() ?? [])],
    get size() {
      return objects.size
    },
    get version() {
      return version
    },
    get seen() {
      return seen
    },
    get synced() {
      return synced
    },
    get heardAt() {
      return heardAt
    },
    get trouble() {
      return trouble
    },
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    put(object) {
      if (!isNewer(object.metadata.resourceVersion, seen)) return
      store(view(object))
    },
    start: (signal) =>
      new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true })
        running = run(ending.signal, resolve)
      }),
    async stop() {
      ending.abort()
      await running
    },
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

/** Whether an object stands where one of its name was deleted, which nobody may have told yet. */
function isAnother({ metadata: { uid } }: Cached, object: Cached): boolean {
  return uid !== undefined && uid !== object.metadata.uid
}

function withoutManagedFields(object: KubernetesObject): KubernetesObject {
  delete (object.metadata as { managedFields?: unknown }).managedFields
  return object
}
