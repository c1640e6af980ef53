import { type Fault, Problem } from '../../shared/errors.ts'
import type { ApiContext } from './context.ts'
import { header } from './header.ts'

/** The longest that a request is held for `Prefer: wait`, in seconds. Cloudflare's edge gives up on an origin after 100. */
export const longestWaitSeconds = 90

/**
 * How long the caller would wait for the end of what it asks for, in seconds, by `Prefer: wait=N` (RFC 7240), at most
 * `longestWaitSeconds`. undefined when it does not say; a preference that cannot be read is no preference.
 */
export function preferredWait(c: ApiContext): number | undefined {
  const given = header(c, 'prefer')
  if (given === undefined) return undefined
  const found = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:[,;]|$)/i.exec(given)
  return found ? Math.min(Number(found[1]), longestWaitSeconds) : undefined
}

/**
 * The key by which a caller makes the same request twice without its being done twice; undefined when it gives none.
 * @throws Problem `invalid-fields` when it is not 1 to 255 visible ASCII characters
 */
export function idempotencyKey(c: ApiContext): string | undefined {
  const faults: Fault[] = []
  const key = validateIdempotencyKey(c, faults)
  if (faults.length > 0) throw new Problem('invalid-fields', '1 field is not as it must be.', { faults })
  return key
}

/** The same, with a fault added to `faults` in place of the throw. */
export function validateIdempotencyKey(c: ApiContext, faults: Fault[]): string | undefined {
  const key = header(c, 'idempotency-key')
  if (key === undefined || /^[\x21-\x7e]{1,255}$/.test(key)) return key
  faults.push({ path: 'header:Idempotency-Key', message: 'must be 1 to 255 visible ASCII characters' })
  return undefined
}
