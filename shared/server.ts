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
import { Admission } from './admission.ts'
import { type CertificateFiles, type Certificates, readCertificates, secureOptionsOf, watchCertificates } from './certificates.ts'
import { type Clock, systemClock } from './clock.ts'
import { Connections, type Marks } from './connections.ts'
import { Problem, problemDocument, problemMediaType } from './errors.ts'
import type { Part } from './lifecycle.ts'
import { SocketBytes, type Traffic } from './link/socket-bytes.ts'
import type { Log } from './log.ts'
import { formFault } from './request-form.ts'
import { Trust } from './trust.ts'

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
  /** How long a client may take nothing of a response that waits for it. A response on which it goes on reading may take any time. */
  writeTimeoutMs: number
  /** How long a connection without a request is kept. */
  idleTimeoutMs: number
  /** The same for a connection that never carried a request of a caller whom the app knows, and is not that of a proxy. */
  strangerIdleTimeoutMs: number
}

/** The defaults of `ServerLimits`. */
const serverLimits: ServerLimits = {
  maxHeaderBytes: 16 * 1024,
  maxConnections: 1024,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 60_000,
  writeTimeoutMs: 60_000,
  // Longer than cloudflared keeps its connections to the origin (keepAliveTimeout, 90 s): the client should close first. Otherwise a
  // request may meet a connection that is being closed, and a POST is not repeated.
  idleTimeoutMs: 120_000,
  strangerIdleTimeoutMs: 20_000,
}

/** The other end of a connection. */
type Peer = {
  address: string
  /** The client's certificate, if it is valid and signed by a CA of `clientCaFile`. */
  certificate: X509Certificate | undefined
}

/** A request and its response. */
export type Exchange = Marks & {
  incoming: IncomingMessage
  outgoing: ServerResponse
  peer: Peer
  /**
   * Aborts when the server stops, or when the client's certificate is no longer trusted: long responses, such as event streams, must end
   * then.
   */
  stopping: AbortSignal
}

/** The handler of requests (`byFetch` of fetch.ts makes one of a Hono app), and tools. */
export type ServerNeeds = {
  name?: string
  /** If it rejects, the connection is cut off and the error is logged. */
  answer: (exchange: Exchange) => void | Promise<void>
  /** Headers that the app reads as one value, besides `Host` and the like: a request that has one of them twice is refused. */
  singularHeaders?: readonly string[]
  log: Log
  clock?: Clock
}

/** A server as a part. It accepts requests from the end of `start` to the beginning of `stop`. */
export type ServerPart = Part & {
  /** The port it listens on; the system chooses one for port 0. @throws Error before it has started */
  port(): number
  statistics(): ServerStatistics
}

/** The connections of a server: those that are open, and how many were closed or refused to keep it answering. */
export type ServerStatistics = {
  name: string
  open: number
  /** Closed to make room for others. */
  spared: number
  /** Refused, because none could be closed. */
  refused: number
  /** Closed because the client did not read its response. */
  stalled: number
  /** How often no file descriptor was left, so that the system refused connections. */
  outOfDescriptors: number
  /** Requests refused for their form, which the app never saw. */
  malformed: number
  /** Bytes of all connections so far, with TLS. */
  bytes: Traffic
}

/** A server with a certificate; `isStale`: its files have changed, and are invalid now. @throws Error before it has started */
export type TlsServerPart = ServerPart & { certificate(): Pick<Certificates, 'fingerprint' | 'expiresAt' | 'crl'> & { isStale: boolean } }

