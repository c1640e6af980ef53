import type * as z from 'zod'
import type { Fault } from '../../shared/errors.ts'
import { parseWith, unknownField } from '../../shared/faults.ts'
import type { ApiContext } from './context.ts'

/**
 * Validates the query: returns its value, and adds every fault to `faults`. Values are texts, which the schema converts. Unknown
 * parameters and repeated ones are faults.
 */
export function validateQuery(c: ApiContext, schema: z.ZodObject, faults: Fault[]): unknown {
  const given: Record<string, string> = {}
  const names = new Set<string>()
  const before = faults.length
  for (const piece of queryOf(c.req.raw.url).split('&')) {
    if (piece === '') continue
    const split = piece.indexOf('=')
    const name = decode(split < 0 ? piece : piece.slice(0, split))
    const value = decode(split < 0 ? '' : piece.slice(split + 1))
    if (name === undefined || value === undefined) faults.push({ path: `query:${name ?? ''}`, message: 'is not percent-encoded UTF-8' })
    else if (names.has(name)) faults.push({ path: `query:${name}`, message: 'is given more than once' })
    else {
      names.add(name)
      if (Object.hasOwn(schema.shape, name)) given[name] = value
    }
    if (faults.length - before > 100) break
  }
  const unknown = [...names].filter((name) => !Object.hasOwn(schema.shape, name))
  for (const name of unknown.slice(0, 100)) faults.push({ path: `query:${name}`, message: unknownField(name, Object.keys(schema.shape)) })
  return check(schema, given, 'query', faults)
}

/** Validates the path's parameters: returns their values, and adds every fault to `faults`. */
export function validateParams(c: ApiContext, schema: z.ZodObject, faults: Fault[]): unknown {
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
export function validateIdempotencyKey(c: ApiContext, faults: Fault[]): string | undefined {
  const key = c.req.header('idempotency-key')
  if (key === undefined || /^[\x21-\x7e]{1,255}$/.test(key)) return key
  faults.push({ path: 'header:Idempotency-Key', message: 'must be 1 to 255 visible ASCII characters' })
  return undefined
}

function check(schema: z.ZodObject, given: unknown, where: 'query' | 'path', faults: Fault[]): unknown {
  const parsed = parseWith(schema, given)
  if (parsed.ok) return parsed.value
  const known = new Set(faults.map(({ path }) => path))
  for (const { path, message } of parsed.faults) {
    const at = `${where}:${path.join('.')}`
    if (!known.has(at)) faults.push({ path: at, message })
  }
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
