import * as z from 'zod'
import { discreet } from '../../shared/discretion.ts'
import { secretFile } from '../../shared/fields.ts'
import { condition, jsonForConditions } from '../wire/conditions.ts'
import { decoded } from '../wire/content-coding.ts'
import { authorizationOf, headersElsewhere, httpFields, httpUrl, targetOfUrl } from '../wire/http-access.ts'
import { type Answer, exchange, hostOf } from '../wire/http-exchange.ts'
import { pattern } from '../wire/patterns.ts'
import { CheckFailure, type Reason } from '../wire/reasons.ts'
import { type TlsOptions, tlsOf } from '../wire/tls.ts'
import { expiryOf, shorten } from '../wire/wording.ts'
import { type CheckResult, checkKind, type Measurement } from './kind.ts'

/** What conditions may name. */
const conditionVariables = ['status', 'headers', 'body', 'text', 'ms', 'certificateDays'] as const

const options = z.strictObject({
  url: httpUrl.describe('The URL to request, with http:// or https://.'),
  method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'OPTIONS']).default('GET').describe('Method of the request.'),
  headers: discreet(z.record(z.string(), z.string()), 'headers')
    .default({})
    .describe('Additional header fields. Secrets belong in tokenFile or headerFiles.'),
  headerFiles: z
    .record(z.string(), secretFile())
    .default({})
    .describe('Header fields with secret values: for each, the file that holds the value.'),
  body: discreet(z.string().max(65_536), 'text').optional().describe('Body of the request.'),
  expectStatus: z.array(z.int().min(100).max(599)).default([]).describe('Statuses that count as up; 200 to 299 by default.'),
  expectBody: pattern.optional().describe('Regular expression (RE2) that the body must match.'),
  refuseBody: pattern.optional().describe('Regular expression (RE2) that the body must not match.'),
  conditions: z
    .array(condition(conditionVariables))
    .max(20)
    .default([])
    .describe(
      'Expressions of the Common Expression Language that must all be true: of `status`, `headers` (names in lower case), `body` (JSON, or null), `text`, `ms`, and `certificateDays` (or null). At most three loops each, none inside another, and inside only the element is looked into; JSON of at most 256 KiB and 5,000 values, and the first 64 KiB as `text`.',
    ),
  maxRedirects: z
    .int()
    .min(0)
    .max(10)
    .default(0)
    .describe(
      'The most redirects to follow; with 0, a redirect is an answer like any other. Another origin receives no credentials, client certificate or serverName.',
    ),
  maxBytes: z
    .int()
    .min(0)
    .max(16 * 1024 * 1024)
    .default(1024 * 1024)
    .describe('The most bytes of the body to read, as sent and without its compression. The rest is neither read nor searched.'),
  warnDays: z.number().min(0).default(14).describe('Degraded when a certificate of the chain expires within this many days.'),
  ...httpFields,
})

type HttpOptions = z.output<typeof options>

/** Up when a new connection brings an answer with an expected status and, if configured, an expected body. */
export const http = checkKind({
  about:
    'Sends one request on a new connection. Down when the status or the body is not as expected, or when TLS fails. Degraded when a certificate of the chain expires soon. Redirects are not followed by default.',
  example: { url: 'https://shop.example.com/health', expectStatus: [200], expectBody: '"status": *"ok"' },
  options,
  measures: {
    skerry_http_status_code: { type: 'gauge', help: 'HTTP status of the last answer.' },
    skerry_http_version: { type: 'gauge', help: 'HTTP version of the last answer.' },
    skerry_http_phase_duration_seconds: {
      type: 'gauge',
      help: 'Duration of each phase of the last request: resolve, connect, tls, processing, transfer.',
      labels: ['phase'],
    },
    skerry_http_body_bytes: { type: 'gauge', help: 'Bytes read of the body, as sent.' },
    skerry_http_redirects: { type: 'gauge', help: 'Redirects followed.' },
    skerry_http_certificate_expiry_timestamp_seconds: { type: 'gauge', help: "When the first certificate in the server's chain expires." },
  },
  target: ({ url }) => targetOfUrl(url),
  async check(options, { signal, now = Date.now }) {
    const { answer, redirects } = await follow(options, signal)
    const measurements = measure(answer, redirects)
    const unexpected = judgeStatus(options, answer) ?? (await judgeBody(options, answer, { signal, now: now() }))
    if (unexpected !== undefined) return { state: 'down', ...unexpected, measurements }
    return judge(options, answer, measurements, now())
  },
})

/** The answer of the URL, or of the last redirect that may be followed. */
async function follow(options: HttpOptions, signal: AbortSignal): Promise<{ answer: Answer; redirects: number }> {
  const first = new URL(options.url)
  let url = first
  let { method } = options as { method: string }
  for (let redirects = 0; ; redirects++) {
    const isFirst = url.origin === first.origin
    const answer = await exchange({
      url,
      method,
      // Another origin must get neither the credentials nor the name of the first host.
      headers: isFirst ? headersOf(options) : headersElsewhere(options.headers),
      body: method === options.method ? options.body : undefined,
      maxBytes: options.maxBytes,
      cut: true,
      signal,
      ...(url.protocol === 'https:' && { tls: tlsOf(isFirst ? options : trustOf(options), hostOf(url)) }),
    })
    const location = answer.headers.location
    if (answer.status < 300 || answer.status > 399 || location === undefined || options.maxRedirects === 0) return { answer, redirects }
    if (redirects >= options.maxRedirects)
      throw new CheckFailure(
        'unexpected_answer',
        `The server redirects more than ${options.maxRedirects} times. Correct its redirects, or raise maxRedirects.`,
      )
    const next = URL.parse(location, url.href)
    if (next === null || !/^https?:$/.test(next.protocol))
      throw new CheckFailure('protocol', `The server redirects to ${shorten(location, 100)}, which is not an HTTP address.`)
    // RFC 9110, section 15.4: 307 and 308 keep the method, the others change it to GET.
    if (answer.status !== 307 && answer.status !== 308 && method !== 'HEAD') method = 'GET'
    url = next
  }
}

