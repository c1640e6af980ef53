import { exchange } from '../../wire/http-exchange.ts'
import { reasons } from '../../wire/reasons.ts'
import type { ActionCause } from './act.ts'
import type { Action } from './action.ts'

const timeoutMs = 10_000

/**
 * POSTs the status as JSON. Redirects are not followed: the server must not choose where the status goes.
 * @returns a description of what was done @throws Error without the address, which may be secret
 */
export async function callWebhook(
  { url, headers = {} }: Extract<Action, { type: 'webhook' }>,
  cause: ActionCause,
  { signal, now }: { signal: AbortSignal; now: number },
): Promise<string> {
  const text = (typeof url === 'string' ? url : url.reveal()).trim()
  if (!URL.canParse(text) || !/^https?:/.test(text)) throw new Error('the address is not an http or https URL')
  const secretHeaders = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value.reveal()]))
  const answer = await exchange({
    url: new URL(text),
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...secretHeaders },
    body: JSON.stringify(bodyOf(cause, now)),
    maxBytes: 16 * 1024,
    cut: true,
    signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
  })
  if (answer.status >= 200 && answer.status <= 299) return `status ${answer.status}`
  const redirect = answer.status >= 300 && answer.status <= 399 ? ', and redirects are not followed' : ''
  throw new Error(`the answer has status ${answer.status}${redirect}`)
}

/** The body of the request. Times are in the format of RFC 3339; `hint` says what the reason means, and what to check. */
function bodyOf({ check, state, since, reason, detail, consecutiveFailures }: ActionCause, now: number) {
  const hint = reason === undefined || reason === 'dependency' ? undefined : reasons[reason]
  return {
    check: check.name,
    kind: check.kind,
    target: check.target,
    severity: check.severity,
    labels: check.labels,
    state,
    since: new Date(since).toISOString(),
    reason,
    detail,
    hint,
    consecutiveFailures,
    sentAt: new Date(now).toISOString(),
  }
}
