import type { Fault } from '../../shared/errors.ts'
import type { ApiContext } from './context.ts'

/** The longest that a request is held for `Prefer: wait`, in seconds. Cloudflare's edge gives up on an origin after 100. */
const longestWaitSeconds = 90

/**
 * How long the caller waits for the end of the operation, in seconds, from `Prefer: wait=N` (RFC 7240); at most `longestWaitSeconds`.
 * undefined without a preference; a malformed one is ignored.
 */
export function preferredWait(c: ApiContext): number | undefined {
  const given = c.req.header('prefer')
  if (given === undefined) return undefined
  const found = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:[,;]|$)/i.exec(given)
  return found ? Math.min(Number(found[1]), longestWaitSeconds) : undefined
}

/** The key that makes a request safe to repeat; undefined without one. One that is malformed is added to `faults`. */
export function validateIdempotencyKey(c: ApiContext, faults: Fault[]): string | undefined {
  const key = c.req.header('idempotency-key')
  if (key === undefined || /^[\x21-\x7e]{1,255}$/.test(key)) return key
  faults.push({ path: 'header:Idempotency-Key', message: 'must be 1 to 255 visible ASCII characters' })
  return undefined
}
