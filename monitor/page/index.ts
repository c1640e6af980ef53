import type { ServerResponse } from 'node:http'
import type { Exchange } from '../../shared/server.ts'
import { checkPage } from './check.ts'
import { configurationText } from './configuration.ts'
import { icon, pageEnd, pageStart } from './frame.ts'
import { html } from './html.ts'
import type { PageNeeds } from './needs.ts'
import { overview } from './overview.ts'
import { probesPage } from './probes.ts'
import { script } from './script.ts'
import { sendPieces } from './send.ts'
import { style } from './style.ts'

/** Answers a request to one path. */
type Handler = (exchange: Exchange, query: URLSearchParams) => void | Promise<void>

/**
 * Nothing comes from elsewhere, and nothing runs or is styled but the two files. What a check, a server or a target says could never become
 * code, even if it got into the page as markup.
 */
const policy =
  "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; " +
  "frame-ancestors 'none'"

const guards = {
  'content-security-policy': policy,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
}
const fresh = { ...guards, 'cache-control': 'no-store' }
const htmlType = 'text/html; charset=utf-8'

/** The pages for people, by path. They change nothing, and work without their script. */
export function createPages(needs: PageNeeds): Record<string, Handler> {
  return {
    '/': ({ outgoing }, query) => sendPieces(outgoing, { ...fresh, 'content-type': htmlType }, overview(needs, query)),
    '/check': ({ outgoing }, query) => {
      const page = checkPage(needs, query.get('name') ?? '')
      send(outgoing, page === undefined ? 404 : 200, { ...fresh, 'content-type': htmlType }, page ?? noCheck(needs))
    },
    '/probes': ({ outgoing }) => send(outgoing, 200, { ...fresh, 'content-type': htmlType }, probesPage(needs)),
    '/config': ({ outgoing }) => sendPieces(outgoing, { ...fresh, 'content-type': 'text/plain; charset=utf-8' }, configurationText(needs)),
    '/page.css': file('text/css; charset=utf-8', style),
    '/page.js': file('text/javascript; charset=utf-8', script),
    '/icon.svg': file('image/svg+xml', icon),
  }
}

/** A part of the pages. Its address changes with it, so that a browser may keep it. */
function file(type: string, text: string): Handler {
  return ({ outgoing }) => send(outgoing, 200, { ...guards, 'content-type': type, 'cache-control': 'private, max-age=86400' }, text)
}

function send(outgoing: ServerResponse, status: number, headers: Record<string, string>, body: string): void {
  outgoing.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) })
  outgoing.end(body)
}

function noCheck(needs: PageNeeds): string {
  return html`${pageStart({ title: 'No such check · Skerry monitor', facts: needs.facts(), here: 'check' })}<h1>There is no such check</h1>
<p>It may have been removed or renamed. <a href=".">All checks</a></p>
${pageEnd()}`.text
}
