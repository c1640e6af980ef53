import type { Clock } from '../../../shared/clock.ts'
import { Problem } from '../../../shared/errors.ts'
import type { Part } from '../../../shared/lifecycle.ts'
import type { Log } from '../../../shared/log.ts'
import type { Route } from '../route.ts'
import { EventLog, type EventLogConfig, type RetainedEvent } from './log.ts'
import { eventsRoute, type Wanted } from './route.ts'
import { createSubscriber, type Subscriber } from './subscriber.ts'

/** A change of one resource. */
export type ResourceChange = {
  type: 'added' | 'changed' | 'removed'
  project: string | undefined
  id: string
  /** The resource as a read shows it, as JSON on one line; absent if it was removed. */
  show?: () => string | Uint8Array
}

/** The changes of one kind of resource. */
export type EventSource = {
  /** The type of its events: `operation`. */
  kind: string
  /** Calls the listener with every change from now on. Returns the function that unsubscribes. */
  subscribe(listener: (change: ResourceChange) => void): () => void
}

/** The limits of the event streams. */
export type EventsConfig = EventLogConfig & {
  maxSubscribers: number
  /** Of one identity. */
  maxSubscribersEach: number
  /** The maximum number of bytes that wait for one client. */
  queueBytes: number
  heartbeatMs: number
  /** A client that reads nothing for this long is disconnected. */
  stalledMs: number
  /** After this the stream ends, so that its client comes back and authenticates again. */
  longestMs: number
}

export const usualEvents: EventsConfig = {
  maxRetained: 5_000,
  maxRetainedBytes: 4 * 1024 * 1024,
  maxSubscribers: 100,
  maxSubscribersEach: 20,
  queueBytes: 512 * 1024,
  heartbeatMs: 15_000,
  stalledMs: 60_000,
  longestMs: 3_600_000,
}

export type EventsParts = {
  sources: readonly EventSource[]
  /** Called for each event, and for each subscriber that must list again. */
  observe: (what: 'made' | 'relist') => void
  clock: Clock
  log: Log
}

/** The changes of operations and resources, pushed to subscribers. Started after the caches: their first content is no event. */
export type Events = Part & { route: Route; readonly subscribers: number }

/**
 * Server-sent events of everything the API shows.
 *
 * A client that comes back to the same process gets what it missed, if that is still kept; from any other process (a restart, another
 * replica) it gets `relist`. So a client never misses anything in silence, and may see the same state twice.
 */
export function createEvents(config: EventsConfig, parts: EventsParts): Events {
  const { sources, clock } = parts
  const stream = new EventStream(config, parts)
  const ending = new AbortController()
  let unsubscribe: (() => void)[] = []
  let beating = Promise.resolve()

  async function beat(): Promise<void> {
    for (;;) {
      await clock.sleep(config.heartbeatMs, ending.signal).catch(() => {})
      if (ending.signal.aborted) return
      await stream.beat()
    }
  }

  return {
    name: 'events',
    route: eventsRoute(
      sources.map(({ kind }) => kind),
      (wanted, lastEventId, stopping) =>
        stream.open(wanted, lastEventId, AbortSignal.any([ending.signal, ...(stopping ? [stopping] : [])])),
    ),
    get subscribers() {
      return stream.subscribers
    },
    async start() {
      unsubscribe = sources.map((source) => source.subscribe((change) => stream.publish(source.kind, change)))
      beating = beat()
    },
    async stop() {
      for (const end of unsubscribe) end()
      ending.abort()
      await beating
    },
  }
}

/** Distributes events to subscribers. */
class EventStream {
  readonly #config: EventsConfig
  readonly #parts: EventsParts
  readonly #log: EventLog
  readonly #subscribers = new Map<Subscriber, Wanted & { since: number }>()

  constructor(config: EventsConfig, parts: EventsParts) {
    this.#config = config
    this.#parts = parts
    this.#log = new EventLog(config)
  }

  get subscribers(): number {
    return this.#subscribers.size
  }

  publish(kind: string, { type, project, id, show }: ResourceChange): void {
    try {
      const head = JSON.stringify({ type, project, id }).slice(0, -1)
      const shown = show === undefined ? [] : [Buffer.from(',"object":'), Buffer.from(show())]
      this.#deliver(this.#log.append({ type: kind, kind, project, data: [Buffer.from(head), ...shown, Buffer.from('}')] }))
    } catch (error) {
      this.#parts.log.error({ err: error, kind, project, id }, 'event cannot be made, its subscribers must list again')
      // Sent in place of the event: otherwise its subscribers would keep the old state forever.
      this.#parts.observe('relist')
      const data = [Buffer.from(JSON.stringify({ reason: 'An event could not be made.' }))]
      this.#deliver(this.#log.append({ type: 'relist', kind, project, data }))
    }
  }

