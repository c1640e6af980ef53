import { gzipSync } from 'node:zlib'
import type * as z from 'zod'
import type { Clock } from '../../shared/clock.ts'
import type { CloudClock } from './cloud-clock.ts'
import { instant } from './contract/documents.ts'
import { type Endpoint, pathAt } from './contract/endpoints.ts'
import { failureOfType } from './contract/failures.ts'
import { CloudFault } from './fault.ts'
import type { Prover } from './proof.ts'
import { jsonOf, type Received, type Sent, type Transport } from './transport.ts'

/** One call of the contract. */
export type Call<T> = {
  endpoint: Endpoint
  /** The registration, where the path has one. */
  region?: string
  /** What is sent; a function is asked at each attempt, since the time of the cloud may become known in between. */
  body?: unknown
  /** In place of `body`: JSON that was compressed with gzip already. */
  packed?: Buffer
  headers?: Record<string, string>
  /** The credential of the region; a claim and a renewal have none. */
  credential?: string | undefined
  answer: z.ZodType<T>
}

export type CallerParts = { url: string; transport: Transport; prover: Prover; cloudClock: CloudClock; clock: Clock }

/** Bodies with more characters are compressed. */
const compressedFrom = 1_024

/**
 * Calls the cloud: proves the key, checks the answer against the contract, and takes the time from it. A call that is refused because of our
 * clock is repeated once with the time of the cloud, and so is one whose connection has ended: that is no reason to wait, and each call of the
 * contract may be repeated. The proof may not: the cloud may have got it, and takes it once.
 *
 * @throws CloudFault
 */
export async function callCloud<T>(call: Call<T>, parts: CallerParts, signal: AbortSignal): Promise<T> {
  try {
    return await callOnce(call, parts, signal)
  } catch (error) {
    const again = error instanceof CloudFault && (error.failure === 'clock-skew' || error.isCut) && !signal.aborted
    if (again) return callOnce(call, parts, signal)
    throw error
  }
}

async function callOnce<T>(call: Call<T>, parts: CallerParts, signal: AbortSignal): Promise<T> {
  const { clock, cloudClock, transport } = parts
  const sent = signed(call, parts)
  const began = clock.monotonic()
  const received = await transport.send(sent, signal)
  const tookMs = clock.monotonic() - began
  if (received.status >= 300) throw refusalOf(received, call.endpoint, (now) => cloudClock.heard(now, tookMs))
  const parsed = call.answer.safeParse(received.status === 204 ? {} : jsonOf(received))
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    const place = issue?.path.length ? `/${issue.path.join('/')}` : 'the answer'
    throw new CloudFault(
      'garbled',
      `The cloud's answer to ${sent.method} ${sent.path} is invalid: ${place.slice(0, 100)}: ${issue?.message.slice(0, 200)}.`,
    )
  }
  const { now } = parsed.data as { now?: unknown }
  if (typeof now === 'number') cloudClock.heard(now, tookMs)
  return parsed.data
}

function signed<T>(call: Call<T>, { url, prover, cloudClock }: CallerParts): Sent {
  const { endpoint, region = '', credential } = call
  const body = typeof call.body === 'function' ? call.body() : call.body
  const { method, request } = endpoint
  const path = pathAt(endpoint, region)
  const text = body === undefined ? undefined : JSON.stringify(body)
  const packed = call.packed ?? (text !== undefined && text.length > compressedFrom ? gzipSync(text) : undefined)
  const proof = prover.prove({ method, url: `${url}${path}`, now: cloudClock.now(), credential })
  return {
    method,
    path,
    headers: {
      ...(credential !== undefined && { authorization: `DPoP ${credential}` }),
      dpop: proof,
      ...(request && { 'content-type': request.mediaType }),
      ...(packed && { 'content-encoding': 'gzip' }),
      ...call.headers,
    },
    body: packed ?? text,
  }
}

/** What an answer other than 2xx means. A redirect is none: credentials go to the configured address only. */
function refusalOf(received: Received, { failures }: Endpoint, heard: (now: number) => void): CloudFault {
  const { status, headers } = received
  const retryAfterMs = retryAfterOf(headers['retry-after'])
  const problem = problemOf(received)
  const now = instant.safeParse(problem.now)
  if (now.success) heard(now.data)
  const failure = failureOfType(problem.type)
  const said = typeof problem.detail === 'string' ? ` It says: ${oneLine(problem.detail)}` : ''
  if (failure !== undefined && failures.includes(failure)) return new CloudFault(failure, undefined, { retryAfterMs })
  if (status < 400) {
    return new CloudFault('garbled', `The cloud answered with a redirect (${status}), which is not followed. Correct cloud.url.`)
  }
  if (status === 429 || status >= 500) return new CloudFault('busy', `The cloud answered ${status}.${said}`, { retryAfterMs })
  const what = failure === undefined ? 'without a class that is known' : `with ${failure}, which is no answer to this request`
  return new CloudFault('garbled', `The cloud answered ${status} ${what}.${said}`, { retryAfterMs })
}

function problemOf(received: Received): Record<string, unknown> {
  try {
    const parsed = jsonOf(received)
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

function retryAfterOf(header: string | undefined): number | undefined {
  if (header === undefined || !/^\d{1,9}$/.test(header)) return undefined
  return Number(header) * 1000
}

/** What somebody else wrote, as part of a sentence. */
function oneLine(text: string): string {
  return text
    .slice(0, 200)
    .replace(/[^\x20-\x7e]+/g, ' ')
    .trim()
}
