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

/** Where to listen, and how much to take. What is left out has the default below. */
export type ListenConfig = { host: string; port: number } & Partial<ServerLimits>

/** What a client may cost before it has said anything of use. */
export type ServerLimits = {
  /** All of a request's header fields, with the request line. */
  maxHeaderBytes: number
  maxConnections: number
  /** From the first byte of a request to the end of its header fields. */
  headersTimeoutMs: number
  /** The same to the end of its body. It does not limit the answer. */
  requestTimeoutMs: number
  /** How long a connection is kept without a request. */
  idleTimeoutMs: number
}

/** The defaults of `ServerLimits`. */
export const serverLimits: ServerLimits = {
  maxHeaderBytes: 16 * 1024,
  maxConnections: 1024,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 60_000,
  // Longer than cloudflared keeps its connections to the origin (keepAliveTimeout, 90 s): whoever sends requests should be the one
  // that closes, else a request meets a connection that is just being closed, and a POST is not repeated.
  idleTimeoutMs: 120_000,
}

/** The other end of a connection. */
export type Peer = {
  address: string
  /** The client's certificate, only if it was signed by an authority of `clientCaFile` and is valid. */
  certificate: X509Certificate | undefined
}

/** A request and its answer, and what is known of them. */
export type Exchange = {
  incoming: IncomingMessage
  outgoing: ServerResponse
  peer: Peer
  /** Aborts when the server stops: long answers, such as event streams, end themselves then. */
  stopping: AbortSignal
}

/** What a server needs: who answers (`byFetch` of fetch.ts makes it of a Hono app), and where to log. */
export type ServerNeeds = {
  name?: string
  /** A request whose answer rejects is cut off, and logged. */
  answer: (exchange: Exchange) => void | Promise<void>
  log: Log
  clock?: Clock
}

/** A server as a part. It takes requests from the end of `start` to the beginning of `stop`. */
export type ServerPart = Part & {
  /** The port it listens on, which the system chose if 0 was asked for. @throws Error before it has started */
  port(): number
}

/** A TLS server knows its certificate too. @throws Error before it has started */
export type TlsServerPart = ServerPart & { certificate(): Pick<Certificates, 'fingerprint' | 'expiresAt'> }

/**
 * An HTTPS server (HTTP/1.1). A new certificate in its files is used for new connections, and none is dropped for it; one that
 * cannot be used is refused and logged. With `clientCaFile` it asks clients for a certificate, but takes those without one too.
 * `start` throws what is wrong with the files or the address.
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
      rejectUnauthorized: false, // who may do what is the app's to say; tokens are as good as certificates
      handshakeTimeout: options.headersTimeout,
    })
    const use = (next: Certificates) => {
      // New context, new ticket keys: no session of the old authorities is resumed under the new ones.
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

/** An HTTP server with the same limits and the same manners, for ports that stay inside the cluster. */
export function createPlainServer(config: ListenConfig, needs: ServerNeeds): ServerPart {
  return createListener(config, { name: 'admin', ...needs }, async (options) => createHttpServer(options))
}

const freshMs = 500

type Options = ServerOptions & { headersTimeout: number }

function createListener(
  config: ListenConfig,
  { name, answer, log, clock = systemClock }: ServerNeeds & { name: string },
  create: (options: Options) => Promise<HttpServer | HttpsServer>,
): ServerPart {
  const limits = { ...serverLimits, ...definedOnly(config) }
  const stopping = new AbortController()
  const sockets = new Set<Socket>()
  // Connections on which nothing was asked yet, by the address of the client: TLS has a socket of its own over each of these.
  const fresh = new Map<string, Socket>()
  const answers = new Set<ServerResponse>()
  let server: HttpServer | HttpsServer | undefined

  function onRequest(incoming: IncomingMessage, outgoing: ServerResponse): void {
    answers.add(outgoing)
    fresh.delete(addressOf(incoming.socket))
    // Too late for a new request, but it is here: it is answered, and the client is told to come back on another connection.
    if (stopping.signal.aborted) outgoing.shouldKeepAlive = false
    outgoing.on('close', () => {
      answers.delete(outgoing)
      // Its head may have promised to keep the connection, before the stop.
      if (stopping.signal.aborted) setImmediate(() => server?.closeIdleConnections())
    })
    void respond({ incoming, outgoing, peer: peerOf(incoming), stopping: stopping.signal })
  }

  async function respond(exchange: Exchange): Promise<void> {
    try {
      await answer(exchange)
    } catch (error) {
      log.error({ err: error, server: name }, 'request failed')
      exchange.outgoing.destroy()
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
      const created = await create({
        maxHeaderSize: limits.maxHeaderBytes,
        headersTimeout: limits.headersTimeoutMs,
        requestTimeout: limits.requestTimeoutMs,
        keepAliveTimeout: limits.idleTimeoutMs,
        connectionsCheckingInterval: Math.min(5_000, limits.headersTimeoutMs),
        requireHostHeader: false, // refused further on, with a problem document
        keepAlive: true, // finds clients that vanished without a word
        keepAliveInitialDelay: 30_000,
      })
      created.maxConnections = limits.maxConnections
      created.on('request', onRequest)
      created.on('connection', (socket: Socket) => {
        const address = addressOf(socket)
        sockets.add(socket)
        fresh.set(address, socket)
        socket.once('close', () => {
          sockets.delete(socket)
          fresh.delete(address)
        })
      })
      created.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => refuse(error, socket, answers))
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
      for (const answer of answers) if (!answer.headersSent) answer.shouldKeepAlive = false
      stopping.abort(new Error('the server stops'))
      running.closeIdleConnections()
      const done = new AbortController()
      const sleep = (ms: number) => clock.sleep(Math.max(0, ms), done.signal).catch(() => {})
      // A connection made just now brings its request in a moment; Node would let one that brings none wait for headersTimeout.
      await Promise.race([closed, sleep(Math.min(freshMs, deadline - clock.monotonic()))])
      for (const socket of fresh.values()) socket.destroy()
      await Promise.race([closed, sleep(deadline - clock.monotonic())])
      if (answers.size > 0) log.warn({ server: name, requests: answers.size }, 'requests cut off at the deadline')
      for (const socket of sockets) socket.destroy()
      await closed
      done.abort()
    },
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

/** One line when the limit is reached, not one for each connection that is turned away. */
function logDrops(server: HttpServer, { name, log, maxConnections }: { name: string; log: Log; maxConnections: number }): void {
  let dropping = false
  server.on('drop', () => {
    if (!dropping) log.warn({ server: name, maxConnections }, 'connections turned away, the limit is reached')
    dropping = true
  })
  server.on('connection', () => {
    dropping = false
  })
}

/** Answers what is no HTTP with a problem document, if an answer can still be understood, and closes the connection. */
function refuse(error: NodeJS.ErrnoException, socket: Socket, answers: ReadonlySet<ServerResponse>): void {
  const isHttp = error.code?.startsWith('HPE_') || error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
  // In the middle of an answer, a second head would be read as part of its body.
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
  return new Problem('invalid-request', 'What arrived is not HTTP/1.1.')
}
