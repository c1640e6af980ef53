import { getCACertificates } from 'node:tls'
import { buildConnector, type Dispatcher, EnvHttpProxyAgent, Pool, request } from 'undici'
import type { Clock } from '../../shared/clock.ts'
import { DateClock } from '../../shared/clock-offset.ts'
import type { SocketBytes } from '../../shared/link/index.ts'
import { tlsMeaning } from '../../shared/tls-errors.ts'
import { type DateFault, datesMeaning } from './certificate-dates.ts'
import { CloudFault } from './fault.ts'
import { maxAnswerBytes, type Received, type Sent, type Transport, trustPath } from './transport.ts'

export type TransportConfig = {
  /** The origin of the cloud. */
  url: string
  /** CA certificates (PEM) of the configuration, trusted besides those of the system. */
  ca: string | undefined
  /** The longest time for one exchange, in milliseconds. */
  timeoutMs: number
  clock: Clock
  /** Counts the bytes of its connections: those to the proxy, if there is one. */
  bytes?: SocketBytes | undefined
}

/** Longer than the usual heartbeat: a new connection costs more than a heartbeat. A server that keeps it shorter says so. */
const keepAliveMs = 90_000

/**
 * The transport over HTTPS, with undici. It goes through the proxy that the environment names (`HTTPS_PROXY`, `NO_PROXY`), follows no
 * redirect, and keeps one connection open.
 */
export function createUndiciTransport(config: TransportConfig): Transport {
  let agent = agentFor(config, [])
  return {
    async send(sent, signal) {
      try {
        return await exchange(agent, config, sent, signal)
      } catch (error) {
        throw await explained(error, config, signal)
      }
    },
    trust(anchors) {
      const before = agent
      agent = agentFor(config, anchors)
      void before.close()
    },
    async fetchTrust(signal) {
      const { status, body } = await askUnverified(config, signal)
      if (status !== 200) throw new CloudFault('garbled', `The cloud answered ${status} to ${trustPath}.`)
      return body.trim()
    },
    close: () => agent.close(),
  }
}

/** Without HTTPS_PROXY, undici would take HTTP_PROXY, which other programs use for plain HTTP alone. */
const notForHttps = { httpProxy: '' }

function agentFor(config: TransportConfig, anchors: readonly string[]): Dispatcher {
  const { ca } = config
  const own = [...(ca === undefined ? [] : [ca]), ...anchors]
  // A list replaces the CA certificates that Node trusts by default.
  return agentOf(config, own.length === 0 ? {} : { ca: [...getCACertificates('default'), ...own] })
}

type Tls = { ca?: string[]; rejectUnauthorized?: boolean }

/** @throws Error if the address of the proxy is none; it is not repeated, since there may be a password in it */
function agentOf(config: TransportConfig, tls: Tls): Dispatcher {
  try {
    return proxied(config, tls)
  } catch {
    throw new Error('HTTPS_PROXY must be an address such as http://proxy.site:3128')
  }
}

function proxied({ bytes }: TransportConfig, tls: Tls): Dispatcher {
  const options = { ...notForHttps, requestTls: tls, keepAliveTimeout: keepAliveMs, connections: 2 }
  if (bytes === undefined) return new EnvHttpProxyAgent({ ...options, connect: tls })
  return new EnvHttpProxyAgent({
    ...options,
    connect: countedConnector(tls, bytes),
    clientFactory: (proxy, given) => new Pool(proxy, { ...given, connect: countedConnector({}, bytes) }),
  })
}

/** Connects in two steps, as undici does behind a proxy: TCP, which is counted, and TLS over it. */
function countedConnector(tls: Tls, bytes: SocketBytes): buildConnector.connector {
  const [plain, secure] = [buildConnector({}), buildConnector(tls)]
  return (options, callback) => {
    const isSecure = options.protocol === 'https:'
    plain({ ...options, protocol: 'http:', port: options.port || (isSecure ? '443' : '80') }, (...given) => {
      const [error, socket] = given
      if (error !== null) return callback(error, null)
      bytes.count(socket)
      if (isSecure) secure({ ...options, httpSocket: socket }, callback)
      else callback(null, socket)
    })
  }
}

