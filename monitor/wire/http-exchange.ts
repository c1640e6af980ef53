import { type ClientRequest, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { connect, isIP, type Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { TLSSocket, connect as tlsConnect } from 'node:tls'
import { trustSystem } from '../../shared/system-trust.ts'
import { GrowingBuffer } from './growing-buffer.ts'
import { CheckFailure } from './reasons.ts'
import { asError, defaultMaxBytes } from './socket.ts'
import { earliestExpiry, sniOf, type TlsSettings } from './tls.ts'
import { shorten } from './wording.ts'

/** The most bytes of status line and header fields together. */
export const maxHeadBytes = 16 * 1024

/** One request on a new connection. */
export type Exchange = {
  url: URL
  method?: string | undefined
  headers?: Record<string, string> | undefined
  body?: string | Buffer | undefined
  /** What is asked for; by default path and query of the URL. A proxy is asked for a whole URL. */
  requestTarget?: string | undefined
  /** An open connection to use, with TLS if the URL asks for it. The exchange destroys it. */
  socket?: Socket | undefined
  /** A Unix socket to use instead of the URL's host and port. */
  socketPath?: string | undefined
  tls?: TlsSettings | undefined
  /** The most bytes of the body to read; 1 MiB by default. */
  maxBytes?: number | undefined
  /** Whether a longer body is cut. By default it fails the exchange with `too_large`. */
  cut?: boolean | undefined
  /** Whether the body is read to its end whatever comes: more than `maxBytes` is counted, and a fault is told in the answer. */
  count?: boolean | undefined
  signal: AbortSignal
}

/** The duration of each phase of a request, in milliseconds; 0 for a phase that did not happen. */
type Phases = Record<'resolve' | 'connect' | 'tls' | 'processing' | 'transfer', number>

/** An answer, read to its end or up to `maxBytes`. */
export type Answer = {
  status: number
  httpVersion: string
  headers: IncomingHttpHeaders
  body: Buffer
  /** With `count`: the bytes of the whole body, and why it could not be read to its end. */
  bodyBytes?: number
  bodyFault?: Error
  phases: Phases
  /** `expiresAt` is when the first certificate of the server's chain expires, as a Unix time in milliseconds. */
  tls?: { version: string; expiresAt: number }
}

/**
 * Sends one HTTP/1.1 request on a new connection and reads the answer. Redirects are not followed; nothing is retried or decompressed.
 * Head (16 KiB), body and time are bounded; an abort closes the connection.
 * @throws CheckFailure, the connection's error, or the signal's reason
 */
export function exchange(given: Exchange): Promise<Answer> {
  const { url, signal } = given
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const socket = open(given)
    const timesOf = watchPhases(socket, url)
    let response: IncomingMessage | undefined

    const finish = (settle: () => void) => {
      signal.removeEventListener('abort', onAbort)
      settle()
      socket.destroy()
    }
    const fail = (error: Error) => finish(() => reject(error))
    const onAbort = () => fail(asError(signal.reason))
    signal.addEventListener('abort', onAbort, { once: true })
    socket.on('error', fail)
    let request: ClientRequest
    try {
      request = requestOn(socket, given)
    } catch (error) {
      return fail(error as Error)
    }
    request.on('error', (error) => {
      // Bytes behind the end of an answer are ignored.
      if (response?.complete !== true) fail(meaningOf(error, url))
    })
    request.on('response', (found) => {
      response = found
      const { statusCode: status = 0, httpVersion, headers } = found
      const security = securityOf(socket)
      const read = given.count ? countBody(found, given) : readBody(found, given).then((body) => ({ body }))
      read.then((body) => finish(() => resolve({ status, httpVersion, headers, ...body, ...timesOf(), ...security })), fail)
    })
    request.end(given.body)
  })
}

/** Watches the phases of an exchange. The function returned gives their durations when the answer is complete. */
function watchPhases(socket: Socket, url: URL): () => Pick<Answer, 'phases'> {
  const started = performance.now()
  /** When each phase ended, in milliseconds since the start. */
  const ends: { resolve?: number; connect?: number; tls?: number; processing?: number } = {}
  const mark = (phase: keyof typeof ends) => () => {
    ends[phase] = performance.now() - started
  }
  if (isIP(hostOf(url)) === 0) socket.once('lookup', mark('resolve'))
  socket.once('connect', mark('connect'))
  if (url.protocol === 'https:') socket.once('secureConnect', mark('tls'))
  socket.once('data', mark('processing'))
  return () => {
    const ms = performance.now() - started
    const { resolve = 0, connect = resolve, tls = connect, processing = tls } = ends
    return { phases: { resolve, connect: connect - resolve, tls: tls - connect, processing: processing - tls, transfer: ms - processing } }
  }
}

function requestOn(socket: Socket, { url, method, headers, body, requestTarget = url.pathname + url.search }: Exchange): ClientRequest {
  // Without an agent nobody else uses the connection, and the request says `Connection: close`.
  const create = () =>
    httpRequest({
      createConnection: () => socket,
      method,
      path: requestTarget,
      setHost: false,
      insecureHTTPParser: false,
      maxHeaderSize: maxHeadBytes,
      joinDuplicateHeaders: true,
      headers: {
        Host: url.host,
        'User-Agent': 'skerry-monitor',
        Accept: '*/*',
        ...(body !== undefined && { 'Content-Length': Buffer.byteLength(body) }),
        // Node treats names without case, so that a given field replaces one of ours.
        ...headers,
      },
    })
  return guarded(create, (error) => socket.destroy(error))
}

