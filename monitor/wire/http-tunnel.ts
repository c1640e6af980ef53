import { type ClientRequest, request as httpRequest } from 'node:http'
import type { Socket } from 'node:net'
import { percentDecoded } from '../../shared/discretion.ts'
import { maxHeadBytes, meaningOf } from './http-exchange.ts'
import { CheckFailure } from './reasons.ts'
import { asError } from './socket.ts'
import { shorten } from './wording.ts'

/** The field with the credentials of a proxy's URL; none without credentials. */
export function proxyAuthorizationOf({ username, password }: URL): Record<string, string> {
  if (username === '' && password === '') return {}
  const text = `${percentDecoded(username)}:${percentDecoded(password)}`
  return { 'Proxy-Authorization': `Basic ${Buffer.from(text).toString('base64')}` }
}

/**
 * Asks a proxy for a tunnel (RFC 9110, section 9.3.6). Afterwards the connection belongs to the target.
 * @param socket an open connection to the proxy, with TLS if its URL asks for it
 * @param authority host and port of the target
 * @throws CheckFailure, the connection's error, or the signal's reason
 */
export function openTunnel(
  socket: Socket,
  { proxy, authority, headers, signal }: { proxy: URL; authority: string; headers: Record<string, string | string[]>; signal: AbortSignal },
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(asError(signal.reason))
    const fail = (error: Error) => {
      signal.removeEventListener('abort', onAbort)
      reject(error)
    }
    const onAbort = () => fail(asError(signal.reason))
    signal.addEventListener('abort', onAbort, { once: true })
    let request: ClientRequest
    try {
      request = httpRequest({
        createConnection: () => socket,
        method: 'CONNECT',
        path: authority,
        setHost: false,
        insecureHTTPParser: false,
        maxHeaderSize: maxHeadBytes,
        // Without an agent Node would say `Connection: close`, which a proxy could take at its word.
        headers: { Host: authority, 'User-Agent': 'skerry-monitor', Connection: 'keep-alive', ...headers },
      })
    } catch (error) {
      // The message could quote a field, which may be a secret.
      return fail(new CheckFailure('misconfigured', 'A header field for the proxy cannot be sent.', { cause: error }))
    }
    request.on('error', (error) => fail(meaningOf(error, proxy)))
    request.on('connect', ({ statusCode = 0, statusMessage = '' }, _, head: Buffer) => {
      // As in Go's client: only 200 opens the tunnel.
      if (statusCode !== 200)
        return fail(new CheckFailure('unexpected_answer', refusalOf(statusCode, shorten(statusMessage, 60)), { cause: statusCode }))
      // The client speaks first in TLS: what came before cannot be from the target.
      if (head.length > 0) return fail(new CheckFailure('protocol', 'The proxy sends bytes before the target can have sent any.'))
      signal.removeEventListener('abort', onAbort)
      resolve()
    })
    request.end()
  })
}

function refusalOf(status: number, message: string): string {
  const cure = status === 407 ? 'Correct the credentials in its URL.' : 'See its log.'
  return `The proxy does not open a tunnel: ${`${status} ${message}`.trim()}. ${cure}`
}
