import { backoff, type Clock } from '../../shared/clock.ts'
import { Problem } from '../../shared/errors.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import type { Leadership } from '../../shared/kubernetes/lease.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'

/** The tools of a part that changes the cluster while the Lease is held. */
export type LeaderTools = { cluster: Cluster; lease: Leadership; clock: Clock; log: Log }

export type QueueConfig = {
  name: string
  /** Keys handled at once. */
  parallelism: number
  /** Pause after a key's first failure, and the longest one. */
  retry: { baseMs: number; capMs: number }
  /**
   * Does the work for one key. Returns after how many milliseconds to handle it again; undefined if an event will add it. An error is logged,
   * and the key is retried with full jitter, later each time. Without the Lease the key is dropped: the next leader finds the work itself.
   */
  handle: (key: string) => Promise<number | undefined>
  /** Subscribes to all sources of work; returns the functions that unsubscribe. */
  subscribe: () => (() => void)[]
  /** Adds every key. Called at the start, and whenever the Lease is acquired. */
  addAll: () => void
}

/**
 * The work queue of a part that acts only while the Lease is held. A key is never handled twice at the same time. However often it is added
 * while it waits or is handled, it is handled once more afterwards. The work is determined from the state of the cluster, not from the queue.
 */
export class Queue implements Part {
  readonly name: string
  readonly #config: QueueConfig
  readonly #tools: Omit<LeaderTools, 'cluster'>
  /** In order of arrival. */
  readonly #ready = new Set<string>()
  readonly #delayed = new Map<string, { due: number; cancel: AbortController }>()
  readonly #handled = new Map<string, Promise<void>>()
  /** Added while they were handled. */
  readonly #again = new Set<string>()
  readonly #failures = new Map<string, number>()
  #subscriptions: (() => void)[] = []
  #state: 'new' | 'started' | 'stopped' = 'new'

  constructor(config: QueueConfig, tools: Omit<LeaderTools, 'cluster'>) {
    this.name = config.name
    this.#config = config
    this.#tools = tools
  }

  /** The number of keys that wait for a free worker, without delayed ones. */
  get depth(): number {
    return this.#ready.size
  }

  /** Whether the key waits for a free worker. */
  waits(key: string): boolean {
    return this.#ready.has(key)
  }

  /** Whether the Lease is held and the queue has not been stopped. */
  acts(): boolean {
    return this.#tools.lease.isLeader() && this.#state !== 'stopped'
  }

  /** Called before each write, so that a stop or the loss of the Lease takes effect between two writes. @throws Problem `not-ready` */
  mustAct = (): void => {
    if (!this.acts()) throw new Problem('not-ready', 'The Lease is no longer held.')
  }

  /** Lets the key be handled, after `delayMs` milliseconds at the earliest. Of two times, the earlier one counts. */
  add(key: string, delayMs = 0): void {
    if (this.#state === 'stopped') return
    if (delayMs > 0) this.#addLater(key, delayMs)
    else this.#addNow(key)
  }

  #addNow(key: string): void {
    this.#delayed.get(key)?.cancel.abort()
    this.#delayed.delete(key)
    if (this.#handled.has(key)) this.#again.add(key)
    else this.#ready.add(key)
    this.#work()
  }

  #addLater(key: string, delayMs: number): void {
    const { clock } = this.#tools
    const due = clock.monotonic() + delayMs
    const present = this.#delayed.get(key)
    if (present && present.due <= due) return
    present?.cancel.abort()
    const cancel = new AbortController()
    this.#delayed.set(key, { due, cancel })
    clock.sleep(delayMs, cancel.signal).then(
      () => this.add(key),
      () => {},
    )
  }

  #work(): void {
    if (this.#state !== 'started') return
    for (const key of this.#ready) {
      if (this.#handled.size >= this.#config.parallelism) return
      this.#ready.delete(key)
      this.#handled.set(key, this.#handle(key))
    }
  }

  async #handle(key: string): Promise<void> {
    const { retry, handle } = this.#config
    let delay: number | undefined
    try {
      // Always awaited: the key must be in `#handled` before it is removed.
      delay = await (this.acts() ? handle(key) : undefined)
      this.#failures.delete(key)
    } catch (error) {
      if (this.acts()) {
        this.#tools.log.warn({ queue: this.name, key, err: error }, 'handling failed, trying again')
        const attempt = this.#failures.get(key) ?? 0
        this.#failures.set(key, attempt + 1)
        delay = Math.max(1, backoff(retry, attempt, Math.random()))
      }
    }
    this.#handled.delete(key)
    if (this.#again.delete(key)) this.add(key)
    else if (delay !== undefined) this.add(key, delay)
    this.#work()
  }

  async start(): Promise<void> {
    const { subscribe, addAll } = this.#config
    this.#subscriptions = [...subscribe(), this.#tools.lease.onChange((leads) => leads && addAll())]
    this.#state = 'started'
    this.#work()
    addAll()
  }

  /** Resolves when the keys that are being handled are done. */
  async stop(): Promise<void> {
    for (const unsubscribe of this.#subscriptions) unsubscribe()
    this.#state = 'stopped'
    this.#ready.clear()
    for (const { cancel } of this.#delayed.values()) cancel.abort()
    await Promise.all(this.#handled.values())
  }
}
