import { isIP } from 'node:net'
import * as z from 'zod'
import { discreet } from '../../../shared/discretion.ts'
import { secretText } from '../../../shared/fields.ts'
import { blockListOf } from '../access/rules.ts'
import { flag, text } from './fields.ts'

// The part of Prometheus' HTTPClientConfig (prometheus/common, config/http_config.go, ProxyConfig) that is about proxies. Which requests
// bypass the proxy is as in Go (golang.org/x/net/http/httpproxy).

const proxyUrl = text(2048).refine(
  (given) => given === '' || isProxy(URL.parse(given)),
  'must be the address of a proxy, with http:// or https://',
)

/** Proxies of a request. Spread into the settings of a prober. */
export const proxyFields = {
  proxy_url: discreet(proxyUrl, 'url')
    .optional()
    .describe('Proxy for the requests: http:// or https://, with credentials if it needs them. A rule must allow its address, too'),
  proxy_from_environment: flag
    .prefault(false)
    .describe("Take the proxy from the monitor's environment: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, or these in lower case"),
  no_proxy: text(8192)
    .optional()
    .describe('Targets without the proxy of proxy_url, with commas between them: names with their subdomains, addresses, networks or *'),
  proxy_connect_header: discreet(z.record(z.string(), z.array(secretText({ max: 8192 })).max(20)), 'whole')
    .default({})
    .describe('Header fields for the proxy, sent to open a tunnel to a target with TLS'),
  skip_resolve_phase_with_proxy: flag
    .prefault(false)
    .describe('With a proxy, let only the proxy resolve the name of the target; a rule must allow the name'),
}

const schema = z.strictObject(proxyFields)
/** The parsed settings about proxies. */
export type ProxySettings = z.output<typeof schema>

/** Refuses settings that exclude each other, or that need another, as Prometheus does. */
export function judgeProxy(given: ProxySettings, context: z.core.$RefinementCtx): void {
  const { proxy_url: url, proxy_from_environment: fromEnvironment, no_proxy: none, proxy_connect_header: fields } = given
  const fault = (name: string, message: string) => context.addIssue({ code: 'custom', path: [name], message, input: undefined })
  if (fromEnvironment && url) fault('proxy_url', 'cannot stand beside proxy_from_environment')
  if (fromEnvironment && none) fault('no_proxy', 'cannot stand beside proxy_from_environment')
  if (!fromEnvironment && url === undefined && none) fault('no_proxy', 'needs proxy_url')
  if (!fromEnvironment && !url && Object.keys(fields).length > 0) fault('proxy_connect_header', 'needs proxy_url or proxy_from_environment')
}

/** Whether requests may go through a proxy. */
export function hasProxy({ proxy_url: url, proxy_from_environment: fromEnvironment }: ProxySettings): boolean {
  return Boolean(url) || fromEnvironment
}

/** Where proxies are read from: names and values, such as `process.env`. */
type Environment = Readonly<Record<string, string | undefined>>

/** A variable by its name, or by its name in lower case. */
function variable(environment: Environment, name: string): string {
  return environment[name] || environment[name.toLowerCase()] || ''
}

/** The proxies of the environment, as URLs. */
export function environmentProxies(environment: Environment = process.env): string[] {
  return ['HTTP_PROXY', 'HTTPS_PROXY'].map((name) => withScheme(variable(environment, name)))
}

function withScheme(written: string): string {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(written) ? written : `http://${written}`
}

/**
 * The proxy for a request; undefined if it goes to the target itself, and `unusable` for a proxy of the environment that is not HTTP.
 * @param address the target's, if it was resolved
 */
export function proxyFor(
  config: ProxySettings,
  url: URL,
  { address, environment = process.env }: { address?: string | undefined; environment?: Environment } = {},
): URL | 'unusable' | undefined {
  if (!hasProxy(config)) return undefined
  const { proxy_url: given = '', proxy_from_environment: fromEnvironment, no_proxy: none = '' } = config
  // As in Go: without no_proxy, the proxy is for every target, loopback included.
  if (!fromEnvironment && none === '') return URL.parse(given) ?? undefined
  const written = fromEnvironment ? variable(environment, url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY') : given
  if (written === '') return undefined
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase()
  const port = url.port || (url.protocol === 'https:' ? '443' : '80')
  const names = address === undefined ? [host] : [host, address]
  if (names.some((name) => isBypassed(fromEnvironment ? variable(environment, 'NO_PROXY') : none, name, port))) return undefined
  const proxy = URL.parse(withScheme(written))
  return isProxy(proxy) ? proxy : 'unusable'
}

function isProxy(url: URL | null): url is URL {
  return url !== null && /^https?:$/.test(url.protocol) && url.hostname !== ''
}

const loopback = ['127.0.0.0/8', '::1']

function isBypassed(none: string, host: string, port: string): boolean {
  if (host === 'localhost' || isAmong(loopback, host)) return true
  return none.split(',').some((entry) => isMeant(entry.trim().toLowerCase(), host, port))
}

/** Whether an entry of NO_PROXY means a host: `*`, a network, or an address or a name, these with or without a port. */
function isMeant(entry: string, host: string, port: string): boolean {
  if (entry === '' || entry === '*') return entry === '*'
  if (entry.includes('/')) return isAmong([entry], host)
  const [, bracketed, plain, only] = /^(?:\[([^\]]*)\]|([^:]*)):(\d*)$/.exec(entry) ?? []
  const name = bracketed ?? plain ?? entry
  if (name === '' || (only !== undefined && only !== '' && only !== port)) return false
  if (isIP(name) !== 0) return isAmong([name], host)
  const domain = name.replace(/^\*\./, '.')
  return domain.startsWith('.') ? host.endsWith(domain) : host === domain || host.endsWith(`.${domain}`)
}

function isAmong(networks: readonly string[], host: string): boolean {
  const version = isIP(host)
  return version !== 0 && blockListOf(networks).check(host, version === 4 ? 'ipv4' : 'ipv6')
}
