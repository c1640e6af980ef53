import { backoff, type Clock } from '../clock.ts'
import { isProblem, Problem } from '../errors.ts'
import type { Part } from '../lifecycle.ts'
import type { Limiter } from '../limit-concurrency.ts'
import type { Log } from '../log.ts'
import { type Cached, Collection, isNewer } from './collection.ts'
import type { Cluster } from './connection.ts'
import { type Kind, type KubernetesObject, keyOf, pathOf } from './objects.ts'
import { itemsOf } from './read.ts'

export { type Cached, type Change, isNewer } from './collection.ts'

export type CacheConfig<T> = {
  kind: Kind
  /** Only this namespace; all when left out. */
  namespace?: string | undefined
  labelSelector?: string | undefined
  /** By one of the fields that the API server selects this kind by; every kind has `metadata.name`. */
  fieldSelector?: string | undefined
  /** Objects in one page of a list: bounds how much is parsed at once. A pod has 10 KB of JSON, and several times that when parsed. */
  pageSize?: number
  /** Which fields of each object are kept; all but `managedFields` when left out. */
  view?: (object: KubernetesObject) => T
}

export type CacheTools = {
  cluster: Cluster
  clock: Clock
  log: Log
  /**
   * Shared by caches, so that they read their pages one at a time; without it they read in parallel. A process rarely returns the memory
   * that it used for parsing: with a thousand databases, parallel reads took 60 MiB more, permanently.
   */
  limitReads?: Limiter
}

/** Between two attempts to list or watch. The cap is low: the API server is near, and decisions must not rest on stale data. */
const pauses = { baseMs: 250, capMs: 5_000 }
const defaultPageSize = 100

type Page = { metadata: { resourceVersion: string; continue?: string }; items?: KubernetesObject[] | null }

/**
 * A copy of a collection that follows the cluster by a watch. Its `start` resolves when the collection has been read whole.
 *
 * A watch that ends is resumed where it stopped. If the API server no longer has that version (410), the collection is listed again and
 * only the differences are reported. The cache never gives up: attempts are spread by full jitter, and trouble is logged once.
 */
export class Cache<T extends Cached = KubernetesObject> extends Collection<T> implements Part {
  readonly name: string
  /** The resourceVersion that the watch has reached; empty before. Those of all kinds in one cluster can be compared. */
  seen = ''
  /** Whether the collection has been read whole, and is followed since. It stays true while a broken watch is restored. */
  synced = false
  /** The monotonic moment, in milliseconds, at which the API server last proved that the watch lives; undefined before. */
  heardAt: number | undefined
  /** Why the collection cannot be followed at the moment; a Problem where it is known what to do. */
  fault: unknown
  readonly #config: CacheConfig<T>
  readonly #tools: CacheTools
  readonly #path: string
  readonly #ending = new AbortController()
  readonly #troubled = new Set<() => void>()
  #failures = 0
  #running: Promise<void> | undefined

  constructor(config: CacheConfig<T>, tools: CacheTools) {
    super()
    this.name = `cache of ${config.kind.plural}`
    this.#config = config
    this.#tools = tools
    this.#path = pathOf(config.kind, config.namespace)
  }