/** Asks for the trust document over a connection that nobody vouches for. Nothing secret is sent. */
async function askUnverified(config: TransportConfig, signal: AbortSignal): Promise<Received> {
  const unverified = agentOf(config, { rejectUnauthorized: false })
  try {
    return await exchange(unverified, config, { method: 'GET', path: trustPath, headers: {} }, signal)
  } finally {
    await unverified.destroy()
  }
}

/**
 * A fault of a certificate's dates says whether our clock is why. The cloud is asked what its clock says: with a single node, the API server has
 * the clock of this machine.
 */
async function explained(error: unknown, config: TransportConfig, signal: AbortSignal): Promise<unknown> {
  const fault = error instanceof CloudFault ? codesOf(error).find(isDateFault) : undefined
  if (fault === undefined) return error
  const there = new DateClock(config.clock)
  const sentAt = config.clock.monotonic()
  const answer = await askUnverified(config, signal).catch(() => undefined)
  there.heard(answer?.headers.date, sentAt)
  const { own, message } = datesMeaning(fault, config.clock.now(), there.offset())
  return new CloudFault(own, message, { cause: error })
}

function isDateFault(code: string): code is DateFault {
  return code === 'CERT_NOT_YET_VALID' || code === 'CERT_HAS_EXPIRED'
}

async function exchange(dispatcher: Dispatcher, config: TransportConfig, sent: Sent, stopping: AbortSignal): Promise<Received> {
  try {
    return await exchanged(dispatcher, config, sent, stopping)
  } catch (error) {
    throw faultOf(error, config, stopping)
  }
}

async function exchanged(dispatcher: Dispatcher, config: TransportConfig, sent: Sent, stopping: AbortSignal): Promise<Received> {
  const { url, timeoutMs } = config
  const { method, path, headers, body = null } = sent
  const signal = AbortSignal.any([stopping, AbortSignal.timeout(timeoutMs)])
  const answer = await request(`${url}${path}`, { dispatcher, method, headers, body, signal })
  const kept = ['content-type', 'retry-after', 'date'].map((name) => [name, [answer.headers[name]].flat()[0]])
  return { status: answer.statusCode, headers: Object.fromEntries(kept), body: await boundedBody(answer.body) }
}

async function boundedBody(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.byteLength
    // Leaving the loop ends the connection.
    if (bytes > maxAnswerBytes) throw new CloudFault('garbled', `The cloud's answer has more than ${maxAnswerBytes / 1024} KiB.`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function codesOf(error: unknown): string[] {
  if (!(error instanceof Error)) return []
  const { code, cause } = error as { code?: unknown; cause?: unknown }
  const nested = error instanceof AggregateError ? error.errors.flatMap(codesOf) : []
  return [...(typeof code === 'string' ? [code] : []), ...codesOf(cause), ...nested]
}

/** The connection ended before the answer, or within it. */
const cut = new Set(['UND_ERR_SOCKET', 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'ECONNRESET', 'EPIPE'])
/** What arrives is no answer in HTTP, or has a head that is larger than one may be. Not all of these errors have a code. */
const noHttp = new Set(['HTTPParserError', 'HeadersOverflowError'])
const untrusted = /^(CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_(GET|VERIFY)|INVALID_CA|ERR_TLS_CERT)/
/** Faults of the certificate itself, whoever has issued it. */
const ofItself = /^(CERT_HAS_EXPIRED|CERT_NOT_YET_VALID|CERT_REVOKED|ERR_TLS_CERT_ALTNAME_INVALID)$/

function faultOf(error: unknown, { timeoutMs }: TransportConfig, stopping: AbortSignal): unknown {
  if (error instanceof CloudFault || stopping.aborted) return error
  const meaning = tlsMeaning(error)
  const codes = codesOf(error)
  if (codes.some((code) => untrusted.test(code))) {
    return new CloudFault('untrusted', meaning, { cause: error, isUnknownCa: !codes.some((code) => ofItself.test(code)) })
  }
  const { message, name } = error as Error
  if (noHttp.has(name)) return new CloudFault('garbled', `The cloud's answer is not HTTP: ${message}`, { cause: error })
  if (name === 'TimeoutError')
    return new CloudFault('unreachable', `The cloud does not answer within ${timeoutMs / 1000} s.`, { cause: error })
  return new CloudFault('unreachable', `The cloud does not answer: ${meaning ?? message}`, {
    cause: error,
    isCut: codes.some((code) => cut.has(code)),
  })
}
