import { createHash } from 'node:crypto'
import type { Clock } from '../clock.ts'
import type { Part } from '../lifecycle.ts'
import type { Log } from '../log.ts'
import { applyObject } from './apply.ts'
import type { Cluster } from './connection.ts'
import { eventNamespace, eventObject, type ObjectWithEvents } from './events.ts'
import { kinds } from './objects.ts'
import { listObjects } from './read.ts'

/** Something that happened to an object. */
export type Occasion = {
  about: ObjectWithEvents
  type: 'Normal' | 'Warning'
  /** One CamelCase word for programs. */
  reason: string
  message: string
  /**
   * When it happened, for something that happens once: whoever records it again changes nothing. Without it the Event counts how often it was
   * recorded. RFC 3339.
   */
  at?: string | undefined
}

export type EventRecorder = Part & {
  /** Records an occasion, soon and at best: it returns at once, never throws, and an Event that cannot be written is dropped. */
  record(occasion: Occasion): void
  /**
   * Records these whenever nothing else waits, and asks for each only then: however many they are, none is dropped, and what happens meanwhile
   * comes first. They replace the rest of an earlier call.
   */
  recordWhenIdle(occasions: Iterable<Occasion>): void
}

/** How often something happened, and when first, in Unix milliseconds. */
type Counted = { count: number; first: number }

/** Occasions that wait to be written; further ones are dropped. */
const mostWaiting = 500
/** Events and objects that are remembered. */
const mostRemembered = 4_096
/** As client-go's recorder: after this many different messages of one reason about one object within the window, they share one Event. */
const similar = { most: 10, windowMs: 10 * 60_000 }
/** As client-go's recorder: Events about one object come in a burst, and then one every so many milliseconds. */
const bucket = { burst: 25, refillMs: 5 * 60_000 }

/**
 * Records Events as client-go's recorder does: equal ones are counted, similar ones share one, and the rate is bounded for each object. The
 * name of an Event is derived from its content, so that the next leader goes on with the same Events and their counts.
 *
 * @param fieldManager also the component that `kubectl describe` shows
 */
export function createEventRecorder(
  { fieldManager }: { fieldManager: string },
  { cluster, clock, log: parentLog }: { cluster: Cluster; clock: Clock; log: Log },
): EventRecorder {
  const log = parentLog.child({ part: 'events' })
  const ending = new AbortController()
  const queue = new Queue(ending.signal, log)
  const known = new Map<string, Counted>()
  const messages = new Map<string, { since: number; seen: Set<string> }>()
  const tokens = new Map<string, { left: number; at: number }>()
  let running: Promise<void> | undefined
  let isFailing = false

  /** Takes one of the tokens of an object. */
  function mayWrite(key: string): boolean {
    const now = clock.monotonic()
    const before = tokens.get(key) ?? { left: bucket.burst, at: now }
    const left = Math.min(bucket.burst, before.left + (now - before.at) / bucket.refillMs)
    remember(tokens, key, { left: left >= 1 ? left - 1 : left, at: now })
    return left >= 1
  }

  /** The message, or a shared one if too many different ones came before. */
  function messageOf({ reason, message }: Occasion, key: string): string {
    const now = clock.monotonic()
    const place = `${key} ${reason}`
    const before = messages.get(place)
    const entry = before && now - before.since < similar.windowMs ? before : { since: now, seen: new Set<string>() }
    remember(messages, place, entry)
    if (entry.seen.has(message) || entry.seen.size < similar.most) {
      entry.seen.add(message)
      return message
    }
    return `(combined from similar events): ${message}`
  }

  /** What another process has counted, such as the last leader, or this one before it forgot. */
  async function standing(namespace: string, name: string): Promise<Counted | undefined> {
    const query = { fieldSelector: `metadata.name=${name}` }
    const [event] = await listObjects(cluster, kinds.Event, { namespace, query, signal: ending.signal })
    const first = Date.parse(event?.firstTimestamp)
    return Number.isInteger(event?.count) && !Number.isNaN(first) ? { count: event?.count, first } : undefined
  }

  async function write(occasion: Occasion): Promise<void> {
    const { about, type, reason, at } = occasion
    const { name, uid = '' } = about.metadata
    const key = [about.kind, eventNamespace(about), name, uid].join(' ')
    const message = messageOf(occasion, key)
    const isCombined = message !== occasion.message
    const identity = JSON.stringify([key, type, reason, isCombined ? 'combined' : message, isCombined ? undefined : at])
    const eventName = `${name}.${createHash('sha256').update(identity).digest('hex').slice(0, 16)}`
    const isOnce = at !== undefined && !isCombined
    if (isOnce && known.has(eventName)) return
    if (!mayWrite(key)) return
    const before = isOnce ? undefined : (known.get(eventName) ?? (await standing(eventNamespace(about), eventName)))
    const now = isOnce ? Date.parse(at) : clock.now()
    const counted = { count: (before?.count ?? 0) + 1, first: before?.first ?? now }
    const object = eventObject({ name: eventName, about, type, reason, message, component: fieldManager, now, ...counted })
    await applyObject(cluster, object, { fieldManager, force: true, signal: ending.signal })
    remember(known, eventName, counted)
  }

  async function run(): Promise<void> {
    for (let next = await queue.next(); next !== undefined; next = await queue.next()) {
      try {
        await write(next)
        isFailing = false
      } catch (error) {
        if (!isFailing && !ending.signal.aborted) log.info({ err: error }, 'events cannot be written at the moment')
        isFailing = true
      }
    }
  }

  return {
    name: 'event recorder',
    record: (occasion) => queue.add(occasion),
    recordWhenIdle: (occasions) => queue.setIdle(occasions),
    async start() {
      running = run()
    },
    async stop() {
      ending.abort()
      await running
    },
  }
}

/** Occasions that wait to be written: what happens now, and the rest. */
class Queue {
  readonly #now: Occasion[] = []
  #whenIdle: Iterator<Occasion> = [].values()
  #isDropping = false
  #wake = () => {}
  readonly #signal: AbortSignal
  readonly #log: Log

  constructor(signal: AbortSignal, log: Log) {
    this.#signal = signal
    this.#log = log
    // Once, not at each wait: listeners would gather until the end.
    signal.addEventListener('abort', () => this.#wake(), { once: true })
  }

  /** Drops it if too many wait. */
  add(occasion: Occasion): void {
    if (this.#signal.aborted) return
    if (this.#now.length < mostWaiting) {
      this.#now.push(occasion)
      this.#wake()
      return
    }
    // Once until all are written, for the number goes up and down.
    if (!this.#isDropping) this.#log.info({ reason: occasion.reason }, 'events are dropped, too many wait to be written')
    this.#isDropping = true
  }

  setIdle(occasions: Iterable<Occasion>): void {
    this.#whenIdle = occasions[Symbol.iterator]()
    this.#wake()
  }

  /** The next one, as soon as there is one; undefined when the signal has aborted. */
  async next(): Promise<Occasion | undefined> {
    while (!this.#signal.aborted) {
      if (this.#now.length === 0) this.#isDropping = false
      const next = this.#now.shift() ?? this.#whenIdle.next().value
      if (next !== undefined) return next
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return undefined
  }
}

/** Sets an entry as the newest, and forgets the oldest ones. */
function remember<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key)
  map.set(key, value)
  for (const old of map.keys()) {
    if (map.size <= mostRemembered) return
    map.delete(old)
  }
}
