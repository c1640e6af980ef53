import { open } from 'node:fs/promises'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { type Answer, type Exchange, exchange, hostOf } from '../../wire/http-exchange.ts'
import { openTunnel, proxyAuthorizationOf } from '../../wire/http-tunnel.ts'
import { CheckFailure } from '../../wire/reasons.ts'
import { openSocket } from '../../wire/socket.ts'
import { secure, sniOf, tlsOf } from '../../wire/tls.ts'
import type { HttpSettings } from '../modules/http.ts'
import { close, setTls } from '../series.ts'
import type { Route } from './http-route.ts'
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

/** Where a request goes, and whether it is the target's own origin. */
type Way = Pick<ProbeRun, 'hostname' | 'series' | 'dialogue' | 'signal'> & { route: Route; isFirst: boolean }

/**
 * Sends one request on a new connection, and reads the answer to its end: over TLS by HTTP/2 if the server chooses it. The series about TLS are
 * those of the last connection.
 */
export async function roundTrip(
  config: HttpSettings,
  request: Pick<Exchange, 'url' | 'method' | 'headers' | 'body' | 'maxBytes'>,
  way: Way,
): Promise<Answer> {
  const { route, signal } = way
  const started = performance.now()
  const tcp = await openSocket({ host: route.address, port: route.port }, signal)
  try {
    const isSecure = request.url.protocol === 'https:'
    const link = await throughProxy(tcp, config, isSecure, way)
    const connected = performance.now()
    const socket: Socket = isSecure ? await startTls(link, config, request.url, way) : link
    const tlsMs = isSecure ? performance.now() - connected : 0
    const answer = await send(socket, { ...(isSecure ? request : forProxy(request, route)), signal })
    return { ...answer, phases: { ...answer.phases, connect: connected - started, tls: tlsMs } }
  } finally {
    close(tcp)
  }
}

/** The connection to the target: as it is without a proxy, with TLS for a proxy that asks for it, and through its tunnel to TLS. */
async function throughProxy(
  tcp: Socket,
  config: HttpSettings,
  isSecure: boolean,
  { route: { proxy }, signal }: Pick<Way, 'route' | 'signal'>,
): Promise<Socket> {
  if (proxy === undefined) return tcp
  const { url, authority } = proxy
  const host = hostOf(url)
  // The server name of the module is the target's, not the proxy's.
  const settings = { ...tlsOf(trustOf(config.tls_config), host), servername: sniOf(host), ALPNProtocols: ['http/1.1'] }
  const link = url.protocol === 'https:' ? await secure(tcp, settings, host) : tcp
  if (isSecure) {
    const fields = Object.entries(config.proxy_connect_header).map(([name, values]) => [name, values.map((value) => value.reveal())])
    await openTunnel(link, { proxy: url, authority, headers: { ...Object.fromEntries(fields), ...proxyAuthorizationOf(url) }, signal })
  }
  return link
}

/** A request without TLS, as a proxy is asked (RFC 9112, section 3.2.2). */
function forProxy(
  request: Parameters<typeof roundTrip>[1],
  { proxy }: Route,
): Parameters<typeof roundTrip>[1] & Pick<Exchange, 'requestTarget'> {
  if (proxy === undefined) return request
  const { url, headers } = request
  const requestTarget = `http://${proxy.authority}${url.pathname}${url.search}`
  return { ...request, requestTarget, headers: { ...headers, host: proxy.authority, ...proxyAuthorizationOf(proxy.url) } }
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
  setTls(series, tls, !config.tls_config.insecure_skip_verify)
  dialogue.say('TLS connection', { version: tls.getProtocol() ?? '', protocol: tls.alpnProtocol || 'none' })
  return tls
}
