import type { Connect, Connection, EndedBy } from '../../monitor/sparkplug/connection.ts'
import type { EventClock } from './event-clock.ts'
import { DoorLine, WorkLine } from './lines.ts'
import { Meter } from './meter.ts'

/** How the broker is met. */
export type BrokerCondition =
  | { is: 'open' }
  /** Connections are refused. */
  | { is: 'away' }
  /** It takes so many CONNECTs in a second, and reads so many bytes, from all connections together. */
  | { is: 'slow'; connects: number; bytes: number }

/** The way there and back, in milliseconds. */
const roundTripMs = 50

/** Above this in its socket, a connection is congested: as in connection.ts. */
const congestedAt = 1024 * 1024

/** Bytes of a fixed header, of a length, and of an identifier of a packet. */
const [fixedHeader, length, packetId] = [3, 2, 2]

type Open = { end: (reason: string, by: EndedBy) => void; receive: (topic: string, payload: Buffer, isRetained: boolean) => void }

/** An MQTT broker without sockets: what monitors would send it is counted, and answered when a broker in its condition would. */
export class BrokerModel {
  readonly connects = new Meter()
  readonly bytes = new Meter()
  condition: BrokerCondition = { is: 'open' }
  /** What the primary host has said last, retained for those who subscribe. */
  #state: Buffer | undefined
  readonly #clock: EventClock
  readonly #door: DoorLine
  readonly #reading = new WorkLine()
  readonly #open = new Set<Open>()

  constructor(clock: EventClock) {
    this.#clock = clock
    this.#door = new DoorLine(clock, () => (this.condition.is === 'slow' ? this.condition.connects : Number.POSITIVE_INFINITY))
  }

  /** Goes away, and with it every connection. */
  fail(): void {
    this.condition = { is: 'away' }
    for (const each of [...this.#open]) each.end('the connection was closed', 'closed')
  }

  /** The primary host comes or goes: every monitor that listens hears of it in the same moment. */
  hostSays(host: string, online: boolean): void {
    this.#state = Buffer.from(JSON.stringify({ online, timestamp: this.#clock.now() }))
    for (const each of [...this.#open]) each.receive(`spBv1.0/STATE/${host}`, this.#state, false)
  }

  /** The way of one monitor to the broker. */
  readonly connect: Connect = async (options, signal) => {
    const clock = this.#clock
    const { clientId, timeoutMs } = options
    this.connects.add(clock.monotonic())
    if (this.condition.is === 'away') throw new Error('ECONNREFUSED')
    const will = await options.will(signal)
    options.onConnect()
    this.#take(fixedHeader + 10 + length + clientId.length + length + will.topic.length + length + will.payload.length)
    await clock.sleep(roundTripMs, signal)
    const isServed = this.condition.is !== 'slow' || (await this.#door.turn(timeoutMs - roundTripMs, signal))
    if (!isServed) throw new Error(`no answer within ${timeoutMs} ms`)
    if (this.#isAway()) throw new Error('the connection was closed')
    return this.#connectionOf(options.onMessage)
  }

  // A method, since the condition changes meanwhile.
  #isAway(): boolean {
    return this.condition.is === 'away'
  }

  /** Takes bytes. @returns the monotonic moment at which they are read */
  #take(bytes: number): number {
    const now = this.#clock.monotonic()
    this.bytes.add(now, bytes)
    return this.condition.is === 'slow' ? now + this.#reading.join(now, this.condition.bytes, bytes) : now
  }

  #connectionOf(onMessage: Open['receive']): Connection {
    const clock = this.#clock
    const closed = Promise.withResolvers<string>()
    let endedBy: EndedBy | undefined
    let given = 0
    /** What was given at a time, until the broker has read it. */
    let unread: { bytes: number; readAt: number }[] = []
    const open: Open = {
      end: (reason, by) => {
        if (endedBy !== undefined) return
        endedBy = by
        this.#open.delete(open)
        closed.resolve(reason)
      },
      receive: onMessage,
    }
    this.#open.add(open)
    const isOpen = () => endedBy === undefined
    const waiting = () => {
      const now = clock.monotonic()
      unread = unread.filter(({ readAt }) => readAt > now)
      return unread.reduce((sum, { bytes }) => sum + bytes, 0)
    }
    const give = (bytes: number) => {
      const readAt = this.#take(bytes)
      given += bytes
      if (readAt > clock.monotonic()) unread.push({ bytes, readAt })
      return readAt
    }
    /** Resolves when the broker has read that much, and its answer is here; never, if the connection ends before. */
    const answered = (readAt: number) =>
      new Promise<void>((resolve) => {
        void clock.sleep(readAt - clock.monotonic() + roundTripMs).then(() => {
          if (isOpen()) resolve()
        })
      })
    const ended = closed.promise.then((why): never => {
      throw new Error(why)
    })
    ended.catch(() => {})
    const publish = (topic: string, payload: Buffer, more = 0) => give(fixedHeader + length + topic.length + payload.length + more)
    return {
      closed: closed.promise,
      endedBy: () => endedBy,
      terms: {},
      isOpen,
      isCongested: () => waiting() > congestedAt,
      flow: () => ({ given, gone: given - waiting() }),
      send(topic, payload) {
        if (isOpen()) publish(topic, payload)
        return isOpen()
      },
      sendAcknowledged: (topic, payload) => Promise.race([answered(publish(topic, payload, packetId)), ended]),
      subscribe: async (filters, qos) => {
        const bytes = filters.reduce((sum, filter) => sum + length + filter.length + 1, fixedHeader + packetId)
        await Promise.race([answered(give(bytes)), ended])
        const state = this.#state
        const topic = filters.find((filter) => filter.startsWith('spBv1.0/STATE/'))
        if (topic !== undefined && state !== undefined && isOpen()) onMessage(topic, state, true)
        return filters.map(() => qos)
      },
      unsubscribe() {},
      ping: () => answered(give(2)),
      disconnect: () => open.end('disconnected', 'node'),
      destroy: (reason) => open.end(reason, 'node'),
    }
  }
}
