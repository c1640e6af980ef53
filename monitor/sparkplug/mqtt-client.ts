// How the client of mqtt.js is made. Only this file and connection.ts know the library.
import type { EventEmitter } from 'node:events'
import { readFileSync } from 'node:fs'
import type { ClientRequest } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import { writeToStream } from 'mqtt-packet'
import type { SocketBytes } from '../../shared/link/index.ts'
import { trustSystem } from '../../shared/system-trust.ts'
import { createPacketFilter } from './packet-filter.ts'
import { openTransport, type Transport } from './transport.ts'

// Otherwise the library keeps a Buffer for each two-byte number, 10 MiB in all, to avoid one allocation per packet.
writeToStream.cacheNumbers = false

/** One server of the list, with its credentials. Files are read for each connection, so that they can be rotated. */
export type ServerConfig = {
  /** `mqtt://`, `mqtts://`, `ws://` or `wss://`, with host and port, and a path for WebSocket. */
  url: string
  username?: string | undefined
  passwordFile?: string | undefined
  caFile?: string | undefined
  certFile?: string | undefined
  keyFile?: string | undefined
  /** The largest packet that it takes, in bytes, where that is known. A server of MQTT 5 tells it, one of 3.1.1 cannot. */
  maxPacketSize?: number | undefined
}

/** The name of a server in logs and metrics: its URL without credentials. */
export function serverName({ url }: ServerConfig): string {
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname === '/' ? '' : pathname}`
}

/** What the server publishes when it loses the client. */
type Will = { topic: string; payload: Buffer }

/** How to connect to a server. */
export type ConnectOptions = {
  server: ServerConfig
  /** 4 is MQTT 3.1.1. */
  protocolVersion: 4 | 5
  clientId: string
  keepAliveSeconds: number
  /**
   * Asked for the will when the transport (TCP, TLS, WebSocket) is established. CONNECT follows as soon as this resolves, and `onConnect`
   * when it was handed to the socket. Until then nothing was sent, and a rejection ends the attempt. The signal is that of the whole
   * session: what is under way when this attempt ends may be of use to the next.
   */
  will: (signal: AbortSignal) => Promise<Will>
  onConnect: () => void
  /** For all of it, up to the CONNACK. */
  timeoutMs: number
  /** Larger messages from outside are left out and reported to `onOversized`. */
  maxPacketBytes: number
  onOversized: (bytes: number) => void
  onMessage: (topic: string, payload: Buffer, isRetained: boolean) => void
}

/** Counts the bytes of a connection; undefined if nobody wants to know. */
type Bytes = Pick<SocketBytes, 'count'> | undefined

/** A client of the library, and the two steps in which it connects. */
export type NewClient = {
  client: MqttClient
  /** Establishes the transport, and sends no byte of MQTT. @throws why it cannot be established */
  open(signal: AbortSignal): Promise<Transport>
  /** Sends CONNECT on it. */
  connect(transport: Transport, will: Will): void
}

/**
 * A client that has not begun to connect. It uses a single connection of the library and none of its other features: no reconnection (the
 * will would keep its old bdSeq), no queue of unsent messages, no automatic resubscription, no timers.
 */
export function newClient(options: ConnectOptions, bytes?: Bytes): NewClient {
  const { server, protocolVersion } = options
  const isFive = protocolVersion === 5
  const url = new URL(server.url)
  const upgraded = Promise.withResolvers<void>()
  const given: IClientOptions = {
    protocol: url.protocol.slice(0, -1) as 'mqtt',
    hostname: url.hostname.replace(/^\[|\]$/g, ''),
    ...(url.port === '' ? {} : { port: Number(url.port) }),
    ...credentials(server),
    ...(url.protocol === 'mqtts:' ? tlsOptions(server) : {}),
    ...(url.protocol.startsWith('ws') ? webSocketOptions(url, options, { onUpgraded: upgraded.resolve, bytes }) : {}),
    protocolVersion,
    clientId: options.clientId,
    clean: true, // [tck-id-principles-persistence-clean-session-311] [tck-id-principles-persistence-clean-session-50]
    keepalive: options.keepAliveSeconds,
    ...(isFive ? { properties: { sessionExpiryInterval: 0, maximumPacketSize: options.maxPacketBytes } } : {}),
    manualConnect: true,
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
    connectTimeout: 2 ** 31 - 1,
    // The node pings by itself, by its own clock: the answers are the proof that data was read.
    timerVariant: { set: () => 0, clear: () => {} },
  }
  const client = mqtt.connect(given)
  // The library makes its streams itself, and writes CONNECT into one before it is connected: then nobody knows whether it was sent.
  // And only here can a filter be put between a stream and the parser.
  const inside = client as unknown as { streamBuilder: (client: MqttClient) => Duplex }
  const build = inside.streamBuilder
  return {
    client,
    open(signal) {
      const stream = build(client)
      const event = { 'mqtt:': 'connect', 'mqtts:': 'secureConnect' }[url.protocol]
      if (event !== undefined) bytes?.count(stream as Socket)
      const ready = event === undefined ? upgraded.promise : new Promise((resolve) => stream.once(event, resolve))
      return openTransport(stream, ready, signal)
    },
    connect(transport, will) {
      // Without a delay: hosts learn of a death when the server does.
      client.options.will = { ...will, qos: 1, retain: false, ...(isFive ? { properties: { willDelayInterval: 0 } } : {}) }
      inside.streamBuilder = () => filtered(transport.handOver(), options)
      client.connect()
    },
  }
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
  if (caFile === undefined) trustSystem()
  return {
    ...(caFile === undefined ? {} : { ca: readFileSync(caFile) }),
    ...(certFile === undefined ? {} : { cert: readFileSync(certFile) }),
    ...(keyFile === undefined ? {} : { key: readFileSync(keyFile) }),
    minVersion: 'TLSv1.2' as const,
  }
}

/**
 * The library gathers a WebSocket message whole, up to 100 MiB and inflated, before the filter sees any of it. A message may hold several
 * packets, and a packet that is left out must not end the connection: so there is room for more than the largest packet.
 */
function webSocketOptions(
  { protocol, pathname, search }: URL,
  { server, maxPacketBytes }: ConnectOptions,
  { onUpgraded, bytes }: { onUpgraded: () => void; bytes: Bytes },
): IClientOptions {
  return {
    path: `${pathname}${search}`,
    wsOptions: {
      ...(protocol === 'wss:' ? tlsOptions(server) : {}),
      maxPayload: Math.max(1024 * 1024, 4 * maxPacketBytes),
      perMessageDeflate: false,
      // The stream that the library makes of the WebSocket does not tell when it is open.
      finishRequest(request: ClientRequest, socket: EventEmitter) {
        socket.once('open', onUpgraded)
        request.once('socket', (below) => bytes?.count(below))
        request.end()
      },
    },
  }
}
