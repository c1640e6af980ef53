import type { Duplex } from 'node:stream'
import type { MqttClient } from 'mqtt'
import type { Clock } from '../../shared/clock.ts'
import type { SocketBytes } from '../../shared/link/index.ts'
import { type ConnectOptions, newClient } from './mqtt-client.ts'
import { farewellOf, refusalOf, type ServerTerms, termsFault, termsOf } from './server-terms.ts'
import type { Transport } from './transport.ts'

/**
 * Who ended a connection. `closed`: the server, without a word and without an error. `other-client`: the server, since another client has
 * this id (DISCONNECT 0x8E of MQTT 5, section 3.14.2.1). `too-large`: the server, because of the size of a packet. `server`: it, or what
 * stands between, in another way.
 */
export type EndedBy = 'node' | 'server' | 'closed' | 'other-client' | 'too-large'

/** One connection. Every promise that it gives ends, at the latest with the connection. */
export type Connection = {
  /** Resolves with the reason when the connection has ended, whoever ended it. */
  readonly closed: Promise<string>
  /** Who ended it, or was the first to try; undefined while it is open. */
  endedBy(): EndedBy | undefined
  /** What the server's CONNACK said. */
  readonly terms: ServerTerms
  isOpen(): boolean
  /** Whether the socket has so much to send that the caller should wait before giving it more. */
  isCongested(): boolean
  /**
   * Bytes that the socket was given so far, and a measure of those that it has sent: it grows while something goes out, and equals `given`
   * when all is sent. Both are zero where they are not known: WebSocket.
   */
  flow(): { given: number; gone: number }
  /** Hands a QoS 0 message to the socket, not retained. False: the connection has ended, and nothing was taken. */
  send(topic: string, payload: Buffer): boolean
  /** Hands over a QoS 1 message, and resolves with its PUBACK. Rejects with the end of the connection. */
  sendAcknowledged(topic: string, payload: Buffer): Promise<void>
  /** The granted QoS of each filter, 128 and above for a refusal. Rejects with the end of the connection. */
  subscribe(filters: readonly string[], qos: 0 | 1): Promise<number[]>
  unsubscribe(filters: readonly string[]): void
  /** Sends a PINGREQ, and resolves with its answer: then the server has read all that was sent before. Without a connection, never. */
  ping(): Promise<void>
  /** Sends DISCONNECT, on MQTT 5 with reason 0x04 so that the will is sent too, and closes; without an answer at once. */
  disconnect(): void
  /** Cuts the connection. */
  destroy(reason: string): void
}

/** Opens a connection, or rejects with the reason why not. An abort of the signal gives up. */
export type Connect = (options: ConnectOptions, signal: AbortSignal) => Promise<Connection>

/** More than this in the socket's buffer is congestion. */
const congestedAt = 1024 * 1024

/** Connects over MQTT. Its only timer is on the given clock. @param bytes counts those of every connection */
export function createMqttConnect({ clock, bytes }: { clock: Clock; bytes?: SocketBytes | undefined }): Connect {
  return async (options, signal) => {
    const { client, open, connect } = newClient(options, bytes)
    const connection = connectionOf(client, options)
    const opened = new Promise<void>((resolve) => client.once('connect', () => resolve()))
    const limit = new AbortController()
    const either = AbortSignal.any([signal, limit.signal])
    const given = clock.sleep(options.timeoutMs, either).then(() => `no answer within ${options.timeoutMs} ms`)
    let transport: Transport | undefined
    const establish = async () => {
      transport = await open(either)
      const will = await Promise.race([options.will(signal), transport.lost])
      either.throwIfAborted()
      connect(transport, will)
      options.onConnect()
      return Promise.race([opened, connection.closed])
    }
    try {
      const failure = await Promise.race([establish(), given])
      const fault = failure ?? termsFault(connection.terms)
      if (fault !== undefined) throw new Error(fault)
      return connection
    } catch (error) {
      connection.destroy('given up')
      transport?.destroy()
      throw error
    } finally {
      limit.abort()
      given.catch(() => {})
    }
  }
}

/**
 * A large message is one write, and the socket reports nothing of it until its last byte is sent. Only the handle knows how much is left;
 * Node asks it too before it calls a socket idle. Without a handle whole writes are counted.
 */
function flowOf(stream: Duplex): ReturnType<Connection['flow']> {
  const { bytesWritten, writableLength, _bytesDispatched: begun, _handle: handle } = stream as Duplex & Partial<SocketInside>
  if (bytesWritten === undefined) return { given: 0, gone: 0 }
  if (begun === undefined || handle?.writeQueueSize === undefined) return { given: bytesWritten, gone: bytesWritten - writableLength }
  // TLS too counts a piece until all of it is sent; the socket below knows better.
  return { given: bytesWritten, gone: begun - handle.writeQueueSize - (handle._parent?.writeQueueSize ?? 0) }
}

