import { hash } from 'node:crypto'
import { problemTypeBase } from '../../../shared/errors.ts'
import type { ResponseHeaders } from '../http.ts'
import type { RouteDoc } from '../route.ts'
import { createApiDocument } from './document.ts'
import type { Page } from './markup.ts'
import { createPage, createProblemPage, problemTypes } from './page.ts'

/** A file about the API, ready to be sent. */
type PublishedFile = { body: string; headers: ResponseHeaders & { etag: string } }

/** The files about the API, by their paths. */
export type Published = (path: string) => PublishedFile | undefined

/** Makes the OpenAPI document from the routes, and the pages from the document. A problem's page is made when somebody opens it. */
export function publish(routes: readonly RouteDoc[], version: string): Published {
  const document = createApiDocument(routes, version)
  const made = new Map<string, PublishedFile>([
    ['/openapi.json', file(JSON.stringify(document), 'application/json', {})],
    ['/docs', pageFile(createPage(document))],
  ])
  return (path) => {
    const type = problemTypes.find((each) => path === `/problems/${each}`)
    if (type !== undefined && !made.has(path)) made.set(path, pageFile(createProblemPage(document, type, problemTypeBase + type)))
    return made.get(path)
  }
}

function pageFile({ html, contentSecurityPolicy }: Page): PublishedFile {
  return file(html, 'text/html; charset=utf-8', { 'content-security-policy': contentSecurityPolicy, 'referrer-policy': 'no-referrer' })
}

function file(text: string, contentType: string, headers: ResponseHeaders): PublishedFile {
  const etag = `"${hash('sha256', text, 'hex').slice(0, 32)}"`
  return {
    body: text,
    headers: { 'content-type': contentType, 'cache-control': 'no-cache', 'x-content-type-options': 'nosniff', etag, ...headers },
  }
}
