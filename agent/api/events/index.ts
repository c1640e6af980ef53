import { randomBytes } from 'node:crypto'
import * as z from 'zod'
import type { Clock } from '../../../shared/clock.ts'
import { Problem } from '../../../shared/errors.ts'
import type { Cache, Cached } from '../../../shared/kubernetes/cache.ts'
import type { Part } from '../../../shared/lifecycle.ts'
import type { Log } from '../../../shared/log.ts'
import type { ApiContext } from '../http.ts'
import { type Route, route } from '../route.ts'
import { createRetained, type EventKind, eventKinds } from './retained.ts'
import { createSubscriber, type Subscriber } from './subscriber.ts'

/** How much is kept, and for whom. */
export type EventsConfig = {
  /** Events kept for those who come back. */
  maxRetained: number
  maxRetainedBytes: number
  maxSubscribers: number
  /** What waits for one client at most. */
  queueBytes: number
  heartbeatMs: number
  /** A client that takes nothing for this long is let go. */
  stalledMs: number
  /** After this the stream ends, so that its client comes back and says again who it is. */
  longestMs: number
}

export const usualEvents: EventsConfig = {
  maxRetained: 5_000,
  maxRetainedBytes: 4 * 1024 * 1024,
  maxSubscribers: 100,
  queueBytes: 512 * 1024,
  heartbeatMs: 15_000,
  stalledMs: 60_000,
  longestMs: 3_600_000,
}

/** A collection whose changes are events. */
export type EventSource<T extends Cached = Cached> = {
  kind: EventKind
  cache: Pick<Cache<T>, 'subscribe'>
  /** What the API calls it; undefined for an object that is none of the API's, which makes no event. */
  refOf: (object: T) => { project: string; id: string } | undefined
  /** What the API shows of it, as JSON. */
  render: (object: T) => string | Uint8Array
}

export type EventsParts = {
  // biome-ignore lint/suspicious/noExplicitAny: each source knows the type of its own objects
  sources: readonly EventSource<any>[]
  /** Told of each event, and of each subscriber that must list again. */
  observe: (what: 'made' | 'relist') => void
  clock: Clock
  log: Log
}

/** The changes of operations and resources, pushed to whoever listens. Started after the caches: what is in them then is no event. */
export type Events = Part & {
  route: Route
  readonly subscribers: number
  /** An event that no cache tells of: what is shown of an object changed because something around it did. */
  publish(kind: EventKind, type: ChangeType, ref: { project: string; id: string }, representation?: string | Uint8Array): void
}

export type ChangeType = 'added' | 'changed' | 'removed'

/**
 * Server-sent events of everything the API shows.
 *
 * An id is made of a name for this process and a number without gaps. A client that comes back to the same process gets what it
 * missed, if it is still kept; to any other (a restart, another replica) it is told to list again, as those have seen events in
 * another order. So a client never misses anything in silence, and may see the same state twice.
 */
