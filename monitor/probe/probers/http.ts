import { headerShown } from '../../../shared/discretion.ts'
import { jsonForConditions } from '../../wire/conditions.ts'
import { decoded } from '../../wire/content-coding.ts'
import { headersElsewhere } from '../../wire/http-access.ts'
import { type Answer, hostOf } from '../../wire/http-exchange.ts'
import { CheckFailure, messageOf } from '../../wire/reasons.ts'
import type { Dialogue, DialogueFields } from '../dialogue.ts'
import { authorizationFor, httpHeadersOf } from '../modules/client.ts'
import { type HttpSettings, httpSettings, largestBody } from '../modules/http.ts'
import { hasProxy } from '../modules/proxy.ts'
import { ProbeRefusal } from '../refusal.ts'
import type { Resolved } from '../resolve.ts'
import type { ProbeSeries } from '../series.ts'
import { httpLeft } from './http-left.ts'
import { requestBody, roundTrip } from './http-round-trip.ts'
import { portOf, type Route, routeTo } from './http-route.ts'
import { forgetToken, tokenFor } from './http-token.ts'
import type { ProbeRun, Prober } from './prober.ts'
import type { Target } from './target.ts'

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
export const http: Prober<typeof httpSettings> = { settings: httpSettings, left: httpLeft, targetOf, begin, probe }

