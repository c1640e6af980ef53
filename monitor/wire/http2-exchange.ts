import { connect, type IncomingHttpHeaders } from 'node:http2'
import type { Socket } from 'node:net'
import { type Answer, countBody, type Exchange } from './http-exchange.ts'
import { CheckFailure } from './reasons.ts'
import { asError } from './socket.ts'
import { shorten } from './wording.ts'

/** The most bytes of header fields, as of an answer of HTTP/1.1. */
const maxHeadBytes = 16 * 1024

/** Fields of HTTP/1.1 about the connection, which HTTP/2 does not have (RFC 9113, section 8.2.2). */
const ofConnection = new Set(['connection', 'host', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'])

/**
 * Sends one HTTP/2 request on an open connection for which ALPN chose `h2`, and reads the answer to its end, as `exchange` does with `count`.
 * The connection is destroyed. Head, body and time are bounded.
 * @throws CheckFailure, the connection's error, or the signal's reason
 */
export function exchangeHttp2(
  socket: Socket,
  { url, method = 'GET', headers = {}, body, maxBytes, signal }: Omit<Exchange, 'socket'>,
): Promise<Omit<Answer, 'tls'>> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(asError(signal.reason))
    const started = performance.now()
    let answered = started
    const session = connect(url.origin, {
      createConnection: () => socket,
      maxHeaderListPairs: 256,
      settings: { enablePush: false, maxHeaderListSize: maxHeadBytes },
    })
    const finish = (settle: () => void) => {
      signal.removeEventListener('abort', onAbort)
      settle()
      session.destroy()
      socket.destroy()
    }
    const fail = (error: Error) => finish(() => reject(meaningOf(error)))
    const onAbort = () => fail(asError(signal.reason))
    signal.addEventListener('abort', onAbort, { once: true })
    const lost = () => fail(new CheckFailure('connection_lost', 'The server closed the connection without an answer. See its log.'))
    session.on('error', fail).on('close', lost)
    const stream = session.request(requestHeaders({ url, method, headers, body }))
    stream.on('error', fail).on('close', lost)
    stream.on('response', (found) => {
      answered = performance.now()
      const { ':status': status = 0 } = found
      countBody(stream, { maxBytes, signal }).then((read) => {
        const phases = { resolve: 0, connect: 0, tls: 0, processing: answered - started, transfer: performance.now() - answered }
        finish(() => resolve({ status, httpVersion: '2.0', headers: plainHeaders(found), ...read, phases }))
      }, fail)
    })
    stream.end(body)
  })
}

function requestHeaders({ url, method, headers, body }: Required<Pick<Exchange, 'url' | 'method' | 'headers'>> & Pick<Exchange, 'body'>) {
  const given = Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), value] as const)
  const host = given.find(([name]) => name === 'host')?.[1]
  return {
    ':method': method,
    ':scheme': url.protocol.slice(0, -1),
    ':path': url.pathname + url.search,
    ':authority': host ?? url.host,
    'user-agent': 'skerry-monitor',
    accept: '*/*',
    ...(body !== undefined && { 'content-length': String(Buffer.byteLength(body)) }),
    ...Object.fromEntries(given.filter(([name]) => !ofConnection.has(name))),
  }
}

/** The fields as HTTP/1.1 would have them: without those that begin with a colon. */
function plainHeaders(headers: IncomingHttpHeaders): Answer['headers'] {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith(':')))
}

function meaningOf(error: Error): Error {
  // A DOMException, such as that of a time limit, has a number.
  const code = String((error as NodeJS.ErrnoException).code ?? '')
  if (!code.startsWith('ERR_HTTP2')) return error
  return new CheckFailure('protocol', `The answer violates HTTP/2: ${shorten(error.message, 100)}. See the log of the service.`, {
    cause: error,
  })
}
