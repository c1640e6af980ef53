import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { progressOf } from './descriptors.ts'

type Connection = {
  socket: Socket
  /** Of the client: TLS has a socket of its own over the one that was accepted. */
  address: string
  /** Requests whose response has not ended. */
  requests: number
  /** Since when it is in its state, idle or busy, by the monotonic clock. */
  since: number
  /** It has brought a request. */
  used: boolean
  /** It has brought a request of a caller that the app knows. */
  recognized: boolean
  /** Of its requests, those of callers that the app knows. */
  recognizedRequests: number
  /** Several clients share it. */
  shared: boolean
  /** The bytes that the system has taken over so far, and when their number last changed or none were left. */
  sent: number
  sentAt: number
}

/** What the app says about a request. */
export type Marks = {
  /** Its caller is known. */
  recognized: () => void
  /** It came through a proxy, whose connections carry the requests of several clients. */
  shared: () => void
}

/**
 * The open connections of a server, and the responses in progress.
 *
 * Any number of strangers may connect, so connections are never refused while there is one that can be spared for a new one: at the limit, the
 * connection closes that is the first in the order of `Cost`. While a request of a known caller is under way, an event stream for example, its
 * connection is never closed for another.
 */
export class Connections {
  readonly #monotonic: () => number
  /** By their address. */
  readonly #open = new Map<string, Connection>()
  readonly responses = new Set<ServerResponse>()

  constructor(monotonic: () => number) {
    this.#monotonic = monotonic
  }

  get size(): number {
    return this.#open.size
  }

  opened(socket: Socket): void {
    const address = addressOf(socket)
    const now = this.#monotonic()
    const none = { requests: 0, used: false, recognized: false, recognizedRequests: 0, shared: false, sent: 0 }
    const connection = { socket, address, ...none, since: now, sentAt: now }
    this.#open.set(address, connection)
    socket.once('close', () => {
      if (this.#open.get(address) === connection) this.#open.delete(address)
    })
  }

  requested({ socket }: IncomingMessage, outgoing: ServerResponse): Marks {
    const connection = this.#open.get(addressOf(socket))
    this.responses.add(outgoing)
    this.#count(connection, 1)
    let isRecognized = false
    outgoing.once('close', () => {
      this.responses.delete(outgoing)
      this.#count(connection, -1)
      if (connection !== undefined && isRecognized) connection.recognizedRequests--
    })
    return {
      recognized: () => {
        if (connection === undefined || isRecognized || outgoing.closed) return
        isRecognized = true
        connection.recognized = true
        connection.recognizedRequests++
      },
      shared: () => {
        if (connection !== undefined) connection.shared = true
      },
    }
  }

  #count(connection: Connection | undefined, change: 1 | -1): void {
    if (connection === undefined) return
    connection.requests += change
    connection.used = true
    connection.since = this.#monotonic()
  }

  /** Closes a connection other than `kept`, to make room. @returns false when none can be spared */
  spareOne(kept: Socket): boolean {
    let found: Connection | undefined
    for (const each of this.#open.values()) {
      if (each.socket === kept || costOf(each) === undefined) continue
      if (found === undefined || isCheaper(each, found)) found = each
    }
    if (found === undefined) return false
    this.#close(found)
    return true
  }

  /**
   * Closes the connections that have been idle for longer than this, in milliseconds: those of strangers, and those of known callers and of
   * proxies. A proxy that meets a closing connection cannot repeat a POST.
   */
  closeIdle(strangersMs: number, knownMs: number): void {
    const now = this.#monotonic()
    for (const each of this.#open.values())
      if (each.requests === 0 && now - each.since >= (each.recognized || each.shared ? knownMs : strangersMs)) this.#close(each)
  }

  /** Closes the connections whose client has taken nothing of a response for this long, in milliseconds. @returns how many */
  closeStalled(ms: number): number {
    const now = this.#monotonic()
    let count = 0
    for (const each of this.#open.values()) {
      const { sent, waiting } = progressOf(each.socket)
      if (waiting === 0 || sent !== each.sent) Object.assign(each, { sent, sentAt: now })
      else if (now - each.sentAt >= ms) {
        this.#close(each)
        count++
      }
    }
    return count
  }

  /** Closes the connections that have brought no request. */
  closeFresh(): void {
    for (const each of this.#open.values()) if (!each.used) this.#close(each)
  }

  closeAll(): void {
    for (const each of this.#open.values()) this.#close(each)
  }

  #close({ socket, address }: Connection): void {
    this.#open.delete(address)
    socket.destroy()
  }
}

/**
 * What is lost with a connection. The most recent ones of a cost close last, so that a new connection has the time to bring its request.
 *
 * | cost | connection |
 * |---|---|
 * | 0 | idle, of a stranger |
 * | 1 | new, or with requests of strangers |
 * | 2 | idle, of a known caller |
 * | 3 | the same with requests whose caller is not known yet, or is another one behind a proxy |
 * | undefined | with a request of a known caller: it must not be closed |
 */
type Cost = 0 | 1 | 2 | 3 | undefined

function costOf({ requests, recognizedRequests, recognized, used }: Connection): Cost {
  if (recognizedRequests > 0) return undefined
  if (recognized) return requests === 0 ? 2 : 3
  return used && requests === 0 ? 0 : 1
}

function isCheaper(one: Connection, other: Connection): boolean {
  const difference = (costOf(one) ?? 0) - (costOf(other) ?? 0)
  return difference < 0 || (difference === 0 && one.since < other.since)
}

/** Which connection it is. TLS has a socket of its own over the one that was accepted, and this is the same for both. */
export function addressOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`
}
