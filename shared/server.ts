import type { X509Certificate } from 'node:crypto'
import {
  createServer as createHttpServer,
  type Server as HttpServer,
  type IncomingMessage,
  type ServerOptions,
  type ServerResponse,
} from 'node:http'
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { type CertificateFiles, type Certificates, readCertificates, watchCertificates } from './certificates.ts'
import { type Clock, systemClock } from './clock.ts'
import { Problem, problemDocument, problemMediaType } from './errors.ts'
import type { Part } from './lifecycle.ts'
import type { Log } from './log.ts'

/** The address to listen on, and limits, with the defaults below. */
export type ListenConfig = { host: string; port: number } & Partial<ServerLimits>

/** Limits of a client. */
type ServerLimits = {
  /** Of a request's header fields, with the request line. */
  maxHeaderBytes: number
  maxConnections: number
  /** From the first byte of a request to the end of its header fields. */
  headersTimeoutMs: number
  /** From the first byte to the end of its body. It does not limit the response. */
  requestTimeoutMs: number
  /** How long a connection without a request is kept. */
  idleTimeoutMs: number
}

/** The defaults of `ServerLimits`. */
const serverLimits: ServerLimits = {
  maxHeaderBytes: 16 * 1024,
  maxConnections: 1024,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 60_000,
  // Longer than cloudflared keeps its connections to the origin (keepAliveTimeout, 90 s): the client should close first. Otherwise a
  // request may meet a connection that is being closed, and a POST is not repeated.
  idleTimeoutMs: 120_000,
}

/** The other end of a connection. */
type Peer = {
  address: string
  /** The client's certificate, if it is valid and signed by a CA of `clientCaFile`. */
  certificate: X509Certificate | undefined
}

/** A request and its response. */
export type Exchange = {
  incoming: IncomingMessage
  outgoing: ServerResponse
  peer: Peer
  /** Aborts when the server stops: long responses, such as event streams, must end then. */
  stopping: AbortSignal
}

/** The handler of requests (`byFetch` of fetch.ts makes one of a Hono app), and tools. */
export type ServerNeeds = {
  name?: string
  /** If it rejects, the connection is cut off and the error is logged. */
  answer: (exchange: Exchange) => void | Promise<void>
  log: Log
  clock?: Clock
}

/** A server as a part. It accepts requests from the end of `start` to the beginning of `stop`. */
export type ServerPart = Part & {
  /** The port it listens on; the system chooses one for port 0. @throws Error before it has started */
  port(): number
}

/** A server with a certificate. @throws Error before it has started */
export type TlsServerPart = ServerPart & { certificate(): Pick<Certificates, 'fingerprint' | 'expiresAt'> }

/**
 * An HTTPS server (HTTP/1.1). New connections use a new certificate in its files, and no connection is dropped; an invalid one is logged
 * and ignored. With `clientCaFile` it requests client certificates, but also accepts clients without one. `start` throws the fault of
 * the files or the address.
 */
export function createTlsServer(config: ListenConfig & { tls: CertificateFiles }, needs: ServerNeeds): TlsServerPart {
  const { log, clock = systemClock } = needs
  const watching = new AbortController()
  let certificates: Certificates | undefined
  let watched = Promise.resolve()
  const inUse = () => {
    if (certificates === undefined) throw new Error('the server has not started')
    return certificates
  }
  const secureOptions = ({ cert, key, ca }: Certificates) => ({ cert, key, ...(ca !== undefined && { ca }) })

  const part = createListener(config, { name: 'api', ...needs }, async (options) => {
    certificates = await readCertificates(config.tls)
    const server = createHttpsServer({
      ...options,
      ...secureOptions(certificates),
      requestCert: config.tls.clientCaFile !== undefined,
      rejectUnauthorized: false, // the app authenticates: tokens are accepted as well as certificates
      handshakeTimeout: options.headersTimeout,
    })
    const use = (next: Certificates) => {
      // A new context has new ticket keys: no session from before a change of the CAs is resumed.
      server.setSecureContext(secureOptions(next))
      certificates = next
    }
    watched = watchCertificates(config.tls, { current: certificates, signal: watching.signal, clock, log, use })
    return server
  })
  return {
    ...part,
    certificate: () => ({ fingerprint: inUse().fingerprint, expiresAt: inUse().expiresAt }),
    async start(signal) {
      try {
        await part.start(signal)
      } catch (error) {
        watching.abort()
        throw error
      }
    },
    async stop(deadline) {
      watching.abort()
      await Promise.all([part.stop(deadline), watched])
    },
  }
}