function targetOf(text: string): Target {
  const url = URL.parse(/^https?:\/\//i.test(text) ? text : `http://${text}`)
  if (url === null || url.hostname === '' || !/^https?:$/.test(url.protocol))
    throw new ProbeRefusal('invalid-request', 'The target is not an HTTP address.')
  if (url.username !== '' || url.password !== '')
    throw new ProbeRefusal('invalid-request', 'The target must not contain credentials: use basic_auth of the module.')
  return { host: hostOf(url), port: portOf(url), url }
}

/** Phases follow when there is an address. */
function begin(series: ProbeSeries): void {
  for (const [name, text] of Object.entries(help)) series.set(name, text, 0)
}

const celHelp = '1 if the probe failed because of an expression of CEL.'

/** Sends a module's request. True if the answer is as the module expects. */
async function probe(config: HttpSettings, run: ProbeRun): Promise<boolean> {
  const { series, dialogue } = run
  if (hasConditions(config)) series.set('probe_failed_due_to_cel', celHelp, 0)
  // As in blackbox_exporter: there is no such phase if only the proxy resolves the name.
  const isResolved = !(config.skip_resolve_phase_with_proxy && hasProxy(config))
  if (isResolved) setPhase(series, 'resolve', 0)
  const first = isResolved ? await run.reach(config) : undefined
  const set = (name: keyof typeof help, value: number) => series.set(name, help[name], value)
  if (first !== undefined) setPhase(series, 'resolve', first.ms / 1000)
  for (const phase of ['connect', 'tls', 'processing', 'transfer']) setPhase(series, phase, 0)
  const { answer, url, phases, isRedirect } = await follow(config, run, first, (count) => set('probe_http_redirects', count))
  set('probe_http_status_code', answer.status)
  set('probe_http_version', Number(answer.httpVersion))
  set('probe_http_content_length', contentLength(answer))
  set('probe_http_ssl', url.protocol === 'https:' ? 1 : 0)
  for (const [phase, ms] of Object.entries(phases)) setPhase(series, phase, ms / 1000)
  const modified = Date.parse(answer.headers['last-modified'] ?? '')
  if (!Number.isNaN(modified))
    series.set('probe_http_last_modified_timestamp_seconds', 'When the content of the answer last changed.', modified / 1000)

  const body = await bodyOf(config, answer, run)
  // As in blackbox_exporter: nothing is read of the body of a redirect that is not followed.
  set('probe_http_uncompressed_body_length', isRedirect ? 0 : body.length)
  const isGood = isExpected(config, answer, url, dialogue)
  // As there: the text is looked at only of an answer with a good status.
  if (!hasGoodStatus(config, answer)) return false
  const isTextRefused = await isRefusedByText(config, { body: body.bytes, headers: answer.headers }, run)
  if (isTextRefused) set('probe_failed_due_to_regex', 1)
  const isRefusedByCel = !isTextRefused && hasConditions(config) && (await isRefusedByCondition(config, body.bytes, dialogue))
  if (isRefusedByCel) series.set('probe_failed_due_to_cel', celHelp, 1)
  return isGood && body.isGood && !isTextRefused && !isRefusedByCel
}

function hasConditions(config: HttpSettings): boolean {
  return config.fail_if_body_json_matches_cel !== undefined || config.fail_if_body_json_not_matches_cel !== undefined
}

/** What Go's client says of the length: 0 where there is no body, -1 if the answer does not state one. */
function contentLength({ status, headers }: Answer): number {
  const [length] = headers['content-length']?.split(',') ?? []
  if (status === 204 || status === 304) return 0
  return length === undefined ? -1 : Number(length)
}

/** The body without its compression, and whether it is complete, within its limit and compressed as the module says. */
async function bodyOf(
  config: HttpSettings,
  { body, bodyBytes = body.length, bodyFault }: Answer,
  { dialogue, signal }: Pick<ProbeRun, 'dialogue' | 'signal'>,
): Promise<{ bytes: Buffer; length: number; isGood: boolean }> {
  const limit = config.body_size_limit
  const refused = (message: string, length: number, fields: DialogueFields = {}) => {
    dialogue.fail(message, fields)
    return { bytes: body, length, isGood: false }
  }
  if (bodyFault !== undefined) return refused('Failed to read HTTP response body', bodyBytes, { err: messageOf(bodyFault) })
  let found = { bytes: body, length: bodyBytes }
  if (config.compression !== undefined && config.compression !== '' && config.compression !== 'identity') {
    if (bodyBytes > body.length) return refused('HTTP response body is too large to be decompressed', bodyBytes, { limit: body.length })
    try {
      const bytes = await decoded(body, config.compression, { maxBytes: largestBody, signal })
      found = { bytes, length: bytes.length }
      // A coding that is empty is no coding at all.
      if (body.length === 0) return refused('Failed to get decompressor for HTTP response body', 0, { err: 'EOF' })
    } catch (error) {
      return refused('Failed to get decompressor for HTTP response body', 0, { err: messageOf(error) })
    }
  }
  if (limit !== undefined && found.length > limit) return refused('Failed to read HTTP response body: it is too large', limit, { limit })
  if (isSearched(config) && found.length > found.bytes.length)
    return refused('HTTP response body is too large to be searched', found.length, { limit: found.bytes.length })
  return { ...found, isGood: true }
}

/** Whether the content of the body matters, so that it must be kept. */
function isSearched(config: HttpSettings): boolean {
  const { fail_if_body_matches_regexp: refused, fail_if_body_not_matches_regexp: wanted } = config
  return refused.length + wanted.length > 0 || hasConditions(config)
}

/** Without a limit, a body is kept up to this size, in bytes. */
const usualLargestBody = 4 * 1024 * 1024

function keptBytes(config: HttpSettings): number {
  const isCompressed = config.compression !== undefined && config.compression !== '' && config.compression !== 'identity'
  if (!isSearched(config) && !isCompressed) return 0
  return Math.min(config.body_size_limit === undefined ? usualLargestBody : config.body_size_limit + 1, largestBody)
}

function setPhase(series: ProbeSeries, phase: string, seconds: number): void {
  series.set('probe_http_duration_seconds', 'Duration of each phase, over all redirects.', seconds, { phase })
}

/** Follows redirects. Each must be allowed by the rules, and the connection goes to the address that was checked. */
async function follow(config: HttpSettings, run: ProbeRun, first: Resolved | undefined, redirected: (count: number) => void) {
  const { hostname, dialogue } = run
  const target = run.target.url as URL
  const phases: Record<string, number> = {}
  const body = await requestBody(config)
  const follows = config.no_follow_redirects === undefined ? config.follow_redirects : !config.no_follow_redirects
  let url = target
  let method = config.method
  let redirects = 0
  let token: { authorization: string } | undefined
  for (;;) {
    const isFirst = url.origin === target.origin
    const headers = {
      ...(isFirst && authorizationFor(config)),
      ...(isFirst && hostname !== undefined && { host: hostname }),
      ...(isFirst ? { ...config.headers, ...httpHeadersOf(config) } : headersElsewhere(config.headers)),
    }
    const route =
      redirects === 0 ? await routeTo(config, { url, headers }, run, first) : await routeOfRedirect(config, { url, headers }, run)
    if (isFirst && config.oauth2 !== undefined) token ??= await tokenFor(config.oauth2, config, run)
    const sent = isFirst ? { ...headers, ...token } : headers
    sayRequest(dialogue, { url, method, headers: sent })
    const request = { url, method, headers: sent, body: method === config.method ? body : undefined, maxBytes: keptBytes(config) }
    const answer = await roundTrip(config, request, { ...run, route, isFirst })
    sayAnswer(dialogue, answer)
    if (token !== undefined && config.oauth2 !== undefined && answer.status === 401) forgetToken(config.oauth2)
    const { resolve: _, ...rest } = answer.phases
    const took = { ...rest, ...((first !== undefined || redirects > 0) && { resolve: route.ms }) }
    for (const [phase, ms] of Object.entries(took)) phases[phase] = (phases[phase] ?? 0) + ms
    const next = locationOf(answer, url)
    if (next !== undefined) {
      redirected(++redirects)
      dialogue.say('Received redirect', { location: next.href })
    }
    // As in blackbox_exporter: after too many redirects the last answer counts, and its status is not a success.
    if (next === undefined || !follows || redirects > maxRedirects) {
      if (next !== undefined) dialogue.say('Not following redirect', { redirects })
      return { answer, url, phases, isRedirect: next !== undefined }
    }
    if (answer.status !== 307 && answer.status !== 308 && method !== 'HEAD') method = 'GET'
    url = next
  }
}

async function routeOfRedirect(config: HttpSettings, request: Parameters<typeof routeTo>[1], run: ProbeRun): Promise<Route> {
  try {
    return await routeTo(config, request, run, undefined)
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

/** Records a request: the values of its header fields only where they cannot be secret. */
function sayRequest(dialogue: Dialogue, { url, method, headers }: { url: URL; method: string; headers: Record<string, string> }): void {
  dialogue.say('Making HTTP request', { method, url: url.href, host: headers.host ?? url.host })
  const shown = Object.entries(headers).map(([name, value]) => [name, headerShown(name, value)])
  if (shown.length > 0) dialogue.say('Sending header fields', Object.fromEntries(shown))
}

function sayAnswer(dialogue: Dialogue, { status, httpVersion, headers, bodyBytes, phases }: Answer): void {
  dialogue.say('Received HTTP response', { status_code: status, version: `HTTP/${httpVersion}`, body_bytes: bodyBytes })
  const shown = Object.entries(headers).map(([name, value]) => [name, name === 'location' ? undefined : headerShown(name, value)])
  dialogue.say('Received header fields', Object.fromEntries(shown))
  const seconds = Object.entries(phases).map(([phase, ms]) => [phase, ms / 1000])
  dialogue.say('Response timings for roundtrip', Object.fromEntries(seconds))
}

/** Says why for every rule that the answer does not keep. */
async function isRefusedByText(
  config: HttpSettings,
  { body, headers }: Pick<Answer, 'body' | 'headers'>,
  { dialogue, signal }: Pick<ProbeRun, 'dialogue' | 'signal'>,
): Promise<boolean> {
  const { fail_if_body_matches_regexp: refused, fail_if_body_not_matches_regexp: wanted } = config
  let isRefused = false
  const refuse = (message: string, fields: DialogueFields) => {
    isRefused = true
    dialogue.fail(message, fields)
  }
  for (const each of refused) if (await each.test(body, signal)) refuse('Body matched regular expression', { regexp: each.source })
  for (const each of wanted) if (!(await each.test(body, signal))) refuse('Body did not match regular expression', { regexp: each.source })
  const rules = [
    ...config.fail_if_header_matches.map((rule) => ({ ...rule, fails: true })),
    ...config.fail_if_header_not_matches.map((rule) => ({ ...rule, fails: false })),
  ]
  for (const { header, regexp, allow_missing, fails } of rules) {
    const value = headers[header.toLowerCase()]
    // As in blackbox_exporter: a missing field fails both kinds of rules, unless it may be missing.
    if (value === undefined && !allow_missing) refuse('Missing required header', { header })
    if (value === undefined || (await regexp.test([value].flat().join(', '), signal)) !== fails) continue
    const message = fails ? 'Header matched regular expression' : 'Header did not match regular expression'
    refuse(message, { header, regexp: regexp.source, value: headerShown(header, value) })
  }
  return isRefused
}

/** Says why for an expression of CEL that the body does not keep. */
async function isRefusedByCondition(config: HttpSettings, body: Buffer, dialogue: Dialogue): Promise<boolean> {
  const refuse = (message: string, fields: DialogueFields): true => {
    dialogue.fail(message, fields)
    return true
  }
  const json = jsonForConditions(body)
  if (typeof json === 'string') return refuse('Error unmarshalling HTTP body to JSON', { err: `the body ${json}` })
  const given = { body: json.value }
  const { fail_if_body_json_matches_cel: refused, fail_if_body_json_not_matches_cel: wanted } = config
  const matched = await refused?.holds(given)
  if (matched === true) return refuse('Body matched CEL expression', { expression: refused?.source })
  if (matched !== undefined && matched !== 'is false') return refuse('Error evaluating CEL expression', { err: matched })
  const holds = await wanted?.holds(given)
  if (holds === undefined || holds === true) return false
  if (holds !== 'is false') return refuse('Error evaluating CEL expression', { err: holds })
  return refuse('Body did not match CEL expression', { expression: wanted?.source })
}

function hasGoodStatus({ valid_status_codes: statuses }: HttpSettings, { status }: Answer): boolean {
  return statuses.length === 0 ? status >= 200 && status <= 299 : statuses.includes(status)
}

/** Says why if it is not. */
function isExpected(config: HttpSettings, answer: Answer, url: URL, dialogue: Dialogue): boolean {
  const { status, httpVersion } = answer
  const { valid_status_codes: statuses, valid_http_versions: versions } = config
  const isSecure = url.protocol === 'https:'
  const version = `HTTP/${httpVersion}`
  let isGood = true
  const refuse = (message: string, fields: DialogueFields = {}) => {
    isGood = false
    dialogue.fail(message, fields)
  }
  if (!hasGoodStatus(config, answer))
    refuse(statuses.length === 0 ? 'Invalid HTTP response status code, wanted 2xx' : 'Invalid HTTP response status code', {
      status_code: status,
      ...(statuses.length > 0 && { valid_status_codes: statuses.join(' ') }),
    })
  if (versions.length > 0 && !versions.some((each) => each === version)) refuse('Invalid HTTP version number', { version })
  if (isSecure && config.fail_if_ssl) refuse('Final request was over SSL')
  if (!isSecure && config.fail_if_not_ssl) refuse('Final request was not over SSL')
  return isGood
}
