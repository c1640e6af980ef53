import { backoff, type Clock } from './clock.ts'
import type { Client } from './connection.ts'
import { isFailure } from './failures.ts'
import type { Log } from './log.ts'
import { isNewer, type Kind, type KubernetesObject, keyOf, pathOf } from './objects.ts'

/** What happened to an object of a collection. */
export type Change =
  | { type: 'added'; key: string; object: KubernetesObject }
  | { type: 'changed'; key: string; object: KubernetesObject; previous: KubernetesObject }
  | { type: 'removed'; key: string; object: KubernetesObject }

/** Between two attempts to list or to watch again. */
const pauses = { baseMs: 50, capMs: 2_000 }

/**
 * A copy of all objects of a kind, kept current by a watch, as an informer of client-go keeps one.
 *
 * A watch that ends is resumed from the last version seen. If the API server no longer knows that version (410), the collection is listed
 * again, and only the differences are reported. Objects come without `managedFields`.
 */
export class Collection {
  readonly #kind: Kind
  readonly #tools: { client: Client; clock: Clock; log: Log }
  readonly #objects = new Map<string, KubernetesObject>()
  readonly #listeners = new Set<(change: Change) => void>()
  readonly #ending = new AbortController()
  #running: Promise<void> | undefined
  /** The resourceVersion up to which the watch has reported everything; empty when the collection must be listed. */
  #seen = ''
  #failures = 0

  constructor(kind: Kind, tools: { client: Client; clock: Clock; log: Log }) {
    this.#kind = kind
    this.#tools = tools
  }

  /** Resolves once every object is known. */
  start(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#running = this.#run(resolve)
    return Promise.race([promise, this.#running])
  }

  async stop(): Promise<void> {
    this.#ending.abort()
    await this.#running
  }

  /** @param key `namespace/name`, or `name` for a cluster-scoped object */
  get(key: string): KubernetesObject | undefined {
    return this.#objects.get(key)
  }

  get size(): number {
    return this.#objects.size
  }

  values(): IterableIterator<KubernetesObject> {
    return this.#objects.values()
  }

  /**
   * Calls the listener after each change. Returns a function that unsubscribes. An object that was deleted and created again is reported as
   * removed and then as added, even if the watch missed the deletion.
   */
  subscribe(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Takes the answer to a write into the copy at once, without waiting for the watch. An older version is ignored. */
  put(object: KubernetesObject): void {
    if (isNewer(object.metadata.resourceVersion, this.#seen)) this.#store(object)
  }

  async #run(listed: () => void): Promise<void> {
    const { clock, log } = this.#tools
    const { signal } = this.#ending
    while (!signal.aborted) {
      const began = clock.monotonic()
      try {
        if (this.#seen === '') await this.#list(signal)
        listed()
        await this.#follow(signal)
        if (clock.monotonic() - began > 1_000) continue
      } catch (error) {
        if (signal.aborted) return
        if (isFailure(error, 'gone')) this.#seen = ''
        else log.debug({ kind: this.#kind.kind, err: error }, 'watch broken, trying again')
      }
      await clock.sleep(backoff(pauses, this.#failures++), signal).catch(() => {})
    }
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { kind, apiVersion } = this.#kind
    type List = { metadata: { resourceVersion: string }; items: KubernetesObject[] }
    const { metadata, items } = await this.#tools.client.request<List>({ method: 'GET', path: pathOf(this.#kind), signal })
    // The items of a list do not carry their kind.
    for (const item of items) this.#store({ ...item, apiVersion, kind })
    const present = new Set(items.map((item) => keyOf(item.metadata)))
    for (const key of this.#objects.keys()) if (!present.has(key)) this.#remove(key, metadata.resourceVersion)
    this.#seen = metadata.resourceVersion
    this.#failures = 0
  }

  async #follow(signal: AbortSignal): Promise<void> {
    for await (const { type, object } of this.#tools.client.watch(pathOf(this.#kind), { resourceVersion: this.#seen }, signal)) {
      this.#failures = 0
      const { resourceVersion = this.#seen } = object.metadata
      this.#seen = resourceVersion
      if (type === 'DELETED') this.#remove(keyOf(object.metadata), resourceVersion)
      else if (type !== 'BOOKMARK') this.#store(object)
    }
  }

  #store(object: KubernetesObject): void {
    delete (object.metadata as { managedFields?: unknown }).managedFields
    const key = keyOf(object.metadata)
    const previous = this.#objects.get(key)
    if (previous && !isNewer(object.metadata.resourceVersion, previous.metadata.resourceVersion)) return
    const isSame = previous !== undefined && previous.metadata.uid === object.metadata.uid
    if (previous && !isSame) this.#remove(key, object.metadata.resourceVersion)
    this.#objects.set(key, object)
    this.#tell(isSame ? { type: 'changed', key, object, previous } : { type: 'added', key, object })
  }

  /** @param resourceVersion of the removal; a newer object stays */
  #remove(key: string, resourceVersion: string | undefined): void {
    const object = this.#objects.get(key)
    if (!object || isNewer(object.metadata.resourceVersion, resourceVersion)) return
    this.#objects.delete(key)
    this.#tell({ type: 'removed', key, object })
  }

  #tell(change: Change): void {
    for (const listener of this.#listeners) listener(change)
  }
}
