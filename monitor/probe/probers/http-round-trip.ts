import { open } from 'node:fs/promises'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { type Answer, type Exchange, exchange, hostOf } from '../../wire/http-exchange.ts'
import { CheckFailure } from '../../wire/reasons.ts'
import { openSocket } from '../../wire/socket.ts'
import { earliestExpiry, earliestSentExpiry, secure, sniOf, tlsOf } from '../../wire/tls.ts'
import type { HttpSettings } from '../modules/http.ts'
import type { Resolved } from '../resolve.ts'
import { close, type ProbeSeries, setCertificate, setTls } from '../series.ts'
import type { ProbeRun } from './prober.ts'
import { trustOf } from './tls.ts'

/** The most bytes of a request's body. */
const maxRequestBytes = 1024 * 1024

/** The body of a module's request. @throws CheckFailure `misconfigured` if its file cannot be read or is too large */
export async function requestBody({ body, body_file: path }: HttpSettings): Promise<string | Buffer | undefined> {
  if (path === undefined || path === '') return body === '' ? undefined : body
  try {
    const file = await open(path)
    try {
      const found = await file.stat()
      if (!found.isFile()) throw new Error('it is not a regular file')
      if (found.size > maxRequestBytes) throw new Error(`it is larger than ${maxRequestBytes / 1024} KiB`)
      return await file.readFile()
    } finally {
      await file.close()
    }
  } catch (error) {
    throw new CheckFailure('misconfigured', `The file of body_file cannot be read: ${(error as Error).message}`, { cause: error })
  }
}

/** Where a request goes: the address that was checked, and whether it is the target's own origin. */
type Way = Pick<ProbeRun, 'hostname' | 'series' | 'dialogue' | 'signal'> & { resolved: Resolved; isFirst: boolean }

/**
 * Sends one request on a new connection, and reads the answer to its end: over TLS by HTTP/2 if the server chooses it. The series about TLS are
 * those of the last connection.
 */
export async function roundTrip(
  config: HttpSettings,
  request: Pick<Exchange, 'url' | 'method' | 'headers' | 'body' | 'maxBytes'>,
  way: Way,
): Promise<Answer> {
  const { resolved, signal } = way
  const started = performance.now()
  const tcp = await openSocket({ host: resolved.address, port: resolved.port }, signal)
  try {
    const connected = performance.now()
    const isSecure = request.url.protocol === 'https:'
    const socket: Socket = isSecure ? await startTls(tcp, config, request.url, way) : tcp
    const tlsMs = isSecure ? performance.now() - connected : 0
    const answer = await send(socket, { ...request, signal })
    return { ...answer, phases: { ...answer.phases, connect: connected - started, tls: tlsMs } }
  } finally {
    close(tcp)
  }
}

async function send(socket: Socket, given: Omit<Exchange, 'socket'>): Promise<Answer> {
  if ((socket as TLSSocket).alpnProtocol !== 'h2') return exchange({ ...given, socket, count: true })
  const { exchangeHttp2 } = await import('../../wire/http2-exchange.ts')
  return exchangeHttp2(socket, given)
}

async function startTls(tcp: Socket, config: HttpSettings, url: URL, { hostname, series, dialogue, isFirst }: Way): Promise<TLSSocket> {
  const host = hostOf(url)
  const [, named] = Object.entries(config.headers).find(([name]) => name.toLowerCase() === 'host') ?? []
  const settings = tlsOf(trustOf(config.tls_config), hostname ?? named ?? host)
  const ALPNProtocols = config.enable_http2 ? ['h2', 'http/1.1'] : ['http/1.1']
  // As in blackbox_exporter: the server name of the module is for the target, not for another origin.
  const tls = await secure(tcp, { ...settings, ...(!isFirst && { servername: sniOf(host) }), ALPNProtocols }, host)
  describeTls(tls, config, series)
  dialogue.say('TLS connection', { version: tls.getProtocol() ?? '', protocol: tls.alpnProtocol || 'none' })
  return tls
}

function describeTls(tls: TLSSocket, config: HttpSettings, series: ProbeSeries): void {
  setCertificate(series, tls)
  const chainExpiresAt = earliestExpiry(tls)
  setTls(series, {
    expiresAt: earliestSentExpiry(tls),
    chainExpiresAt,
    version: tls.getProtocol() ?? '',
    trusted: !config.tls_config.insecure_skip_verify,
  })
}