/** An HTTP server with the same limits, for ports inside the cluster. */
export function createPlainServer(config: ListenConfig, needs: ServerNeeds): ServerPart {
  return createListener(config, { name: 'admin', ...needs }, async (options) => createHttpServer(options))
}

/** How long a connection without a request is kept during a stop, in milliseconds. */
const freshMs = 500

type Options = ServerOptions & { headersTimeout: number }

function createListener(
  config: ListenConfig,
  { name, answer, log, clock = systemClock }: ServerNeeds & { name: string },
  create: (options: Options) => Promise<HttpServer | HttpsServer>,
): ServerPart {
  const limits = { ...serverLimits, ...definedOnly(config) }
  const stopping = new AbortController()
  const connections = new Connections()
  let server: HttpServer | HttpsServer | undefined

  async function onRequest(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    connections.requested(incoming, outgoing)
    // A request that arrives during the stop is answered, and the client must use another connection afterwards.
    if (stopping.signal.aborted) outgoing.shouldKeepAlive = false
    outgoing.on('close', () => {
      // Its head, sent before the stop, may have promised to keep the connection.
      if (stopping.signal.aborted) setImmediate(() => server?.closeIdleConnections())
    })
    try {
      await answer({ incoming, outgoing, peer: peerOf(incoming), stopping: stopping.signal })
    } catch (error) {
      log.error({ err: error, server: name }, 'request failed')
      outgoing.destroy()
    }
  }

  return {
    name,
    port() {
      const address = server?.address() as AddressInfo | null | undefined
      if (!address) throw new Error(`the ${name} server does not listen`)
      return address.port
    },
    async start(signal) {
      const created = await create(optionsOf(limits))
      created.maxConnections = limits.maxConnections
      created.on('request', (incoming, outgoing) => void onRequest(incoming, outgoing))
      created.on('connection', (socket: Socket) => connections.opened(socket))
      created.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => refuse(error, socket, connections.responses))
      logDrops(created, { name, log, maxConnections: limits.maxConnections })
      await listen(created, config, signal)
      created.on('error', (error) => log.error({ err: error, server: name }, 'server failed to accept a connection'))
      server = created
      log.info({ server: name, host: config.host, port: (created.address() as AddressInfo).port }, 'listening')
    },
    async stop(deadline) {
      const running = server
      if (running === undefined) return
      const closed = new Promise<void>((resolve) => running.close(() => resolve()))
      for (const response of connections.responses) if (!response.headersSent) response.shouldKeepAlive = false
      stopping.abort(new Error('the server stops'))
      running.closeIdleConnections()
      const done = new AbortController()
      const sleep = (ms: number) => clock.sleep(Math.max(0, ms), done.signal).catch(() => {})
      // A fresh connection may still bring a request; Node would wait for headersTimeout if it brings none.
      await Promise.race([closed, sleep(Math.min(freshMs, deadline - clock.monotonic()))])
      connections.closeFresh()
      await Promise.race([closed, sleep(deadline - clock.monotonic())])
      if (connections.responses.size > 0)
        log.warn({ server: name, requests: connections.responses.size }, 'requests cut off at the deadline')
      connections.closeAll()
      await closed
      done.abort()
    },
  }
}

