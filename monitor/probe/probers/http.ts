import { authorizationOf, headersElsewhere } from '../../wire/http-access.ts'
import { type Answer, exchange, hostOf } from '../../wire/http-exchange.ts'
import { CheckFailure } from '../../wire/reasons.ts'
import { sniOf, tlsOf } from '../../wire/tls.ts'
import { type HttpSettings, httpSettings } from '../modules/http.ts'
import { ProbeRefusal } from '../refusal.ts'
import { lookupOf, type Resolved, type Resolver } from '../resolve.ts'
import { type ProbeSeries, setTls } from '../series.ts'
import type { ProbeRun, Prober } from './prober.ts'
import type { Target } from './target.ts'
import { trustOf } from './tls.ts'

const maxRedirects = 10

const help = {
  probe_http_status_code: 'HTTP status of the last answer.',
  probe_http_content_length: 'Content length of the last answer; -1 if the answer did not state one.',
  probe_http_uncompressed_body_length: 'Bytes read of the body.',
  probe_http_redirects: 'Redirects encountered.',
  probe_http_ssl: '1 if the last answer came over TLS.',
  probe_http_version: 'HTTP version of the last answer.',
  probe_failed_due_to_regex: '1 if the probe failed because of a regular expression.',
}

/** The prober `http`. */
export const http: Prober<typeof httpSettings> = { settings: httpSettings, targetOf, begin, probe }

