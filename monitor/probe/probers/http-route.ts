import { hostOf } from '../../wire/http-exchange.ts'
import { CheckFailure } from '../../wire/reasons.ts'
import type { HttpSettings } from '../modules/http.ts'
import { proxyFor } from '../modules/proxy.ts'
import { ProbeRefusal } from '../refusal.ts'
import { type Resolved, resolveFor } from '../resolve.ts'
import type { ProbeRun } from './prober.ts'

/** Where the connection of a request goes: to the address of its target or of a proxy, which was checked. */
export type Route = {
  address: string
  port: number
  /** How long the target's lookup took, in milliseconds; 0 if a proxy resolves the name. */
  ms: number
  /** The proxy, and which host and port it is asked for. */
  proxy?: { url: URL; authority: string }
}

/** The port of an HTTP URL. */
export function portOf({ port, protocol }: URL): number {
  return Number(port) || (protocol === 'https:' ? 443 : 80)
}

/**
 * The route of a request. A proxy must be allowed by the rules, like a target; and whatever it is asked for must be, too.
 * @param known the target's address, if it was resolved
 * @throws ProbeRefusal `probe-not-allowed`; CheckFailure `dns`, `misconfigured`; the signal's reason
 */
export async function routeTo(
  config: HttpSettings,
  { url, headers }: { url: URL; headers: Record<string, string> },
  run: ProbeRun,
  known: Resolved | undefined,
): Promise<Route> {
  const target = { host: hostOf(url), port: portOf(url) }
  const isResolvedByProxy = config.skip_resolve_phase_with_proxy && known === undefined && proxyFor(config, url) !== undefined
  if (isResolvedByProxy) run.resolver.allowUnresolved(target.host, target.port)
  const resolved = known ?? (isResolvedByProxy ? undefined : await resolveFor(run, target, config))
  const proxy = proxyFor(config, url, { address: resolved?.address })
  if (proxy === undefined) return resolved as Resolved
  if (proxy === 'unusable')
    throw new CheckFailure('misconfigured', 'The proxy of the environment is none of HTTP. Correct HTTP_PROXY and HTTPS_PROXY.')
  const authority = authorityOf({ url, headers }, resolved, run)
  const { address, port } = await reachProxy(config, proxy, run)
  run.dialogue.say('Using proxy', { proxy: proxy.host, ip: address, authority })
  return { address, port, ms: resolved?.ms ?? 0, proxy: { url: proxy, authority } }
}

/**
 * What the proxy is asked for, as by Go's client: for TLS the address that was checked, or the name if there is none; else the host of
 * the header field, which therefore must be allowed, too.
 */
function authorityOf(
  { url, headers }: { url: URL; headers: Record<string, string> },
  resolved: Resolved | undefined,
  { resolver }: ProbeRun,
): string {
  if (url.protocol === 'https:') {
    const host = resolved === undefined ? url.hostname : resolved.family === 6 ? `[${resolved.address}]` : resolved.address
    return `${host}:${portOf(url)}`
  }
  const [, given] = Object.entries(headers).find(([name]) => name.toLowerCase() === 'host') ?? []
  if (given === undefined || given === url.host) return url.host
  const named = /[/\\?#@]/.test(given) ? null : URL.parse(`http://${given}`)
  if (named === null) throw new CheckFailure('misconfigured', 'The header field Host is no host, so that no proxy can be asked for it.')
  resolver.allowUnresolved(hostOf(named), portOf(named))
  return named.host
}

async function reachProxy(config: HttpSettings, proxy: URL, { resolver, signal }: ProbeRun): Promise<Resolved> {
  try {
    return await resolver.resolve(hostOf(proxy), portOf(proxy), config, signal)
  } catch (error) {
    if (!(error instanceof ProbeRefusal)) throw error
    throw new ProbeRefusal(error.type, `The proxy of the module is not allowed. ${error.message}`)
  }
}