/**
 * A request that calls `refuse` when the server floods it with interim answers, or switches protocols.
 * @throws CheckFailure `misconfigured` for a header field that cannot be sent
 */
export function guarded(create: () => ClientRequest, refuse: (error: Error) => void): ClientRequest {
  let request: ClientRequest
  try {
    request = create()
  } catch (error) {
    const said = shorten((error as Error).message, 120)
    throw new CheckFailure('misconfigured', `The request cannot be sent: ${said}. Correct the header fields of the check.`, {
      cause: error,
    })
  }
  let interim = 0
  request.on('information', () => {
    if (++interim > 10) refuse(violation('more than ten interim answers'))
  })
  request.on('upgrade', (_answer, socket) => {
    refuse(violation('it switches protocols unasked'))
    socket.destroy()
  })
  return request
}

/** Reads a body of at most `maxBytes`. @throws CheckFailure for a longer one, and for one that is cut off */
export function readBody(
  response: IncomingMessage,
  { maxBytes = defaultMaxBytes, cut }: Pick<Exchange, 'maxBytes' | 'cut'>,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const body = new GrowingBuffer()
    response.on('data', (chunk: Buffer) => {
      const room = maxBytes - body.size
      body.append(chunk.subarray(0, room))
      if (chunk.length <= room) return
      if (cut) resolve(body.bytes)
      else reject(new CheckFailure('too_large', `The answer has more than ${maxBytes} bytes. Is this the right address?`))
    })
    response.on('end', () => resolve(body.bytes))
    response.on('error', () => reject(cutOff(`after ${body.size} bytes of the body, before its end`)))
  })
}

/** Reads a body to its end, of which it keeps the beginning. */
export function countBody(
  stream: Readable,
  { maxBytes = defaultMaxBytes, signal }: Pick<Exchange, 'maxBytes' | 'signal'>,
): Promise<{ body: Buffer; bodyBytes: number; bodyFault?: Error }> {
  return new Promise((resolve) => {
    const kept = new GrowingBuffer()
    let bodyBytes = 0
    const end = (bodyFault?: Error) => {
      signal.removeEventListener('abort', onAbort)
      resolve({ body: kept.bytes, bodyBytes, ...(bodyFault && { bodyFault }) })
    }
    const onAbort = () => end(asError(signal.reason))
    signal.addEventListener('abort', onAbort, { once: true })
    stream.on('data', (chunk: Buffer) => {
      bodyBytes += chunk.length
      kept.append(chunk.subarray(0, Math.max(0, maxBytes - kept.size)))
    })
    stream.on('end', () => end())
    stream.on('error', () => end(cutOff(`after ${bodyBytes} bytes of the body, before its end`)))
    stream.on('close', () => end(cutOff(`after ${bodyBytes} bytes of the body, before its end`)))
  })
}

function open({ url, socket, socketPath, tls }: Exchange): Socket {
  if (socket !== undefined) return socket
  if (socketPath !== undefined) return connect({ path: socketPath })
  const secure = url.protocol === 'https:'
  if (secure && tls === undefined) trustSystem()
  const host = hostOf(url)
  const target = { host, port: Number(url.port) || (secure ? 443 : 80) }
  return secure ? tlsConnect({ ...target, servername: sniOf(host), ...tls, ALPNProtocols: ['http/1.1'] }) : connect(target)
}

/** The host of a URL, without the brackets of an IPv6 address. */
export function hostOf({ hostname }: URL): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname
}

/** An error of Node's client as a failure of the check. An error of the connection is returned as it is. */
export function meaningOf(error: NodeJS.ErrnoException & { reason?: string; rawPacket?: Buffer }, url: URL): Error {
  const { reason = error.message, rawPacket } = error
  // A DOMException, such as that of a time limit, has a number.
  const code = String(error.code ?? '')
  if (code === 'HPE_HEADER_OVERFLOW')
    return new CheckFailure('too_large', `The head of the answer has more than ${maxHeadBytes} bytes. Is this the right address?`, {
      cause: error,
    })
  // An alert of TLS (RFC 8446, section 6) is what a server with TLS answers to plain HTTP, if it answers at all.
  if (code === 'HPE_INVALID_CONSTANT' && rawPacket?.[0] === 0x15 && rawPacket[1] === 3)
    return new CheckFailure('protocol', 'The server speaks TLS on this port. Use https:// in the URL.', { cause: error })
  if (code === 'HPE_INVALID_CONSTANT' && rawPacket)
    return violation(`it begins with ${shorten(JSON.stringify(rawPacket.toString('latin1', 0, 24)), 60)}`)
  if (code.startsWith('HPE_')) return violation(shorten(reason, 100))
  // Node makes this error when the server closes the connection. One from the system names its call.
  if (code === 'ECONNRESET' && error.syscall === undefined)
    return cutOff('without an answer', url.protocol === 'http:' ? 'See its log. Does it expect https:// on this port?' : undefined)
  return error
}

function violation(what: string): CheckFailure {
  return new CheckFailure('protocol', `The answer is not HTTP/1.1: ${what}. Is this the right service, port and scheme?`)
}

function cutOff(when: string, hint = 'See its log.'): CheckFailure {
  return new CheckFailure('connection_lost', `The server closed the connection ${when}. ${hint}`)
}

function securityOf(socket: Socket): Pick<Answer, 'tls'> {
  if (!(socket instanceof TLSSocket)) return {}
  return { tls: { version: socket.getProtocol() ?? '', expiresAt: earliestExpiry(socket) } }
}