/** The open connections of a server, and the responses in progress. */
class Connections {
  readonly #sockets = new Set<Socket>()
  /** Connections without a request so far, by the address of the client: TLS has a socket of its own over each of these. */
  readonly #fresh = new Map<string, Socket>()
  readonly responses = new Set<ServerResponse>()

  opened(socket: Socket): void {
    const address = addressOf(socket)
    this.#sockets.add(socket)
    this.#fresh.set(address, socket)
    socket.once('close', () => {
      this.#sockets.delete(socket)
      this.#fresh.delete(address)
    })
  }

  requested(incoming: IncomingMessage, outgoing: ServerResponse): void {
    this.responses.add(outgoing)
    this.#fresh.delete(addressOf(incoming.socket))
    outgoing.on('close', () => this.responses.delete(outgoing))
  }

  closeFresh(): void {
    for (const socket of this.#fresh.values()) socket.destroy()
  }

  closeAll(): void {
    for (const socket of this.#sockets) socket.destroy()
  }
}

function optionsOf(limits: ServerLimits): Options {
  return {
    maxHeaderSize: limits.maxHeaderBytes,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.idleTimeoutMs,
    connectionsCheckingInterval: Math.min(5_000, limits.headersTimeoutMs),
    requireHostHeader: false, // the app refuses it, with a problem document
    keepAlive: true, // detects clients that vanished
    keepAliveInitialDelay: 30_000,
  }
}

function definedOnly(config: ListenConfig): ListenConfig {
  return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined)) as ListenConfig
}

function listen(server: HttpServer, { host, port }: ListenConfig, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const onError = (error: NodeJS.ErrnoException) =>
      reject(new Error(`cannot listen on ${host}:${port} (${error.code})`, { cause: error }))
    server.once('error', onError)
    server.listen({ host, port }, () => {
      server.off('error', onError)
      resolve()
    })
  })
}

function addressOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`
}

function peerOf(incoming: IncomingMessage): Peer {
  const { socket } = incoming
  const authorized = socket instanceof TLSSocket && socket.authorized
  return { address: socket.remoteAddress ?? '', certificate: authorized ? socket.getPeerX509Certificate() : undefined }
}

/** Logs once when the limit is reached, not for each connection that is refused. */
function logDrops(server: HttpServer, { name, log, maxConnections }: { name: string; log: Log; maxConnections: number }): void {
  let dropping = false
  server.on('drop', () => {
    if (!dropping) log.warn({ server: name, maxConnections }, 'connections refused, the limit is reached')
    dropping = true
  })
  server.on('connection', () => {
    dropping = false
  })
}

/** Answers invalid HTTP with a problem document, if the client can still read one, and closes the connection. */
function refuse(error: NodeJS.ErrnoException, socket: Socket, answers: ReadonlySet<ServerResponse>): void {
  const isHttp = error.code?.startsWith('HPE_') || error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
  // In the middle of a response, the client would read a second head as part of the body.
  const isAnswering = [...answers].some((answer) => answer.socket === socket && answer.headersSent)
  if (!isHttp || !socket.writable || isAnswering) {
    socket.destroy()
    return
  }
  const problem = problemOfClientError(error)
  const body = JSON.stringify(problemDocument(problem))
  const head = [
    `HTTP/1.1 ${problem.status} ${reasons[problem.status]}`,
    `Content-Type: ${problemMediaType}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: no-store',
    'Connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroySoon())
}

const reasons: Record<number, string> = { 400: 'Bad Request', 408: 'Request Timeout', 431: 'Request Header Fields Too Large' }

function problemOfClientError({ code }: NodeJS.ErrnoException): Problem {
  if (code === 'HPE_HEADER_OVERFLOW') return new Problem('headers-too-large', 'The request line and the header fields are too large.')
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new Problem('request-timeout', 'The request did not arrive in time.')
  return new Problem('invalid-request', 'The data received is not HTTP/1.1.')
}
