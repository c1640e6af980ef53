// How the client of mqtt.js is made. Only this file and connection.ts know the library.
import { readFileSync } from 'node:fs'
import type { Duplex } from 'node:stream'
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import { writeToStream } from 'mqtt-packet'
import { createPacketFilter } from './packet-filter.ts'

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
}

/** The name of a server in logs and metrics: its URL without credentials. */
export function serverName({ url }: ServerConfig): string {
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname === '/' ? '' : pathname}`
}

/** How to connect to a server. */
export type ConnectOptions = {
  server: ServerConfig
  /** 4 is MQTT 3.1.1. */
  protocolVersion: 4 | 5
  clientId: string
  keepAliveSeconds: number
  will: { topic: string; payload: Buffer }
  timeoutMs: number
  /** Larger messages from outside are left out and reported to `onOversized`. */
  maxPacketBytes: number
  onOversized: (bytes: number) => void
  onMessage: (topic: string, payload: Buffer, isRetained: boolean) => void
}

/**
 * A client that has not begun to connect. It uses a single connection of the library and none of its other features: no reconnection (the
 * will would keep its old bdSeq), no queue of unsent messages, no automatic resubscription, no timers.
 */
export function newClient(options: ConnectOptions): MqttClient {
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
    // The node pings by itself, by its own clock: the answers are the proof that data was read.
    timerVariant: { set: () => 0, clear: () => {} },
  }
  const client = mqtt.connect(given)
  // The library makes its streams itself; a filter can be put between a stream and the parser only here.
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
 * The library gathers a WebSocket message whole, up to 100 MiB and inflated, before the filter sees any of it. A message may hold several
 * packets, and a packet that is left out must not end the connection: so there is room for more than the largest packet.
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