export function createEvents(config: EventsConfig, { sources, observe, clock, log }: EventsParts): Events {
  const process = randomBytes(6).toString('base64url').replaceAll(/[-_]/g, 'x')
  const retained = createRetained({ maxCount: config.maxRetained, maxBytes: config.maxRetainedBytes }, 1)
  const subscribers = new Map<Subscriber, Wanted & { since: number }>()
  const ending = new AbortController()
  const subscriptions: (() => void)[] = []
  let sequence = 0
  let beating = Promise.resolve()

  const id = () => `${process}-${sequence}`

  function publish(kind: EventKind, type: ChangeType, { project, id: name }: Ref, representation?: string | Uint8Array): void {
    sequence++
    const ref = JSON.stringify({ type, project, id: name }).slice(0, -1)
    const head = `id: ${id()}\nevent: ${kind}\ndata: ${ref}`
    if (representation === undefined) deliver(kind, project, Buffer.from(`${head}}\n\n`))
    else if (typeof representation === 'string') deliver(kind, project, Buffer.from(`${head},"object":${representation}}\n\n`))
    // JSON on one line, in a Buffer that the reads share.
    else deliver(kind, project, Buffer.concat([Buffer.from(`${head},"object":`), representation, Buffer.from('}\n\n')]))
  }

  function deliver(kind: EventKind, project: string, frame: Buffer): void {
    retained.add({ sequence, kind, project, frame })
    observe('made')
    for (const [subscriber, wanted] of subscribers) if (wants(wanted, kind, project)) subscriber.send(frame)
  }

  function onChange<T extends Cached>(source: EventSource<T>, type: ChangeType, object: T): void {
    const ref = source.refOf(object)
    if (ref === undefined) return
    try {
      publish(source.kind, type, ref, type === 'removed' ? undefined : source.render(object))
    } catch (error) {
      log.error({ err: error, kind: source.kind, ...ref }, 'event cannot be made, its subscribers must list again')
      // In its place, or they would believe in the old state for ever.
      sequence++
      deliver(source.kind, ref.project, relist('An event could not be made.'))
    }
  }

  function relist(reason: string): Buffer {
    observe('relist')
    return Buffer.from(`id: ${id()}\nevent: relist\ndata: ${JSON.stringify({ reason })}\n\n`)
  }

  /** What a client that comes back has missed, or that it must list again. */
  function missed(lastEventId: string, wanted: Wanted): Buffer[] {
    const [, of, at] = /^([A-Za-z0-9]{8})-(\d{1,15})$/.exec(lastEventId) ?? []
    if (of !== process || Number(at) > sequence) return [relist('This process does not know the event with that id.')]
    const events = retained.after(Number(at))
    if (events === undefined) return [relist('The events after that id are no longer kept.')]
    const frames = events.filter(({ kind, project }) => wants(wanted, kind, project)).map(({ frame }) => frame)
    const bytes = frames.reduce((sum, frame) => sum + frame.byteLength, 0)
    return bytes > config.queueBytes / 2 ? [relist('More was missed than is sent at once.')] : frames
  }

  function subscribe(wanted: Wanted, lastEventId: string | undefined, stopping: AbortSignal | undefined): ReadableStream<Uint8Array> {
    if (subscribers.size >= config.maxSubscribers)
      throw new Problem('busy', `${config.maxSubscribers} event streams are open, and no more are taken.`, { retryAfterSeconds: 30 })
    const stop = () => subscriber.close()
    const subscriber = createSubscriber(config, {
      relist: () => relist('The client did not keep up.'),
      ended: () => {
        subscribers.delete(subscriber)
        stopping?.removeEventListener('abort', stop)
      },
      monotonic: clock.monotonic,
    })
    const frames = lastEventId === undefined ? [] : missed(lastEventId, wanted)
    // An id without data is remembered by the client all the same, so that it can come back before it got any event.
    if (frames.length === 0) subscriber.send(Buffer.from(`retry: 2000\nid: ${id()}\n\n`))
    else subscriber.send(Buffer.from('retry: 2000\n\n'))
    for (const frame of frames) subscriber.send(frame)
    subscribers.set(subscriber, { ...wanted, since: clock.monotonic() })
    stopping?.addEventListener('abort', stop, { once: true })
    if (stopping?.aborted || ending.signal.aborted) stop()
    return subscriber.stream
  }

  async function beat(): Promise<void> {
    for (;;) {
      await clock.sleep(config.heartbeatMs, ending.signal).catch(() => {})
      if (ending.signal.aborted) return
      const now = clock.monotonic()
      // It bears the id, so that a client whose filter lets nothing through does not fall out of what is kept.
      const frame = Buffer.from(`: ${new Date(clock.now()).toISOString()}\nid: ${id()}\n\n`)
      for (const [subscriber, { since }] of subscribers) {
        const isStalled = subscriber.laggingSince !== undefined && now - subscriber.laggingSince >= config.stalledMs
        if (isStalled || now - since >= config.longestMs) subscriber.close()
        else subscriber.send(frame)
      }
    }
  }

  return {
    name: 'events',
    route: eventsRoute(subscribe),
    publish,
    get subscribers() {
      return subscribers.size
    },
    async start() {
      for (const source of sources)
        subscriptions.push(
          source.cache.subscribe(({ type, object }: { type: ChangeType; object: Cached }) => onChange(source, type, object)),
        )
      beating = beat()
    },
    async stop() {
      for (const unsubscribe of subscriptions) unsubscribe()
      ending.abort()
      for (const subscriber of [...subscribers.keys()]) subscriber.close()
      await beating
    },
  }
}

type Ref = { project: string; id: string }

/** What a subscriber wants to hear of. */
type Wanted = { kinds: ReadonlySet<EventKind>; project: string | undefined }

function wants(wanted: Wanted, kind: EventKind, project: string): boolean {
  return wanted.kinds.has(kind) && (wanted.project === undefined || wanted.project === project)
}

const kindsSchema = z
  .string()
  .transform((text) => text.split(','))
  .pipe(z.array(z.enum(eventKinds)).nonempty())
  .optional()
  .describe(`Only these kinds, separated by commas: ${eventKinds.join(', ')}.`)
  .meta({ override: { type: 'string' }, example: 'operation,database' })

const query = z.strictObject({
  project: z.string().min(1).max(63).optional().describe('Only what belongs to this project.'),
  kinds: kindsSchema,
  lastEventId: z.string().max(100).optional().describe('As the header Last-Event-ID, which goes before it.'),
})

function eventsRoute(
  subscribe: (wanted: Wanted, lastEventId: string | undefined, stopping: AbortSignal | undefined) => ReadableStream,
): Route {
  return route({
    method: 'GET',
    path: '/events',
    operationId: 'watchEvents',
    tag: 'Events',
    summary: 'Changes as they happen',
    description: `Server-sent events (\`text/event-stream\`). The stream begins with now: to have everything, open it first and list then.

The types of events are \`operation\`, \`project\` and \`database\`, with \`{"type":"added"|"changed"|"removed","project":…,"id":…,"object":…}\` as
data, where \`object\` is what a read answers and is missing from what was removed; and \`relist\`, which says that events were missed:
list again what you follow, the stream goes on meanwhile. The same state may be sent twice.

A client that comes back with \`Last-Event-ID\` gets what it missed, or \`relist\`. A comment comes every 15 seconds; a stream on which
nothing came for a minute is dead. After an hour the stream ends; come back with the last id.`,
    scope: 'region:read',
    query,
    responses: () => ({
      200: {
        description: 'Events, until either side ends the stream',
        schema: z.string(),
        contentType: 'text/event-stream',
        example: 'id: k3f9a0bc-17\nevent: operation\ndata: {"type":"changed","project":"harbour","id":"op-0000000042","object":{}}\n\n',
      },
    }),
    handle(c: ApiContext, { query: { project, kinds, lastEventId } }) {
      const headers = {
        'content-type': 'text/event-stream',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no', // nginx would hold events back
      }
      if (c.req.method === 'HEAD') return c.body(null, 200, headers)
      const wanted = { kinds: new Set<EventKind>(kinds ?? eventKinds), project }
      const stream = subscribe(wanted, c.req.header('last-event-id') || lastEventId, c.env?.stopping)
      return c.body(stream, 200, headers)
    },
  })
}