  /**
   * Opens a stream that ends when `stopping` aborts.
   * @throws Problem `rate-limited` when the identity has its share of streams open, `busy` when all identities together have too many
   */
  open(wanted: Wanted, lastEventId: string | undefined, stopping: AbortSignal): ReadableStream<Uint8Array> {
    const { maxSubscribers, maxSubscribersEach } = this.#config
    const own = [...this.#subscribers.values()].filter(({ identity }) => identity === wanted.identity).length
    if (own >= maxSubscribersEach) {
      const detail = `${wanted.identity} has ${own} event streams open, and may have no more. Close one, or follow several kinds with one stream.`
      throw new Problem('rate-limited', detail, { retryAfterSeconds: 30 })
    }
    if (this.#subscribers.size >= maxSubscribers)
      throw new Problem('busy', `All ${maxSubscribers} event streams are in use.`, { retryAfterSeconds: 30 })
    const { monotonic } = this.#parts.clock
    const stop = () => subscriber.close()
    const subscriber = createSubscriber(this.#config, {
      relist: () => this.#relist('The client did not keep up.'),
      ended: () => {
        this.#subscribers.delete(subscriber)
        stopping.removeEventListener('abort', stop)
      },
      monotonic,
    })
    const frames = lastEventId === undefined ? [] : this.#missed(lastEventId, wanted)
    // Clients also remember an id without data, so they can come back before their first event.
    subscriber.send(Buffer.from(frames.length === 0 ? `retry: 2000\nid: ${this.#log.lastId}\n\n` : 'retry: 2000\n\n'))
    for (const frame of frames) subscriber.send(frame)
    this.#subscribers.set(subscriber, { ...wanted, since: monotonic() })
    stopping.addEventListener('abort', stop, { once: true })
    if (stopping.aborted) stop()
    return subscriber.stream
  }

  /** Sends every client a comment, and closes the streams that stalled, are too old, or whose credential is no longer valid. */
  async beat(): Promise<void> {
    const { stalledMs, longestMs } = this.#config
    const { clock } = this.#parts
    const now = clock.monotonic()
    // With the id, so that a client whose filter excludes all events can still come back with a recent id.
    const frame = Buffer.from(`: ${new Date(clock.now()).toISOString()}\nid: ${this.#log.lastId}\n\n`)
    for (const [subscriber, { since }] of this.#subscribers) {
      const isStalled = subscriber.laggingSince !== undefined && now - subscriber.laggingSince >= stalledMs
      if (isStalled || now - since >= longestMs) subscriber.close()
      else subscriber.send(frame)
    }
    const check = async ([subscriber, { isStillAllowed }]: [Subscriber, Wanted]) => {
      if (!(await isStillAllowed())) subscriber.close()
    }
    await Promise.all([...this.#subscribers].map(check))
  }

  #deliver(event: RetainedEvent): void {
    this.#parts.observe('made')
    for (const [subscriber, wanted] of this.#subscribers) if (wants(wanted, event)) subscriber.send(event.frame)
  }

  /** The frames that a client has missed, or a single one with which it must list again. */
  #missed(lastEventId: string, wanted: Wanted): Uint8Array[] {
    const events = this.#log.after(lastEventId)
    if (typeof events === 'string') return [this.#relist(events)]
    const frames = events.filter((event) => wants(wanted, event)).map(({ frame }) => frame)
    const bytes = frames.reduce((sum, frame) => sum + frame.byteLength, 0)
    return bytes > this.#config.queueBytes / 2 ? [this.#relist('More events were missed than are sent at once.')] : frames
  }

  #relist(reason: string): Uint8Array {
    this.#parts.observe('relist')
    return Buffer.from(`id: ${this.#log.lastId}\nevent: relist\ndata: ${JSON.stringify({ reason })}\n\n`)
  }
}

function wants(wanted: Wanted, { kind, project }: RetainedEvent): boolean {
  return wanted.kinds.has(kind) && wanted.sees(project) && (wanted.project === undefined || wanted.project === project)
}
