import * as z from 'zod'
import { Problem, summaryOf } from '../../shared/errors.ts'
import type { ApiContext } from './context.ts'

const pageLimits = { least: 1, most: 1000, usual: 500 } as const

/** The parameters of every list, to be spread into its query's schema: `z.strictObject({ ...pageQuery, phase: … })`. */
export const pageQuery = {
  limit: z
    .string()
    .regex(/^\d{1,6}$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.number().min(pageLimits.least).max(pageLimits.most))
    .default(pageLimits.usual)
    .describe('The most items to return.')
    .meta({ override: { type: 'integer', minimum: pageLimits.least, maximum: pageLimits.most, default: pageLimits.usual } }),
  cursor: z.string().max(1024).optional().describe('The cursor from the previous page. Its content is opaque.'),
}

/** One page of a list that is sorted by key, with the cursor of the next page, if any. */
export type Page<T> = { items: T[]; next: string | undefined }

/**
 * Cuts a page from a list sorted by key, in the order of UTF-16 code units. It begins after the key in the cursor, so items that are
 * added or removed between two pages neither repeat nor hide others.
 * @param list names the list: a cursor of another one is refused
 * @throws Problem `invalid-fields` when the cursor is not one of this list
 */
export function pageOf<T>(
  sorted: readonly T[],
  keyOf: (item: T) => string,
  { limit, cursor }: { limit: number; cursor?: string | undefined },
  list: string,
): Page<T> {
  const start = cursor === undefined ? 0 : firstAfter(sorted, keyOf, keyOfCursor(cursor, list))
  const items = sorted.slice(start, start + limit)
  const last = items.at(-1)
  const isMore = last !== undefined && start + items.length < sorted.length
  return { items, next: isMore ? cursorOf(list, keyOf(last)) : undefined }
}

function firstAfter<T>(sorted: readonly T[], keyOf: (item: T) => string, key: string): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (keyOf(sorted[middle] as T) <= key) low = middle + 1
    else high = middle
  }
  return low
}

/** The cursor behind this key. */
function cursorOf(list: string, key: string): string {
  return Buffer.from(JSON.stringify([list, key])).toString('base64url')
}

/** The key of a cursor. @throws Problem `invalid-fields` when it is not a cursor of this list */
function keyOfCursor(cursor: string, list: string): string {
  try {
    const [of, key, ...rest] = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as unknown[]
    if (of === list && typeof key === 'string' && rest.length === 0) return key
  } catch {
    // It is not one of our cursors.
  }
  const message = 'is not a cursor of this list; use the one from the previous page'
  const faults = [{ in: 'query' as const, name: 'cursor', message }]
  throw new Problem('invalid-fields', summaryOf(faults), { faults })
}

/** The value of `Link` for the next page: the current request with the cursor in it. */
export function nextLink(c: ApiContext, next: string): string {
  const url = new URL(c.req.raw.url)
  url.searchParams.set('cursor', next)
  return `<${url.pathname}${url.search}>; rel="next"`
}
