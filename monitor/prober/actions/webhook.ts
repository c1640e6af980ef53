import type { Secret } from '../../../shared/fields.ts'
import { exchange } from '../../wire/http-exchange.ts'
import { reasons } from '../../wire/reasons.ts'
import type { ActionCause } from './act.ts'
import { type Occasion, occasions, type WebhookAction } from './action.ts'
import { isJson } from './config.ts'
import { fillIn } from './template.ts'

const timeoutMs = 10_000

/**
 * Sends the status, as JSON or as its template says. Redirects are not followed: the server must not choose where the status goes.
 * @returns a description of what was done @throws Error without the address, which may be secret
 */
export async function callWebhook(
  action: WebhookAction,
  cause: ActionCause,
  { signal, now, occasion }: { signal: AbortSignal; now: number; occasion: Occasion },
): Promise<string> {
  const { url, method = 'POST', headers = {}, contentType = 'application/json' } = action
  const text = (typeof url === 'string' ? url : url.reveal()).trim()
  if (!URL.canParse(text) || !/^https?:/.test(text)) throw new Error('the address is not an http or https URL')
  const answer = await exchange({
    url: new URL(text),
    method,
    headers: { 'Content-Type': contentType, ...revealed(headers) },
    body: bodyOf(action, cause, { now, occasion }),
    maxBytes: 16 * 1024,
    cut: true,
    signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
  })
  if (answer.status >= 200 && answer.status <= 299) return `status ${answer.status}`
  const redirect = answer.status >= 300 && answer.status <= 399 ? ', and redirects are not followed' : ''
  throw new Error(`the answer has status ${answer.status}${redirect}`)
}

function revealed(secrets: Readonly<Record<string, Secret>>): Record<string, string> {
  return Object.fromEntries(Object.entries(secrets).map(([name, value]) => [name, value.reveal().trim()]))
}

function bodyOf(action: WebhookAction, cause: ActionCause, { now, occasion }: { now: number; occasion: Occasion }): string {
  const { body: template, contentType = 'application/json', secrets = {} } = action
  const status = statusOf(cause, now)
  if (template === undefined) return JSON.stringify(status)
  const { reason = '', hint = '' } = status
  const is = Object.fromEntries(occasions.map((each) => [each, each === occasion])) as Record<Occasion, boolean>
  return fillIn(
    template,
    {
      ...status,
      reason,
      hint,
      ...is,
      labels: Object.assign(Object.create(null), cause.check.labels),
      secrets: Object.assign(Object.create(null), revealed(secrets)),
    },
    isJson(contentType),
  )
}

/** What is sent. Times are in the format of RFC 3339; `hint` says what the reason means, and what to check. */
function statusOf({ check, state, since, reason, detail, consecutiveFailures }: ActionCause, now: number) {
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