function targetOf(text: string): Target {
  const url = URL.parse(/^https?:\/\//i.test(text) ? text : `http://${text}`)
  if (url === null || url.hostname === '' || !/^https?:$/.test(url.protocol))
    throw new ProbeRefusal('invalid-request', 'The target is not an HTTP address.')
  if (url.username !== '' || url.password !== '')
    throw new ProbeRefusal('invalid-request', 'The target must not contain credentials: use basic_auth of the module.')
  return { host: hostOf(url), port: portOf(url), url }
}

/** Most phases follow when there is an address. */
function begin(series: ProbeSeries): void {
  for (const [name, text] of Object.entries(help)) series.set(name, text, 0)
  setPhase(series, 'resolve', 0)
}

/** Sends a module's request. True if the answer is as the module expects. */
async function probe(config: HttpSettings, run: ProbeRun): Promise<boolean> {
  const { series } = run
  const first = await run.reach(config)
  const set = (name: keyof typeof help, value: number) => series.set(name, help[name], value)
  setPhase(series, 'resolve', first.ms / 1000)
  for (const phase of ['connect', 'tls', 'processing', 'transfer']) setPhase(series, phase, 0)
  const { answer, url, phases } = await follow(config, run, first, (count) => set('probe_http_redirects', count))
  const length = answer.headers['content-length']
  set('probe_http_status_code', answer.status)
  set('probe_http_version', Number(answer.httpVersion))
  set('probe_http_content_length', length === undefined ? -1 : Number(length.split(',')[0]))
  set('probe_http_uncompressed_body_length', answer.body.length)
  set('probe_http_ssl', url.protocol === 'https:' ? 1 : 0)
  for (const [phase, ms] of Object.entries(phases)) setPhase(series, phase, ms / 1000)
  const modified = Date.parse(answer.headers['last-modified'] ?? '')
  if (!Number.isNaN(modified))
    series.set('probe_http_last_modified_timestamp_seconds', 'When the content of the answer last changed.', modified / 1000)
  if (answer.tls !== undefined) setTls(series, { ...answer.tls, trusted: !config.tls_config.insecure_skip_verify })

  const failsByText = await isRefusedByText(config, answer, run.signal)
  if (failsByText) set('probe_failed_due_to_regex', 1)
  return !failsByText && isExpected(config, answer, url)
}

function setPhase(series: ProbeSeries, phase: string, seconds: number): void {
  series.set('probe_http_duration_seconds', 'Duration of each phase, over all redirects.', seconds, { phase })
}

/** Follows redirects. Each must be allowed by the rules, and the connection goes to the address that was checked. */
async function follow(config: HttpSettings, run: ProbeRun, first: Resolved, redirected: (count: number) => void) {
  const { hostname, resolver, signal } = run
  const target = run.target.url as URL
  const phases: Record<string, number> = { resolve: 0 }
  let url = target
  let resolved = first
  let method: string = config.method
  let redirects = 0
  for (;;) {
    const isFirst = url.origin === target.origin
    const host = hostOf(url)
    const tls = tlsOf(trustOf(config.tls_config), hostname ?? host)
    const answer = await exchange({
      url,
      method,
      headers: {
        ...(isFirst &&
          config.basic_auth &&
          authorizationOf({ username: config.basic_auth.username, passwordFile: config.basic_auth.password_file })),
        ...(isFirst && hostname !== undefined && { host: hostname }),
        ...(isFirst ? config.headers : headersElsewhere(config.headers)),
      },
      body: method === config.method ? config.body : undefined,
      maxBytes: config.body_size_limit,
      cut: true,
      lookup: lookupOf(resolved),
      signal,
      ...(url.protocol === 'https:' && { tls: isFirst ? tls : { ...tls, servername: sniOf(host) } }),
    })
    for (const [phase, ms] of Object.entries(answer.phases)) phases[phase] = (phases[phase] ?? 0) + ms
    phases.resolve = (phases.resolve ?? 0) + resolved.ms
    const next = locationOf(answer, url)
    if (next !== undefined) redirected(++redirects)
    // As in blackbox_exporter: after too many redirects the last answer counts, and its status is not a success.
    if (next === undefined || !config.follow_redirects || redirects > maxRedirects) return { answer, url, phases }
    if (answer.status !== 307 && answer.status !== 308 && method !== 'HEAD') method = 'GET'
    url = next
    resolved = await resolveRedirect(config, url, resolver, signal)
  }
}

async function resolveRedirect(config: HttpSettings, url: URL, resolver: Resolver, signal: AbortSignal): Promise<Resolved> {
  try {
    return await resolver.resolve(hostOf(url), portOf(url), config, signal)
  } catch (error) {
    // The target itself was allowed. A forbidden redirect fails the probe, but not the request for it.
    if (error instanceof ProbeRefusal)
      throw new CheckFailure('unexpected_answer', 'The target redirects to an address that no rule allows.', { cause: error })
    throw error
  }
}

/** The URL that an answer redirects to; undefined if it does not redirect. */
function locationOf({ status, headers: { location } }: Answer, from: URL): URL | undefined {
  if (![301, 302, 303, 307, 308].includes(status) || location === undefined) return undefined
  const url = URL.parse(location, from.href)
  if (url === null || !/^https?:$/.test(url.protocol)) throw new CheckFailure('protocol', 'The target redirects to a URL that is not HTTP.')
  return url
}

function portOf({ port, protocol }: URL): number {
  return Number(port) || (protocol === 'https:' ? 443 : 80)
}

async function isRefusedByText(config: HttpSettings, { body, headers }: Answer, signal: AbortSignal): Promise<boolean> {
  for (const refused of config.fail_if_body_matches_regexp) if (await refused.test(body, signal)) return true
  for (const wanted of config.fail_if_body_not_matches_regexp) if (!(await wanted.test(body, signal))) return true
  // As in blackbox_exporter: a missing field fails both kinds of rules, unless it may be missing.
  for (const { header, regexp, allow_missing, fails } of [
    ...config.fail_if_header_matches.map((rule) => ({ ...rule, fails: true })),
    ...config.fail_if_header_not_matches.map((rule) => ({ ...rule, fails: false })),
  ]) {
    const value = headers[header.toLowerCase()]
    if (value === undefined ? !allow_missing : (await regexp.test([value].flat().join(', '), signal)) === fails) return true
  }
  return false
}

function isExpected(config: HttpSettings, { status, httpVersion }: Answer, url: URL): boolean {
  const { valid_status_codes: statuses, valid_http_versions: versions } = config
  const isSecure = url.protocol === 'https:'
  return (
    (statuses.length === 0 ? status >= 200 && status <= 299 : statuses.includes(status)) &&
    (versions.length === 0 || versions.some((version) => version === `HTTP/${httpVersion}`)) &&
    !(isSecure ? config.fail_if_ssl : config.fail_if_not_ssl)
  )
}
