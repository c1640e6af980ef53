import { type Problem, problemDocument, problemLevel, problemMediaType } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { answer } from './answer.ts'
import type { ApiContext, ResponseHeaders } from './context.ts'

/**
 * The answer of a problem: an RFC 9457 document, with the headers that its type requires. An unexpected error is sent as `internal` with
 * fixed text; its cause is in the log, under the same request id.
 */
export function problemAnswer(c: ApiContext, problem: Problem): Response {
  const document = problemDocument(problem, `/v1/requests/${c.get('requestId')}`)
  return answer(c, problem.status, JSON.stringify(document), {
    'content-type': problemMediaType,
    'cache-control': 'no-store',
    ...headersOf(c, problem),
  })
}

/** Logs a problem if somebody other than the caller should see it. */
export function logProblem(c: ApiContext, problem: Problem, log: Log): void {
  const level = problemLevel(problem.type)
  if (level !== 'info') log[level]({ requestId: c.get('requestId'), method: c.req.method, err: causeOf(problem) }, 'request failed')
}

/** The wrapper around an unexpected error adds nothing to it. */
function causeOf(problem: Problem): unknown {
  return problem.type === 'internal' && problem.cause !== undefined ? problem.cause : problem
}

/** The `Retry-After` of a temporary problem that does not set its own. */
const usualRetrySeconds = 5

function headersOf(c: ApiContext, problem: Problem): ResponseHeaders {
  const { type, status, retryAfterSeconds, extensions } = problem
  // RFC 8288: where the page of this type is, as seen from the address of the request.
  const headers: ResponseHeaders = { link: `</problems/${type}>; rel="help"` }
  const retryAfter = retryAfterSeconds ?? (status === 503 || status === 429 ? usualRetrySeconds : undefined)
  if (retryAfter !== undefined) headers['retry-after'] = String(Math.max(0, Math.ceil(retryAfter)))
  if (type === 'unauthenticated') headers['www-authenticate'] = challenge(c)
  if (type === 'forbidden' && typeof extensions.scope === 'string')
    headers['www-authenticate'] = `Bearer realm="skerry", error="insufficient_scope", scope="${extensions.scope}"`
  if (type === 'method-not-allowed' && Array.isArray(extensions.allow)) headers.allow = extensions.allow.join(', ')
  if (type === 'unsupported-media-type' && Array.isArray(extensions.accepted))
    headers[c.req.method === 'PATCH' ? 'accept-patch' : 'accept'] = extensions.accepted.join(', ')
  return headers
}

/** RFC 6750, section 3.1: without a credential in the request, no error is named. */
function challenge(c: ApiContext): string {
  return c.req.header('authorization') === undefined ? 'Bearer realm="skerry"' : 'Bearer realm="skerry", error="invalid_token"'
}
