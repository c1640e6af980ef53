// The only file that knows mqtt.js. Of that library one connection is used and nothing around it: no reconnect (the will would keep its
// old bdSeq), no queue of what was not sent, no subscribing again, no timers of its own.
import { readFileSync } from 'node:fs'
import type { Duplex } from 'node:stream'
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import { writeToStream } from 'mqtt-packet'
import type { Clock } from '../../shared/clock.ts'
import { createPacketFilter } from './packet-filter.ts'

// It would keep a Buffer for each number of two bytes, 10 MiB in all, to save the making of one per packet.
writeToStream.cacheNumbers = false

/** One server of the list, with what opens its door. Files are read anew for each connection, so that they can be rotated. */
export type ServerConfig = {
  /** `mqtt://`, `mqtts://`, `ws://` or `wss://`, with host and port, and a path for WebSocket. */
  url: string
  username?: string | undefined
  passwordFile?: string | undefined
  caFile?: string | undefined
  certFile?: string | undefined
  keyFile?: string | undefined
}

/** The name of a server in logs and metrics: its URL without credentials. */
export function serverName({ url }: ServerConfig): string {
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname === '/' ? '' : pathname}`
}

/** What a CONNECT says. */
export type ConnectOptions = {
  server: ServerConfig
  /** 4 is MQTT 3.1.1. */
  protocolVersion: 4 | 5
  clientId: string
  keepAliveSeconds: number
  will: { topic: string; payload: Buffer }
  timeoutMs: number
  /** Larger messages from outside are left out, and told to `onOversized`. */
  maxPacketBytes: number
  onOversized: (bytes: number) => void
  onMessage: (topic: string, payload: Buffer, isRetained: boolean) => void
}

/** One life of a connection. Every promise of it ends, at the latest with the connection. */
export type Connection = {
  /** Resolves with the reason when the connection has ended, whoever ended it. */
  readonly closed: Promise<string>
  isOpen(): boolean
  /** Whether the socket has more to send than is good: wait before giving it more. */
  isCongested(): boolean
  /**
   * Bytes that the socket was given so far, and a measure of those that it got rid of: it grows while something goes out, and is `given`
   * when all is gone. Both are zero where they are not known: WebSocket.
   */
  flow(): { given: number; gone: number }
  /** Hands a QoS 0 message to the socket, not retained. False: there is no connection, and nothing was taken. */
  send(topic: string, payload: Buffer): boolean
  /** Hands over a QoS 1 message, and resolves with its PUBACK. Rejects with the end of the connection. */
  sendAcknowledged(topic: string, payload: Buffer): Promise<void>
  /** The granted QoS of each filter, 128 and above for a refusal. Rejects with the end of the connection. */
  subscribe(filters: readonly string[], qos: 0 | 1): Promise<number[]>
  unsubscribe(filters: readonly string[]): void
  /** Sends a PINGREQ, and resolves with its answer: then the server has read all that was sent before. Never with the connection gone. */
  ping(): Promise<void>
  /** Sends DISCONNECT, on MQTT 5 with reason 0x04 so that the will is sent too, and closes; without an answer at once. */
  disconnect(): void
  /** Cuts the connection. */
  destroy(reason: string): void
}

/** Opens a connection; rejects with why not. An abort of the signal gives up. */
export type Connect = (options: ConnectOptions, signal: AbortSignal) => Promise<Connection>

/** More than this in the socket's buffer is congestion. */
const congestedAt = 1024 * 1024

/** Connects over MQTT. What is waited for is bounded by the clock given, for which there is no other timer. */
export function createMqttConnect({ clock }: { clock: Clock }): Connect {
  return async (options, signal) => {
    const client = newClient(options)
    const connection = connectionOf(client, options)
    const opened = new Promise<void>((resolve) => client.once('connect', () => resolve()))
    const limit = new AbortController()
    const either = AbortSignal.any([signal, limit.signal])
    const given = clock.sleep(options.timeoutMs, either).then(() => `no answer within ${options.timeoutMs} ms`)
    try {
      client.connect()
      const failure = await Promise.race([opened, connection.closed, given])
      if (failure !== undefined) throw new Error(failure)
      return connection
    } catch (error) {
      connection.destroy('given up')
      throw error
    } finally {
      limit.abort()
      given.catch(() => {})
    }
  }
}

/**
 * A large message is one write, of which the socket itself says nothing until the last byte of it is gone. What is left of it, only its
 * handle knows, which Node asks too before it calls a socket idle. Without that whole writes are counted.
 */
function flowOf(stream: Duplex): ReturnType<Connection['flow']> {
  const { bytesWritten, writableLength, _bytesDispatched: begun, _handle: handle } = stream as Duplex & Partial<SocketInside>
  if (bytesWritten === undefined) return { given: 0, gone: 0 }
  if (begun === undefined || handle?.writeQueueSize === undefined) return { given: bytesWritten, gone: bytesWritten - writableLength }
  // TLS counts a piece until all of it is gone too; the socket below knows better.
  return { given: bytesWritten, gone: begun - handle.writeQueueSize - (handle._parent?.writeQueueSize ?? 0) }
}

type Handle = { writeQueueSize?: number; _parent?: { writeQueueSize?: number } }
type SocketInside = { bytesWritten: number; _bytesDispatched: number; _handle: Handle | null }

function newClient(options: ConnectOptions): MqttClient {
  const { server, protocolVersion } = options
  const isFive = protocolVersion === 5
  const url = new URL(server.url)
  const given: IClientOptions = {
    protocol: url.protocol.slice(0, -1) as 'mqtt',
    hostname: url.hostname.replace(/^\[|\]$/g, ''),
    ...(url.port === '' ? {} : { port: Number(url.port) }),
    ...credentials(server),
    ...(url.protocol === 'mqtts:' ? tlsOptions(server) : {}),
    ...(url.protocol.startsWith('ws') ? webSocketOptions(url, options) : {}),
    protocolVersion,
    clientId: options.clientId,
    clean: true, // [tck-id-principles-persistence-clean-session-311] [tck-id-principles-persistence-clean-session-50]
    keepalive: options.keepAliveSeconds,
    will: {
      ...options.will,
      qos: 1,
      retain: false,
      // Without a delay: hosts learn of a death when the server does.
      ...(isFive ? { properties: { willDelayInterval: 0 } } : {}),
    },
    ...(isFive ? { properties: { sessionExpiryInterval: 0, maximumPacketSize: options.maxPacketBytes } } : {}),
    manualConnect: true,
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
    connectTimeout: 2 ** 31 - 1,
    // Pings are ours, by our clock, since their answers are the proof that data was read.
    timerVariant: { set: () => 0, clear: () => {} },
  }
  const client = mqtt.connect(given)
  // The streams are made inside the library; this is where a filter can be put between them and its parser.
  const inside = client as unknown as { streamBuilder: (client: MqttClient) => Duplex }
  const build = inside.streamBuilder
  inside.streamBuilder = (of) => filtered(build(of), options)
  return client
}

function filtered(stream: Duplex, { maxPacketBytes, onOversized }: ConnectOptions): Duplex {
  const pipe = stream.pipe.bind(stream) as Duplex['pipe']
  stream.pipe = ((parser: NodeJS.WritableStream) => {
    const filter = createPacketFilter(maxPacketBytes, onOversized)
    filter.on('error', (error) => stream.destroy(error))
    pipe(filter)
    return filter.pipe(parser)
  }) as Duplex['pipe']
  return stream
}

function credentials({ username, passwordFile }: ServerConfig): IClientOptions {
  return {
    ...(username === undefined ? {} : { username }),
    ...(passwordFile === undefined ? {} : { password: readFileSync(passwordFile, 'utf8').trimEnd() }),
  }
}

function tlsOptions({ caFile, certFile, keyFile }: ServerConfig) {
  return {
    ...(caFile === undefined ? {} : { ca: readFileSync(caFile) }),
    ...(certFile === undefined ? {} : { cert: readFileSync(certFile) }),
    ...(keyFile === undefined ? {} : { key: readFileSync(keyFile) }),
    minVersion: 'TLSv1.2' as const,
  }
}

/**
 * The library gathers a message of WebSocket whole, up to 100 MiB and inflated, before our filter sees any of it. A message may hold
 * several packets, and a packet that is only left out must not end the connection: so there is room for more than the largest packet.
 */
function webSocketOptions({ protocol, pathname, search }: URL, { server, maxPacketBytes }: ConnectOptions): IClientOptions {
  return {
    path: `${pathname}${search}`,
    wsOptions: {
      ...(protocol === 'wss:' ? tlsOptions(server) : {}),
      maxPayload: Math.max(1024 * 1024, 4 * maxPacketBytes),
      perMessageDeflate: false,
    },
  }
}

function connectionOf(client: MqttClient, options: ConnectOptions): Connection {
  let isClosed = false
  let reason: string | undefined
  let tellClosed: (reason: string) => void = () => {}
  const closed = new Promise<string>((resolve) => {
    tellClosed = resolve
  })
  const pongs: (() => void)[] = []

  client.on('error', (error) => {
    reason ??= (error as NodeJS.ErrnoException).code ?? error.message
    // An error of the protocol leaves the stream open, with nobody to read it.
    destroyStream()
  })
  client.on('disconnect', ({ reasonCode }) => {
    reason ??= `the server sent DISCONNECT ${reasonCode ?? ''}`.trim()
  })
  client.on('close', () => {
    isClosed = true
    tellClosed(reason ?? 'the connection was closed')
  })
  client.on('message', (topic, payload, { retain }) => options.onMessage(topic, payload, retain))
  client.on('packetreceive', ({ cmd }) => {
    if (cmd === 'pingresp') pongs.shift()?.() // they come in the order of their requests
  })

  const isOpen = () => !isClosed && reason === undefined && client.connected
  const ended = closed.then((why): never => {
    throw new Error(why)
  })
  ended.catch(() => {})

  function destroyStream(): void {
    ;(client.stream as Duplex | undefined)?.destroy()
  }

  return {
    closed,
    isOpen,
    isCongested: () => client.stream.writableLength > congestedAt,
    flow: () => flowOf(client.stream),
    send(topic, payload) {
      if (!isOpen()) return false
      client.publish(topic, payload, { qos: 0, retain: false })
      return true
    },
    sendAcknowledged(topic, payload) {
      if (!isOpen()) return ended
      const acknowledged = new Promise<void>((resolve, reject) => {
        client.publish(topic, payload, { qos: 1, retain: false }, (error) => (error ? reject(error) : resolve()))
      })
      return Promise.race([acknowledged, ended])
    },
    subscribe(filters, qos) {
      if (!isOpen()) return ended
      const granted = new Promise<number[]>((resolve, reject) => {
        client.subscribe([...filters], { qos }, (error, subscriptions, packet) => {
          const codes = packet?.granted as number[] | undefined
          if (codes !== undefined) resolve(codes)
          else if (error) reject(error)
          else resolve((subscriptions ?? []).map((each) => each.qos))
        })
      })
      return Promise.race([granted, ended])
    },
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
      else destroyStream()
    },
    destroy(why) {
      reason ??= why
      if (client.stream === undefined) tellClosed(reason)
      else destroyStream()
    },
  }
}