/**
 * An HTTPS server (HTTP/1.1). New connections use a new certificate in its files, and no connection is dropped; an invalid one is logged
 * and ignored. With `clientCaFile` it requests client certificates, but also accepts clients without one. When the CAs or the revocation
 * lists change, connections with client certificates end (trust.ts). `start` throws the fault of the files or the address.
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
  const trust = new Trust()
  let leaving = Promise.resolve()
  let isStale = false

  const part = createListener(config, { name: 'api', ...needs, trust }, async (options) => {
    certificates = await readCertificates(config.tls)
    const server = createHttpsServer({
      ...options,
      ...secureOptionsOf(certificates),
      requestCert: config.tls.clientCaFile !== undefined,
      rejectUnauthorized: false, // the app authenticates: tokens are accepted as well as certificates
      handshakeTimeout: options.headersTimeout,
    })
    server.on('connection', (socket: Socket) => trust.accepted(socket))
    server.on('secureConnection', (socket) => trust.opened(socket))
    const use = (next: Certificates, isTrustChanged: boolean) => {
      // A new context has new ticket keys: no session from before a change of the CAs, or before the end of a list, is resumed.
      server.setSecureContext(secureOptionsOf(next))
      if (isTrustChanged) {
        const before = leaving
        leaving = trust.changed(clock, watching.signal).then(() => before)
      }
      certificates = next
    }
    const stale = (isNow: boolean) => {
      isStale = isNow
    }
    watched = watchCertificates(config.tls, { current: certificates, signal: watching.signal, clock, log, use, stale })
    return server
  })
  return {
    ...part,
    certificate: () => ({ ...inUse(), isStale }),
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
      await Promise.all([part.stop(deadline), watched, leaving])
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

/** Headers with one value, which decide on the request (RFC 9110). */
const singularHeaders = ['host', 'authorization', 'proxy-authorization', 'content-type', 'content-length']

function createListener(
  config: ListenConfig,
  { name, answer, log, clock = systemClock, trust, ...needs }: ServerNeeds & { name: string; trust?: Trust },
  create: (options: Options) => Promise<HttpServer | HttpsServer>,
): ServerPart {
  const limits = { ...serverLimits, ...definedOnly(config) }
  const singular = new Set([...singularHeaders, ...(needs.singularHeaders ?? []).map((header) => header.toLowerCase())])
  const stopping = new AbortController()
  const connections = new Connections(clock.monotonic)
  const admission = new Admission({ name, limits, connections, log, clock })
  const bytes = new SocketBytes()
  let server: HttpServer | HttpsServer | undefined
  let sweeping = Promise.resolve()

  async function onRequest(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const marks = connections.requested(incoming, outgoing)
    trust?.requested(incoming.socket, outgoing)
    // A request that arrives during the stop is answered, and the client must use another connection afterwards.
    if (stopping.signal.aborted) outgoing.shouldKeepAlive = false
    outgoing.on('close', () => {
      // Its head, sent before the stop, may have promised to keep the connection.
      if (stopping.signal.aborted) setImmediate(() => server?.closeIdleConnections())
    })
    try {
      const fault = formFault(incoming, singular)
      if (fault !== undefined) {
        admission.malformed(fault)
        return sendProblem(outgoing, new Problem('invalid-request', fault))
      }
      const { socket } = incoming
      const peer = { address: socket.remoteAddress ?? '', certificate: trust?.certificateOf(socket) }
      await answer({ incoming, outgoing, peer, stopping: trust?.until(socket, stopping.signal) ?? stopping.signal, ...marks })
    } catch (error) {
      log.error({ err: error, server: name }, 'request failed')
      outgoing.destroy()
    }
  }

  return {
    name,
    statistics: () => ({ name, open: connections.size, ...admission.counts, bytes: bytes.total }),
    port() {
      const address = server?.address() as AddressInfo | null | undefined
      if (!address) throw new Error(`the ${name} server does not listen`)
      return address.port
    },
    async start(signal) {
      const created = await create(optionsOf(limits))
      created.on('request', (incoming, outgoing) => void onRequest(incoming, outgoing))
      created.on('connection', (socket: Socket) => {
        bytes.count(socket)
        admission.admit(socket)
      })
      created.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
        if (error.code?.startsWith('HPE_')) admission.malformed(problemOfClientError(error).detail)
        refuse(error, socket, connections.responses)
      })
      await listen(created, config, signal)
      created.on('error', (error) => log.error({ err: error, server: name }, 'server failed to accept a connection'))
      server = created
      sweeping = admission.sweep(stopping.signal)
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
      await Promise.all([closed, sweeping])
      done.abort()
    },
  }
}

function optionsOf(limits: ServerLimits): Options {
  return {
    maxHeaderSize: limits.maxHeaderBytes,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: 0, // `Admission` closes idle connections, those of strangers sooner
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

/** Answers a request that the app does not see, and closes the connection: the two sides may not agree where a request ends. */
function sendProblem(outgoing: ServerResponse, problem: Problem): void {
  const body = JSON.stringify(problemDocument(problem))
  outgoing.shouldKeepAlive = false
  outgoing.writeHead(problem.status, {
    'content-type': problemMediaType,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
  })
  outgoing.end(outgoing.req.method === 'HEAD' ? undefined : body)
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