  start(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      this.#running = this.#run(this.#ending.signal, resolve)
    })
  }

  async stop(_deadline?: number): Promise<void> {
    this.#ending.abort()
    await this.#running
  }

  /** Takes the answer of a write into the copy, so that its writer reads it back at once. An older version is ignored. */
  put(object: KubernetesObject): void {
    if (isNewer(object.metadata.resourceVersion, this.seen)) this.#take(object)
  }

  /** The fault in words. */
  get trouble(): string | undefined {
    return this.fault instanceof Error ? this.fault.message : this.fault === undefined ? undefined : String(this.fault)
  }

  /** Calls the listener when trouble begins and when it ends. Returns the function that unsubscribes. */
  onTrouble(listener: () => void): () => void {
    this.#troubled.add(listener)
    return () => this.#troubled.delete(listener)
  }

  /** Until the signal aborts. Calls `whole` each time the collection has been listed. */
  async #run(signal: AbortSignal, whole: () => void): Promise<void> {
    const { clock } = this.#tools
    while (!signal.aborted) {
      const began = clock.monotonic()
      try {
        if (this.seen === '') {
          await this.#list(signal)
          whole()
        }
        await this.#watch(signal)
        // A watch that ended in order is resumed at once, unless the server does nothing but end watches.
        if (clock.monotonic() - began < 1_000) await this.#pause(signal)
      } catch (error) {
        if (signal.aborted) return
        this.#note(error)
        await this.#pause(signal)
      }
    }
  }

  /** Reads the whole collection, page by page. */
  async #list(signal: AbortSignal): Promise<void> {
    const { limitReads = (work) => work() } = this.#tools
    const present = new Set<string>()
    let page: Page['metadata'] | undefined
    do {
      const token = page?.continue
      page = await limitReads(() => this.#readPage(token, present, signal))
    } while (page.continue)
    // Only now: a watch that starts here reports nothing of pages that were not read.
    this.seen = page.resourceVersion
    for (const key of this.keys()) if (!present.has(key)) this.remove(key, this.seen)
    // Before the end of a trouble is told: whoever hears of it may look.
    this.synced = true
    this.#heard()
  }

  async #readPage(token: string | undefined, present: Set<string>, signal: AbortSignal): Promise<Page['metadata']> {
    const { kind, labelSelector, fieldSelector, pageSize = defaultPageSize } = this.#config
    const page = await this.#tools.cluster.request<Page>({
      method: 'GET',
      path: this.#path,
      query: { limit: pageSize, continue: token, labelSelector, fieldSelector },
      timeoutMs: 20_000, // a page is small, and other caches may wait for it
      signal,
    })
    for (const item of itemsOf(page, kind)) {
      present.add(keyOf(item.metadata))
      this.#take(item)
    }
    return page.metadata
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { labelSelector, fieldSelector } = this.#config
    const query = { resourceVersion: this.seen, labelSelector, fieldSelector }
    for await (const { type, object } of this.#tools.cluster.watch(this.#path, query, signal)) {
      this.#heard()
      this.seen = object.metadata.resourceVersion ?? this.seen
      if (type === 'ADDED' || type === 'MODIFIED') this.#take(object)
      else if (type === 'DELETED') this.remove(keyOf(object.metadata), object.metadata.resourceVersion)
    }
  }

  #take(object: KubernetesObject): void {
    const { view = withoutManagedFields as unknown as (object: KubernetesObject) => T } = this.#config
    this.store(view(object))
  }

  #heard(): void {
    this.heardAt = this.#tools.clock.monotonic()
    this.#failures = 0
    if (this.fault === undefined) return
    this.#tools.log.info({ kind: this.#config.kind.kind }, 'watch works again')
    this.fault = undefined
    for (const listener of this.#troubled) listener()
  }

  #note(error: unknown): void {
    const { kind } = this.#config
    if (isProblem(error, 'gone')) this.seen = ''
    const isNew = this.fault === undefined
    this.fault = isProblem(error, 'not-served') ? notServed(kind, error) : error
    if (!isNew) return
    const action = isProblem(this.fault) ? { action: this.fault.action } : {}
    if (!isProblem(error, 'gone')) this.#tools.log.warn({ kind: kind.kind, err: this.fault, ...action }, 'watch broken, trying again')
    for (const listener of this.#troubled) listener()
  }

  #pause(signal: AbortSignal): Promise<void> {
    return this.#tools.clock.sleep(backoff(pauses, this.#failures++, Math.random()), signal).catch(() => {})
  }
}

/** A new cache of one collection. Nothing is sent before its start. */
export function createCache<T extends Cached = KubernetesObject>(config: CacheConfig<T>, tools: CacheTools): Cache<T> {
  return new Cache<T>(config, tools)
}

function withoutManagedFields(object: KubernetesObject): KubernetesObject {
  delete (object.metadata as { managedFields?: unknown }).managedFields
  return object
}

/** Names the CRD; the kinds of Kubernetes itself have none. */
function notServed({ apiVersion, plural }: Kind, error: Problem): Problem {
  const [group, version] = apiVersion.split('/')
  if (version === undefined || !group?.includes('.') || group.endsWith('.k8s.io')) return error
  return new Problem('not-served', `The CRD ${plural}.${group} is missing (${error.detail}).`, { cause: error })
}
