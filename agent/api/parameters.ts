import type * as z from 'zod'
import { type Fault, type FaultList, placeOf } from '../../shared/errors.ts'
import { parseWith, unknownField } from '../../shared/faults.ts'
import type { ApiContext } from './context.ts'
import type { LedgerAt } from './ledger-at.ts'

/**
 * Validates the query: returns its value, and adds every fault to `faults`. Values are texts, which the schema converts. Unknown
 * parameters and repeated ones are faults.
 */
export function validateQuery(c: ApiContext, schema: z.ZodObject, faults: FaultList): unknown {
  const given: Record<string, string> = {}
  const names = new Set<string>()
  for (const piece of queryOf(c.req.raw.url).split('&')) {
    if (piece === '') continue
    const split = piece.indexOf('=')
    const name = decode(split < 0 ? piece : piece.slice(0, split))
    const value = decode(split < 0 ? '' : piece.slice(split + 1))
    if (name === undefined || value === undefined)
      faults.add(() => ({ in: 'query', name: name ?? '', message: 'is not percent-encoded UTF-8' }))
    else if (names.has(name)) faults.add(() => ({ in: 'query', name, message: 'is given more than once' }))
    else {
      names.add(name)
      if (Object.hasOwn(schema.shape, name)) given[name] = value
    }
  }
  const unknown = [...names].filter((name) => !Object.hasOwn(schema.shape, name))
  for (const name of unknown) faults.add(() => ({ in: 'query', name, message: unknownField(name, Object.keys(schema.shape)) }))
  return check(schema, given, 'query', faults)
}

/** Validates the path's parameters: returns their values, and adds every fault to `faults`. */
export function validateParams(c: ApiContext, schema: z.ZodObject, faults: FaultList): unknown {
  return check(schema, c.req.param(), 'path', faults)
}

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
export function validateIdempotencyKey(c: ApiContext, faults: FaultList): string | undefined {
  const key = c.req.header('idempotency-key')
  if (key === undefined || /^[\x21-\x7e]{1,255}$/.test(key)) return key
  faults.add(() => ({ in: 'header', name: 'Idempotency-Key', message: 'must be 1 to 255 visible ASCII characters' }))
  return undefined
}

/** What `If-Ledger-At` looks like: the sequence, and the hash if the caller has it. */
export const ledgerAtSyntax = /^(\d{1,15})(?: (sha256:[0-9a-f]{64}))?$/

/**
 * The last entry of the ledger that the caller knows; undefined without one. One that is malformed is added to `faults`, and so is any for a
 * route that does not compare it: nobody may rely on a protection that is not there.
 */
export function validateLedgerAt(c: ApiContext, isCompared: boolean, faults: FaultList): LedgerAt | undefined {
  const given = c.req.header('if-ledger-at')
  if (given === undefined) return undefined
  const [, sequence, hash] = ledgerAtSyntax.exec(given) ?? []
  if (sequence !== undefined && isCompared) return { sequence: Number(sequence), hash }
  const message = isCompared
    ? 'must be the sequence of an operation, such as 42, or 0; its hash may follow after a space: 42 sha256:…'
    : 'does not apply: this request is not an entry of the ledger; use If-Match'
  faults.add(() => ({ in: 'header', name: 'If-Ledger-At', message }))
  return undefined
}

function check(schema: z.ZodObject, given: unknown, where: 'query' | 'path', faults: FaultList): unknown {
  const parsed = parseWith(schema, given)
  if (parsed.ok) return parsed.value
  const known = new Set(faults.found.map(placeOf))
  const found = parsed.faults.map(({ path, message }): Fault => ({ in: where, name: path.join('.'), message }))
  faults.addAll(
    found.filter((fault) => !known.has(placeOf(fault))),
    parsed.more,
  )
  return undefined
}

function queryOf(url: string): string {
  const start = url.indexOf('?')
  if (start < 0) return ''
  const end = url.indexOf('#', start)
  return url.slice(start + 1, end < 0 ? undefined : end)
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}
