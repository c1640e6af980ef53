import { lookup as systemLookup } from 'node:dns'
import { once } from 'node:events'
import * as http from 'node:http'
import * as https from 'node:https'
import type { LookupFunction } from 'node:net'
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { boundedBytes } from '../../shared/bounded-body.ts'
import { trustSystem } from '../../shared/system-trust.ts'
import { type EndpointRules, resolvedFault } from '../resources/endpoint.ts'
import type { Address } from './address.ts'
import { BucketFault } from './fault.ts'
import { transportFault } from './transport-fault.ts'

/** How a store is reached. */
export type Route = {
  rules: EndpointRules
  /**
   * Who is going to use the bucket; the agent itself by default. The pods of a database go past the proxy of the agent, and CrateDB trusts public
   * authorities alone: its operator mounts no other CA, and lets nobody set the trust store of its JVM.
   */
  user?: 'agent' | 'database' | undefined
  /** CA certificates (PEM) that are trusted besides those of the system. */
  ca?: string | undefined
  /** The longest time for one request, in milliseconds; one with many bytes has a second more for each 256 KiB. */
  timeoutMs?: number | undefined
  /** Resolves names; the resolver of the system by default. */
  lookup?: LookupFunction | undefined
  /** Where `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` are, also in lower case; the environment of the process by default. */
  proxies?: NodeJS.ProcessEnv | undefined
}

export type Sent = {
  method: 'HEAD' | 'GET' | 'PUT' | 'DELETE'
  /** Path and query, encoded as they are signed. */
  target: string
  headers: Record<string, string>
  body?: Uint8Array | undefined
  /** The longest answer. */
  maxBytes: number
}

/** An answer, whatever its status. */
export type Answer = { status: number; headers: http.IncomingHttpHeaders; body: Buffer }

/** Sends one request. */
export type Exchange = (sent: Sent, signal: AbortSignal) => Promise<Answer>

const usualTimeoutMs = 15_000
const bytesInSecond = 256 * 1024

/**
 * A way to one store. Each request has a connection of its own, so that none meets one that the store has just closed. No redirect is followed:
 * it would carry the signature elsewhere. Nothing is repeated: a fault that passes is a fault too, and the caller decides.
 *
 * A name is resolved once for each connection, and every one of its addresses must be allowed: the connection is made to what was checked, so a
 * name that resolves to something else a moment later gains nothing. Behind a proxy it is the proxy that resolves: there the names alone are
 * checked, and the proxy decides what may be reached through it.
 * @throws BucketFault if the proxy is none
 */
export function createExchange(address: Address, route: Route): Exchange {
  const { timeoutMs = usualTimeoutMs, user = 'agent', proxies = process.env } = route
  const isSecure = address.endpoint.protocol === 'https:'
  const trusted = isSecure ? trustedBy(user, route) : {}
  const agent = agentOf(isSecure, { keepAlive: false, ...(user === 'agent' && { proxyEnv: proxies }), ...trusted })
  const { host, port } = address
  const lookup = guarded(address, route)
  return async ({ method, target, headers, body, maxBytes }, signal) => {
    const limitMs = timeoutMs + (1000 * Math.max(body?.byteLength ?? 0, method === 'GET' ? maxBytes : 0)) / bytesInSecond
    const tooLarge = () => new BucketFault('AnswerTooLarge', `${address.authority} answers with more than ${maxBytes / 1024} KiB.`)
    const deadline = AbortSignal.timeout(Math.ceil(limitMs))
    const either = AbortSignal.any([signal, deadline])
    try {
      signal.throwIfAborted()
      const request = (isSecure ? https : http).request({ agent, host, port, method, path: target, headers, lookup, signal: either })
      request.on('error', () => {}) // one that comes after the answer; `once` hears the others
      const answered = once(request, 'response', { signal: either })
      request.end(body)
      const [response] = (await answered) as [http.IncomingMessage]
      return { status: response.statusCode ?? 0, headers: response.headers, body: await boundedBytes(response, maxBytes, tooLarge) }
    } catch (error) {
      signal.throwIfAborted()
      throw deadline.aborted
        ? new BucketFault('TimedOut', `${address.authority} does not answer within ${Math.ceil(limitMs / 1000)} s.`)
        : transportFault(error, address, user)
    }
  }
}

/** What trusts the CAs of a store, made once: reading a hundred certificates takes as long as a handshake. For the agent, its process does. */
function trustedBy(user: 'agent' | 'database', { ca }: Route): { secureContext?: SecureContext } {
  if (user === 'agent') trustSystem()
  if (user === 'agent' && ca === undefined) return {}
  const known = getCACertificates(user === 'agent' ? 'default' : 'bundled')
  return { secureContext: createSecureContext({ ca: ca === undefined ? known : [...known, ca] }) }
}

function agentOf(isSecure: boolean, options: https.AgentOptions): http.Agent {
  try {
    return isSecure ? new https.Agent(options) : new http.Agent(options)
  } catch {
    // Its address is not repeated, since there may be a password in it.
    throw new BucketFault('ProxyFailed', 'The proxy of the agent is not an address such as http://proxy.site:3128.')
  }
}

/** Resolves the name of the store, and fails if any of its addresses is not allowed. The proxy's own name is the site's choice. */
function guarded({ host, endpoint }: Address, { rules, lookup = systemLookup as LookupFunction }: Route): LookupFunction {
  return (name, options, callback) =>
    lookup(name, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, [])
      const addresses = Array.isArray(found) ? found : [{ address: found, family: 4 }]
      const faults = name === host ? addresses.map(({ address }) => resolvedFault(endpoint, address, rules)) : []
      const fault = faults.find((each) => each !== undefined)
      const [first] = addresses
      if (fault !== undefined) callback(new BucketFault('EndpointInside', `The endpoint must be outside the cluster: ${fault}.`), [])
      else if (options.all) callback(null, addresses)
      else callback(null, first?.address ?? '', first?.family)
    })
}
