import * as z from 'zod'
import { secretFile } from '../../shared/fields.ts'
import { authorizationOf, headersElsewhere, httpFields, httpUrl, type TlsOptions, targetOfUrl, tlsOf } from '../wire/http-access.ts'
import { type Answer, type Exchange, exchange, type Moments } from '../wire/http-exchange.ts'
import { CheckFailure } from '../wire/reasons.ts'
import { shorten } from '../wire/wording.ts'
import { type CheckResult, checkKind, type Measurement } from './kind.ts'

const pattern = z.string().min(1).max(500).refine(isPattern, { error: 'must be a regular expression' })

const options = z.strictObject({
  url: httpUrl.describe('What to ask for, with http:// or https://.'),
  method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'OPTIONS']).default('GET').describe('Method of the request.'),
  headers: z.record(z.string(), z.string()).default({}).describe('Further header fields. Secrets go into tokenFile or headerFiles.'),
  headerFiles: z.record(z.string(), secretFile()).default({}).describe('Header fields whose values are secret: the file that holds each.'),
  body: z.string().max(65_536).optional().describe('Body of the request.'),
  expectStatus: z.array(z.int().min(100).max(599)).default([]).describe('Statuses that are up; any from 200 to 299 when empty.'),
  expectBody: pattern.optional().describe('Regular expression that the body must match.'),
  refuseBody: pattern.optional().describe('Regular expression that the body must not match.'),
  maxRedirects: z
    .int()
    .min(0)
    .max(10)
    .default(0)
    .describe(
      'How many redirects are followed; with 0 a redirect is an answer like any other. Another origin gets no credentials, client certificate or serverName.',
    ),
  maxBytes: z
    .int()
    .min(0)
    .max(16 * 1024 * 1024)
    .default(1024 * 1024)
    .describe('How many bytes of the body are read. The rest is left, and not searched.'),
  degradedAfterMs: z.int().min(1).optional().describe('From how many milliseconds on an answer is degraded.'),
  warnDays: z.number().min(0).default(14).describe('Degraded when a certificate of the chain expires within so many days.'),
  ...httpFields,
})

type HttpOptions = z.output<typeof options>

/** Up when a fresh connection brings an answer with an expected status and, if asked, an expected body. */
export const http = checkKind({
  about:
    'Sends one request on a new connection. Down when the status or the body is not as expected, or TLS fails. Degraded when a certificate of the chain expires soon, or the answer took longer than `degradedAfterMs`. Redirects are not followed unless asked.',
  example: { url: 'https://shop.example.com/health', expectStatus: [200], expectBody: '"status": *"ok"' },
  options,
  measures: {
    skerry_http_status_code: { type: 'gauge', help: 'Status of the last answer.' },
    skerry_http_version: { type: 'gauge', help: 'Version of HTTP in the last answer.' },
    skerry_http_phase_duration_seconds: {
      type: 'gauge',
      help: 'How long each phase of the last request took: resolve, connect, tls, processing, transfer.',
      labels: ['phase'],
    },
    skerry_http_body_bytes: { type: 'gauge', help: 'Bytes of the body that were read.' },
    skerry_http_redirects: { type: 'gauge', help: 'Redirects that were followed.' },
    skerry_http_certificate_expiry_timestamp_seconds: { type: 'gauge', help: "When the first certificate of the server's chain expires." },
  },
  target: ({ url }) => targetOfUrl(url),
  async check(options, { signal, now = Date.now }) {
    const { answer, redirects } = await follow(options, signal)
    return judge(options, answer, measure(answer, redirects), now())
  },
})

/** The answer that counts: of the URL itself, or after the redirects that may be followed. */
export async function follow(
  options: HttpOptions,
  signal: AbortSignal,
  through: Pick<Exchange, 'lookup'> = {},
): Promise<{ answer: Answer; redirects: number }> {
  const first = new URL(options.url)
  let url = first
  let { method } = options as { method: string }
  for (let redirects = 0; ; redirects++) {
    const isFirst = url.origin === first.origin
    const answer = await exchange({
      url,
      method,
      // A redirect to another origin must not carry the credentials there, nor the name of the first.
      headers: isFirst ? headersOf(options) : headersElsewhere(options.headers),
      body: method === options.method ? options.body : undefined,
      maxBytes: options.maxBytes,
      cut: true,
      signal,
      ...through,
      ...(url.protocol === 'https:' && { tls: tlsOf(isFirst ? options : trustOf(options)) }),
    })
    const location = answer.headers.location
    if (answer.status < 300 || answer.status > 399 || location === undefined || options.maxRedirects === 0) return { answer, redirects }
    if (redirects >= options.maxRedirects)
      throw new CheckFailure(
        'unexpected_answer',
        `It redirects more than ${options.maxRedirects} times. See what it redirects to, or raise maxRedirects.`,
      )
    const next = URL.parse(location, url.href)
    if (next === null || !/^https?:$/.test(next.protocol))
      throw new CheckFailure('protocol', `It redirects to ${shorten(location, 100)}, which is no HTTP address.`)
    // RFC 9110, section 15.4: these two repeat the method, the others ask with GET.
    if (answer.status !== 307 && answer.status !== 308 && method !== 'HEAD') method = 'GET'
    url = next
  }
}

