import { hash } from 'node:crypto'
import type { ResponseHeaders } from '../http.ts'
import type { RouteDoc } from '../route.ts'
import { createApiDocument } from './document.ts'
import { createPage } from './page.ts'

/** What is published about the API, ready to be sent. */
export type Published = Record<'/openapi.json' | '/docs', { body: string; headers: ResponseHeaders & { etag: string } }>

/** Makes the OpenAPI document from the routes, and the page from the document. */
export function publish(routes: readonly RouteDoc[], version: string): Published {
  const document = createApiDocument(routes, version)
  const page = createPage(document)
  return {
    '/openapi.json': file(JSON.stringify(document), 'application/json', {}),
    '/docs': file(page.html, 'text/html; charset=utf-8', {
      'content-security-policy': page.contentSecurityPolicy,
      'referrer-policy': 'no-referrer',
    }),
  }
}

function file(text: string, contentType: string, headers: ResponseHeaders): Published['/docs'] {
  const etag = `"${hash('sha256', text, 'hex').slice(0, 32)}"`
  return {
    body: text,
    headers: { 'content-type': contentType, 'cache-control': 'no-cache', 'x-content-type-options': 'nosniff', etag, ...headers },
  }
}
