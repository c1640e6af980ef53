import { isNotModified } from './conditions.ts'
import { isHead } from './header.ts'
import type { ApiContext, ResponseHeaders } from './http.ts'

/**
 * An answer of JSON. A Buffer or a string is sent as it is, all else is serialised. With an `etag` among the headers, a caller that
 * has this version already gets 304.
 *
 * It is one Response with everything in it and plain headers: a header that is set later makes hono build it anew, for 45 µs.
 */
export function json(c: ApiContext, status: number, body: unknown, headers: ResponseHeaders = {}): Response {
  const all: ResponseHeaders = {
    'content-type': 'application/json',
    'cache-control': headers.etag === undefined ? 'no-store' : 'private, no-cache',
    'x-request-id': c.get('requestId'),
    ...headers,
  }
  if (headers.etag !== undefined && status === 200 && isRead(c) && isNotModified(c, headers.etag)) {
    delete all['content-type']
    return new Response(null, { status: 304, headers: all })
  }
  const bytes = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body)
  return new Response(bytes as string, { status, headers: all })
}

/** An answer without a body. */
export function empty(c: ApiContext, status: 204 | 304, headers: ResponseHeaders = {}): Response {
  return new Response(null, { status, headers: { 'cache-control': 'no-store', 'x-request-id': c.get('requestId'), ...headers } })
}

function isRead(c: ApiContext): boolean {
  return c.req.method === 'GET' || isHead(c)
}
