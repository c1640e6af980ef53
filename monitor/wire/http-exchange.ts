import { connect, isIP, type LookupFunction, type Socket } from 'node:net'
import { type SecureContext, type TLSSocket, connect as tlsConnect } from 'node:tls'
import { createResponseReader } from './http-response.ts'
import { CheckFailure } from './reasons.ts'
import { asError, defaultMaxBytes } from './socket.ts'

/** How a TLS connection is made. The context is shared between runs: reading the authorities anew would cost most of a handshake. */
export type TlsSettings = {
  secureContext?: SecureContext | undefined
  servername?: string | undefined
  /** False connects to whatever certificate there is. */
  verify?: boolean | undefined
}

/** One request on a connection of its own. */
export type Exchange = {
  url: URL
  method?: string | undefined
  headers?: Record<string, string> | undefined
  body?: string | Buffer | undefined
  /** A Unix socket to use instead of the URL's host and port. */
  socketPath?: string | undefined
  tls?: TlsSettings | undefined
  /** Most of the body that is read. 1 MiB when left out. */
  maxBytes?: number | undefined
  /** What happens with a longer body: it is cut there, or the exchange fails with `too_large`, which is the default. */
  cut?: boolean | undefined
  /** Replaces the resolver, so that an address that has been checked is the one that is used. */
  lookup?: LookupFunction | undefined
  signal: AbortSignal
}

/** When, in milliseconds since the request was made, each phase ended. One that did not happen is undefined. */
export type Moments = { resolved?: number; connected?: number; secured?: number; answered?: number; ended?: number }

/** An answer, read to its end or to `maxBytes`. */
export type Answer = {
  status: number
  httpVersion: string
  /** Names in lower case. */
  headers: Record<string, string>
  body: Buffer
  moments: Moments
  /** Of the peer, as an IP address; undefined on a Unix socket. */
  address: string | undefined
  /** The connection's security; `expiresAt` is when the first certificate of the peer's chain expires, in Unix ms. */
  tls?: { version: string; cipher: string; expiresAt: number }
}

/**
 * Sends one HTTP/1.1 request on a new connection and reads the answer. Redirects are not followed, nothing is retried or decompressed.
 * Head (16 KiB), body and time are bounded; an abort destroys the connection.
 * @throws CheckFailure, the connection's error, or the signal's reason
 */
export function exchange(given: Exchange): Promise<Answer> {
  const { url, signal, method = 'GET' } = given
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const request = requestOf(given, method)
    const reader = createResponseReader({
      hasBody: method !== 'HEAD',
      maxBytes: given.maxBytes ?? defaultMaxBytes,
      cut: given.cut === true,
    })
    const started = performance.now()
    const moments: Moments = {}
    const socket = open(given, url)

    const finish = (settle: () => void) => {
      signal.removeEventListener('abort', onAbort)
      settle()
      socket.destroy()
    }
    const complete = () => {
      moments.ended = performance.now() - started
      const head = reader.head()
      if (head !== undefined) finish(() => resolve({ ...head, body: reader.body(), moments, ...peerOf(socket) }))
    }
    const onAbort = () => finish(() => reject(asError(signal.reason)))
    signal.addEventListener('abort', onAbort, { once: true })
    socket.on('error', (error) => finish(() => reject(error)))
    if (isIP(hostOf(url)) === 0) socket.once('lookup', () => (moments.resolved = performance.now() - started))
    socket.once('connect', () => (moments.connected = performance.now() - started))
    if (url.protocol === 'https:') socket.once('secureConnect', () => (moments.secured = performance.now() - started))
    socket.write(request)
    socket.on('data', (chunk: Buffer) => {
      moments.answered ??= performance.now() - started
      try {
        if (reader.push(chunk)) complete()
      } catch (error) {
        finish(() => reject(error))
      }
    })
    socket.on('end', () => {
      if (reader.end()) return complete()
      const far = reader.head() === undefined ? 'without an answer' : `after ${reader.body().length} bytes of the body, before its end`
      finish(() => reject(new CheckFailure('connection_lost', `It closed the connection ${far}. See its log.`)))
    })
  })
}

function open({ socketPath, tls = {}, lookup }: Exchange, url: URL): Socket {
  if (socketPath !== undefined) return connect({ path: socketPath })
  const secure = url.protocol === 'https:'
  const host = hostOf(url)
  const target = { host, port: Number(url.port) || (secure ? 443 : 80), ...(lookup && { lookup }) }
  if (!secure) return connect(target)
  const name = tls.servername ?? host
  return tlsConnect({
    ...target,
    ...(tls.secureContext && { secureContext: tls.secureContext }),
    rejectUnauthorized: tls.verify !== false,
    ALPNProtocols: ['http/1.1'],
    // An address is not allowed as a server name (RFC 6066, section 3); the certificate is held against it all the same.
    ...(isIP(name) === 0 ? { servername: name } : {}),
  })
}

/** The host of a URL, without the brackets of an IPv6 address. */
export function hostOf({ hostname }: URL): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname
}

/** The bytes of the request. @throws CheckFailure `misconfigured` for a field that cannot be sent */
function requestOf({ url, headers = {}, body }: Exchange, method: string): string | Buffer {
  const fields: Record<string, string> = { Host: url.host, 'User-Agent': 'skerry-monitor', Accept: '*/*' }
  // A field that is given replaces ours, however it is written.
  for (const [name, value] of Object.entries(headers)) {
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) || /[\r\n\0]/.test(value))
      throw new CheckFailure(
        'misconfigured',
        `The header field ${JSON.stringify(name.slice(0, 60))} cannot be sent: see its name and that its value is one line.`,
      )
    const same = Object.keys(fields).find((key) => key.toLowerCase() === name.toLowerCase())
    fields[same ?? name] = value
  }
  let head = `${method} ${url.pathname}${url.search} HTTP/1.1\r\nConnection: close\r\n`
  for (const name in fields) head += `${name}: ${fields[name]}\r\n`
  if (body === undefined) return `${head}\r\n`
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  return Buffer.concat([Buffer.from(`${head}Content-Length: ${bytes.length}\r\n\r\n`), bytes])
}

function peerOf(socket: Socket): Pick<Answer, 'address' | 'tls'> {
  const address = socket.remoteAddress
  if (!('getPeerCertificate' in socket)) return { address }
  const tls = socket as TLSSocket
  return { address, tls: { version: tls.getProtocol() ?? '', cipher: tls.getCipher()?.name ?? '', expiresAt: earliestExpiry(tls) } }
}

/** When the first certificate of the peer's chain expires, in Unix ms; NaN when it showed none. */
export function earliestExpiry(socket: TLSSocket): number {
  const seen = new Set<string>()
  let earliest = Number.POSITIVE_INFINITY
  let certificate = socket.getPeerCertificate(true)
  while (certificate?.valid_to !== undefined && !seen.has(certificate.fingerprint256)) {
    seen.add(certificate.fingerprint256)
    earliest = Math.min(earliest, Date.parse(certificate.valid_to))
    certificate = certificate.issuerCertificate
  }
  return seen.size === 0 ? Number.NaN : earliest
}