const trusts = new WeakMap<HttpOptions, TlsOptions>()

/** The TLS options that apply to any server. They are one object for each check, because a secure context belongs to an object. */
function trustOf(options: HttpOptions): TlsOptions {
  let trust = trusts.get(options)
  if (trust === undefined) {
    trust = { caFile: options.caFile, verify: options.verify }
    trusts.set(options, trust)
  }
  return trust
}

function headersOf(options: HttpOptions): Record<string, string> {
  const headers = { ...authorizationOf(options), ...options.headers }
  for (const [name, secret] of Object.entries(options.headerFiles)) headers[name] = secret.reveal()
  return headers
}

function measure(answer: Answer, redirects: number): Measurement[] {
  const measurements: Measurement[] = [
    { name: 'skerry_http_status_code', value: answer.status },
    { name: 'skerry_http_version', value: Number(answer.httpVersion) },
    { name: 'skerry_http_body_bytes', value: answer.body.length },
    { name: 'skerry_http_redirects', value: redirects },
  ]
  for (const [phase, ms] of Object.entries(answer.phases))
    measurements.push({ name: 'skerry_http_phase_duration_seconds', labels: { phase }, value: ms / 1000 })
  if (answer.tls && !Number.isNaN(answer.tls.expiresAt))
    measurements.push({ name: 'skerry_http_certificate_expiry_timestamp_seconds', value: answer.tls.expiresAt / 1000 })
  return measurements
}

type Unexpected = { reason: Reason; detail: string }

/** A condition that names the status judges it, unless expectStatus is given too. */
function judgeStatus({ expectStatus, conditions }: HttpOptions, { status, headers }: Answer): Unexpected | undefined {
  if (expectStatus.length === 0 && conditions.some(({ source }) => /\bstatus\b/.test(source))) return undefined
  const isExpected = expectStatus.length === 0 ? status >= 200 && status <= 299 : expectStatus.includes(status)
  if (isExpected) return undefined
  const wanted = expectStatus.length === 0 ? '200 to 299' : expectStatus.join(' or ')
  const { location } = headers
  const isRedirect = status >= 300 && status <= 399 && location !== undefined
  const where = isRedirect ? `, to ${shorten(location, 100)}` : ''
  const hint = isRedirect
    ? `To follow redirects, set maxRedirects; if this one is right, add ${status} to expectStatus.`
    : 'See the log of the service.'
  return { reason: 'unexpected_answer', detail: `Status ${status}${where}, but ${wanted} is expected. ${hint}` }
}

/** The compression of the body is undone only where an expression is to be found in it. */
async function judgeBody(
  options: HttpOptions,
  answer: Answer,
  { signal, now }: { signal: AbortSignal; now: number },
): Promise<Unexpected | undefined> {
  const { body, headers } = answer
  const { expectBody, refuseBody, conditions, maxBytes } = options
  if (expectBody === undefined && refuseBody === undefined && conditions.length === 0) return undefined
  let plain: Buffer
  try {
    plain = await decoded(body, headers['content-encoding'], { maxBytes, cut: true, isPart: body.length >= maxBytes, signal })
  } catch (error) {
    if (error instanceof CheckFailure) return { reason: error.reason, detail: error.message }
    throw error
  }
  const read = plain.length >= maxBytes ? ` in its first ${maxBytes} bytes` : ''
  const reason = 'unexpected_answer'
  if (expectBody !== undefined && !(await expectBody.test(plain, signal)))
    return { reason, detail: `The body does not match expectBody${read}. See the service's answer.` }
  if (refuseBody !== undefined && (await refuseBody.test(plain, signal)))
    return { reason, detail: `The body matches refuseBody${read}. See the service's answer.` }
  return judgeConditions(options, { ...answer, body: plain }, now)
}

/** The most bytes of a body that conditions see as `text`. */
const maxConditionText = 64 * 1024

async function judgeConditions({ conditions }: HttpOptions, answer: Answer, now: number): Promise<Unexpected | undefined> {
  if (conditions.length === 0) return undefined
  const { status, headers, body, phases, tls } = answer
  const json = jsonForConditions(body)
  const given = {
    status: BigInt(status),
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value].flat().join(', ')])),
    body: typeof json === 'string' ? null : json.value,
    text: body.toString('utf8', 0, maxConditionText),
    ms: Object.values(phases).reduce((sum, each) => sum + each, 0),
    certificateDays: tls === undefined || Number.isNaN(tls.expiresAt) ? null : (tls.expiresAt - now) / 86_400_000,
  }
  for (const condition of conditions) {
    const verdict = await condition.holds(given)
    if (verdict === true) continue
    const why = typeof json === 'string' && /\bbody\b/.test(condition.source) ? `; the body ${json}` : ''
    const detail = shorten(`The condition ${shorten(condition.source, 150)} ${shorten(verdict, 150)}${why}. See the service's answer.`)
    return { reason: 'unexpected_answer', detail }
  }
  return undefined
}

function judge({ warnDays }: HttpOptions, { status, tls }: Answer, measurements: Measurement[], now: number): CheckResult {
  const days = tls === undefined ? Number.NaN : (tls.expiresAt - now) / 86_400_000
  if (days < warnDays)
    return {
      state: 'degraded',
      reason: 'expiring',
      detail: `A certificate of the server's chain ${expiryOf(days)}. Renew it.`,
      measurements,
    }
  return { state: 'up', detail: `Status ${status}.`, measurements }
}
