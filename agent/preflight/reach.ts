import { lookup } from 'node:dns/promises'
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { connect as connectTls, rootCertificates } from 'node:tls'
import type { Reached } from './evidence.ts'

/** A host outside. */
export type Outside = {
  host: string
  port: number
  /** Whether it uses TLS with a certificate that this machine should trust. */
  tls: boolean
  /** Whether it counts as reached even if its certificate is not trusted here. */
  anyCertificate?: boolean
  neededFor: string
  /** Whether databases cannot be installed without it. */
  vital: boolean
}

export type ReachOptions = {
  /** `http://host:port`; undefined for a direct connection. */
  proxy?: string | undefined
  /** Hosts, `.domains` or `*` that are reached directly in spite of the proxy. */
  noProxy?: string[]
  /** PEM CA certificates to trust besides the usual ones. */
  ca?: string | undefined
  /** Timeout for reaching a host, in milliseconds. */
  timeoutMs?: number
}

/** Tries all hosts at once. Never rejects: failures are in the outcome. */
export function reachHosts(hosts: Outside[], options: ReachOptions = {}): Promise<Reached[]> {
  return Promise.all(hosts.map((host) => reachHost(host, options)))
}

async function reachHost(outside: Outside, options: ReachOptions): Promise<Reached> {
  const { host, port, neededFor, vital } = outside
  const { timeoutMs = 5_000 } = options
  const about = { host, port, neededFor, vital, proxy: proxyFor(outside, options)?.host }
  try {
    const socket = await connectOutside(outside, options, AbortSignal.timeout(timeoutMs))
    socket.destroy()
    return { ...about, outcome: 'reached', detail: '' }
  } catch (error) {
    if (outside.anyCertificate && error instanceof Unreached && error.outcome === 'untrusted') {
      return { ...about, outcome: 'reached', detail: '' }
    }
    const silent = { outcome: 'silent' as const, detail: `no answer within ${timeoutMs / 1000} s` }
    return { ...about, ...(error instanceof Unreached ? { outcome: error.outcome, detail: error.message } : silent) }
  }
}

type Way = Pick<Outside, 'host' | 'port' | 'tls'>

/**
 * A connection to a host outside, through the proxy if one is configured, with TLS if the host uses it.
 * @throws Unreached with the outcome; the reason of the signal if it aborts
 */
export async function connectOutside(way: Way, options: ReachOptions, signal: AbortSignal): Promise<Socket> {
  const { host, port, tls } = way
  const proxy = proxyFor(way, options)
  const socket = proxy ? await throughProxy(proxy, host, port, signal) : await directly(host, port, signal)
  try {
    return tls ? await shakeHands(socket, host, options.ca, signal) : socket
  } catch (error) {
    socket.destroy()
    throw error
  }
}

/** cloudflared does not support proxies, so its host is tried without one. */
function proxyFor({ host, tls }: Way, { proxy, noProxy = [] }: ReachOptions): URL | undefined {
  return proxy !== undefined && tls && !isExempt(host, noProxy) ? new URL(proxy) : undefined
}

/** A host outside was not reached. */
export class Unreached extends Error {
  readonly outcome: Reached['outcome']
  constructor(outcome: Reached['outcome'], detail: string) {
    super(detail)
    this.outcome = outcome
  }
}

/** As most programs read NO_PROXY: a name includes its subdomains. */
function isExempt(host: string, noProxy: string[]): boolean {
  return noProxy.some((entry) => {
    const domain = entry
      .trim()
      .toLowerCase()
      .replace(/^\*?\./, '')
    return entry.trim() === '*' || (domain !== '' && (host === domain || host.endsWith(`.${domain}`)))
  })
}

async function directly(host: string, port: number, signal: AbortSignal): Promise<Socket> {
  const { address } = await raced(lookup(host), signal).catch((error) => {
    throw signal.aborted ? error : new Unreached('unresolved', `the name is not resolved (${codeOf(error)})`)
  })
  const socket = connect({ host: address, port })
  return settled(socket, 'connect', signal, (error) => new Unreached('refused', `${address} refuses the connection (${codeOf(error)})`))
}

function throughProxy(proxy: URL, host: string, port: number, signal: AbortSignal): Promise<Socket> {
  const { username, password } = proxy
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  const authorization = username === '' ? {} : { 'proxy-authorization': `Basic ${Buffer.from(credentials).toString('base64')}` }
  return new Promise((resolve, reject) => {
    const asking = request({
      host: proxy.hostname.replace(/^\[|\]$/g, ''),
      port: proxy.port || 80,
      method: 'CONNECT',
      path: `${host}:${port}`,
      headers: { host: `${host}:${port}`, ...authorization },
      signal,
    })
    asking.on('connect', ({ statusCode = 0 }, socket) => {
      if (statusCode === 200) return resolve(socket as Socket)
      socket.destroy()
      const why = statusCode === 407 ? 'it wants a user and a password' : `it answers ${statusCode}`
      reject(new Unreached('proxy-refused', `the proxy ${proxy.host} does not connect: ${why}`))
    })
    asking.on('error', (error) =>
      reject(signal.aborted ? error : new Unreached('proxy-unreachable', `the proxy ${proxy.host} does not answer (${codeOf(error)})`)),
    )
    asking.end()
  })
}

async function shakeHands(socket: Socket, host: string, ca: string | undefined, signal: AbortSignal): Promise<Socket> {
  const secure = connectTls({ socket, servername: host, ...(ca !== undefined && { ca: [...rootCertificates, ca] }) })
  return settled<Socket>(secure, 'secureConnect', signal, (error) =>
    // Some firewalls accept the connection and close it once they have read the name.
    /^(ECONNRESET|EPIPE)$/.test(codeOf(error))
      ? new Unreached('refused', `the connection is cut as soon as ${host} is named`)
      : new Unreached('untrusted', `its certificate is not trusted (${codeOf(error)})`),
  )
}

/** Resolves with the socket after the event. */
function settled<T extends Socket>(socket: T, event: string, signal: AbortSignal, wrong: (error: Error) => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => socket.destroy(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    socket.once(event, () => {
      signal.removeEventListener('abort', abort)
      socket.on('error', () => {}) // a later reset is irrelevant
      resolve(socket)
    })
    socket.once('error', (error) => reject(signal.aborted ? error : wrong(error)))
  })
}

function raced<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    promise.then(resolve, reject)
  })
}

/** The code of a connection error: `ECONNREFUSED`. */
export function codeOf(error: unknown): string {
  return error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.message) : String(error)
}
