import { isNotModified } from './conditions.ts'
import type { ApiContext, ResponseHeaders } from './context.ts'

/** Any answer, with the id of the request. The adapter sends plain headers unchanged; `c.header` would cost a quarter of a read. */
export function answer(c: ApiContext, status: number, body: ConstructorParameters<typeof Response>[0], headers: ResponseHeaders): Response {
  return new Response(body, { status, headers: { ...headers, 'x-request-id': c.get('requestId') } })
}

/**
 * An answer of JSON. Bytes and texts are sent as they are; everything else is serialised. With an `etag` among the headers, a caller
 * that already has this version gets 304.
 */
export function json(c: ApiContext, status: number, body: unknown, headers: ResponseHeaders = {}): Response {
  const isRead = status === 200 && (c.req.method === 'GET' || c.req.method === 'HEAD')
  if (isRead && headers.etag !== undefined && isNotModified(c, headers.etag)) return answer(c, 304, null, { ...revalidated, ...headers })
  const data = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body)
  return answer(c, status, data as string, {
    'content-type': 'application/json',
    ...(headers.etag === undefined ? unstored : revalidated),
    ...headers,
  })
}

const unstored = { 'cache-control': 'no-store' }
/** A cache may keep it, and asks about it each time. */
const revalidated = { 'cache-control': 'private, no-cache' }