const trusts = new WeakMap<HttpOptions, TlsOptions>()

/** Of the TLS options those that hold for every server. One object for each check, since its secure context is kept by it. */
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

/** How long each phase of a request took, in milliseconds, from when each ended. */
export function phasesOf({ resolved, connected, secured, answered = 0, ended = answered }: Moments): Record<string, number> {
  const open = secured ?? connected ?? 0
  return {
    resolve: resolved ?? 0,
    connect: Math.max(0, (connected ?? 0) - (resolved ?? 0)),
    tls: secured === undefined ? 0 : Math.max(0, secured - (connected ?? 0)),
    processing: Math.max(0, answered - open),
    transfer: Math.max(0, ended - answered),
  }
}

function measure(answer: Answer, redirects: number): Measurement[] {
  const measurements: Measurement[] = [
    { name: 'skerry_http_status_code', value: answer.status },
    { name: 'skerry_http_version', value: Number(answer.httpVersion) },
    { name: 'skerry_http_body_bytes', value: answer.body.length },
    { name: 'skerry_http_redirects', value: redirects },
  ]
  for (const [phase, ms] of Object.entries(phasesOf(answer.moments)))
    measurements.push({ name: 'skerry_http_phase_duration_seconds', labels: { phase }, value: ms / 1000 })
  if (answer.tls && !Number.isNaN(answer.tls.expiresAt))
    measurements.push({ name: 'skerry_http_certificate_expiry_timestamp_seconds', value: answer.tls.expiresAt / 1000 })
  return measurements
}

function judge(options: HttpOptions, answer: Answer, measurements: Measurement[], now: number): CheckResult {
  const { expectStatus, degradedAfterMs } = options
  const { status } = answer
  const expected = expectStatus.length === 0 ? status >= 200 && status <= 299 : expectStatus.includes(status)
  if (!expected) {
    const wanted = expectStatus.length === 0 ? '200 to 299' : expectStatus.join(' or ')
    const where = answer.headers.location === undefined ? '' : `, to ${shorten(answer.headers.location, 100)}`
    return {
      state: 'down',
      reason: 'unexpected_answer',
      detail: `Status ${status}${where}; ${wanted} is expected. See the log of the service.`,
      measurements,
    }
  }
  const body = judgeBody(options, answer)
  if (body !== undefined) return { state: 'down', reason: 'unexpected_answer', detail: body, measurements }
  const days = answer.tls === undefined ? Number.NaN : (answer.tls.expiresAt - now) / 86_400_000
  if (days < options.warnDays)
    return {
      state: 'degraded',
      reason: 'expiring',
      detail: `A certificate of its chain expires in ${Math.floor(days)} days. Renew it.`,
      measurements,
    }
  const ms = answer.moments.ended ?? 0
  if (degradedAfterMs !== undefined && ms >= degradedAfterMs)
    return {
      state: 'degraded',
      reason: 'limit',
      detail: `Status ${status} after ${Math.round(ms)} ms; less than ${degradedAfterMs} ms is wanted.`,
      measurements,
    }
  return { state: 'up', detail: `Status ${status}.`, measurements }
}

function judgeBody({ expectBody, refuseBody, maxBytes }: HttpOptions, { body }: Answer): string | undefined {
  if (expectBody === undefined && refuseBody === undefined) return undefined
  const text = body.toString('utf8')
  const read = body.length >= maxBytes ? ` in its first ${maxBytes} bytes` : ''
  if (expectBody !== undefined && !compiled(expectBody).test(text))
    return `The body does not match expectBody${read}. See what the service answers.`
  if (refuseBody !== undefined && compiled(refuseBody).test(text))
    return `The body matches refuseBody${read}. See what the service answers.`
  return undefined
}

const expressions = new Map<string, RegExp>()

function compiled(source: string): RegExp {
  let expression = expressions.get(source)
  if (expression === undefined) {
    if (expressions.size > 500) expressions.clear()
    expression = new RegExp(source)
    expressions.set(source, expression)
  }
  return expression
}

function isPattern(source: string): boolean {
  try {
    new RegExp(source)
    return true
  } catch {
    return false
  }
}