/** So servers of MQTT 3.1.1 refuse what their CONNACK has no code for, such as a will at QoS 1. */
const unanswered = "the server closed the connection without a CONNACK; over MQTT 5 (protocol: '5') most servers say why"

/** Reasons of a DISCONNECT that say who is behind it (MQTT 5, section 3.14.2.1). */
const leavers: Record<number, EndedBy> = { 142: 'other-client', 149: 'too-large' }

type Handle = { writeQueueSize?: number; _parent?: { writeQueueSize?: number } }
type SocketInside = { bytesWritten: number; _bytesDispatched: number; _handle: Handle | null }

/** Why and when the connection of a client ends. */
function endOf(client: MqttClient) {
  const closed = Promise.withResolvers<string>()
  let reason: string | undefined
  let by: EndedBy | undefined
  let isClosed = false
  let isAnswered = false
  const cut = () => (client.stream as Duplex | undefined)?.destroy()
  const because = (why: string, who: EndedBy) => {
    reason ??= why
    by ??= who
  }

  client.on('packetreceive', (packet) => {
    if (packet.cmd === 'connack') {
      isAnswered = true
      const refusal = refusalOf(packet)
      if (refusal !== undefined) because(refusal, 'server')
    } else if (packet.cmd === 'disconnect') because(farewellOf(packet), leavers[packet.reasonCode ?? 0] ?? 'server')
  })
  client.on('error', (error) => {
    const { code } = error as NodeJS.ErrnoException
    // The codes of the system are texts. They are of the server's making: it, or what stands between, closes the socket while it is written.
    if (typeof code === 'string') because(code, 'server')
    else because(error.message, 'node')
    // A protocol error leaves the stream open, although it is no longer read.
    cut()
  })
  client.on('close', () => {
    isClosed = true
    because(isAnswered ? 'the connection was closed' : unanswered, 'closed')
    closed.resolve(reason as string)
  })
  return {
    closed: closed.promise,
    cut,
    /** It has ended, or there is a reason why it will. */
    isNear: () => isClosed || reason !== undefined,
    by: () => by,
    destroy(why: string): void {
      because(why, 'node')
      if (client.stream === undefined) closed.resolve(reason as string)
      else cut()
    },
  }
}

function connectionOf(client: MqttClient, options: ConnectOptions): Connection {
  const end = endOf(client)
  let terms: ServerTerms = {}
  const pongs: (() => void)[] = []
  client.on('message', (topic, payload, { retain }) => options.onMessage(topic, payload, retain))
  client.on('packetreceive', (packet) => {
    if (packet.cmd === 'pingresp')
      pongs.shift()?.() // they come in the order of their requests
    else if (packet.cmd === 'connack') terms = termsOf(packet)
  })
  const isOpen = () => !end.isNear() && client.connected
  const ended = end.closed.then((why): never => {
    throw new Error(why)
  })
  ended.catch(() => {})

  return {
    closed: end.closed,
    endedBy: end.by,
    get terms() {
      return terms
    },
    isOpen,
    isCongested: () => client.stream.writableLength > congestedAt,
    flow: () => flowOf(client.stream),
    send(topic, payload) {
      if (!isOpen()) return false
      client.publish(topic, payload, { qos: 0, retain: false })
      return true
    },
    sendAcknowledged: (topic, payload) => (isOpen() ? Promise.race([acknowledged(client, topic, payload), ended]) : ended),
    subscribe: (filters, qos) => (isOpen() ? Promise.race([granted(client, filters, qos), ended]) : ended),
    unsubscribe(filters) {
      if (isOpen()) client.unsubscribe([...filters], () => {})
    },
    ping() {
      return new Promise((resolve) => {
        if (!isOpen()) return
        pongs.push(resolve)
        client.sendPing()
      })
    },
    disconnect() {
      if (isOpen()) client.end(false, options.protocolVersion === 5 ? { reasonCode: 0x04 } : {})
      else end.cut()
    },
    destroy: end.destroy,
  }
}

function acknowledged(client: MqttClient, topic: string, payload: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    client.publish(topic, payload, { qos: 1, retain: false }, (error) => (error ? reject(error) : resolve()))
  })
}

function granted(client: MqttClient, filters: readonly string[], qos: 0 | 1): Promise<number[]> {
  return new Promise((resolve, reject) => {
    client.subscribe([...filters], { qos }, (error, subscriptions, packet) => {
      const codes = packet?.granted as number[] | undefined
      if (codes !== undefined) resolve(codes)
      else if (error) reject(error)
      else resolve((subscriptions ?? []).map((each) => each.qos))
    })
  })
}
