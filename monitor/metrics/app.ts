import type { ServerResponse } from 'node:http'
import { problemMediaType } from '../../shared/errors.ts'
import { type Readiness, readinessOf } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'
import { type Family, type PageType, pageTypeFor, renderPage } from '../../shared/prometheus.ts'
import type { Exchange } from '../../shared/server.ts'
import { debugText, type PastProbe, ProbeRefusal, type Probes } from '../probe/index.ts'
import type { Sender } from './basic-auth.ts'
import { EndpointProblem, type EndpointProblemType, refusal } from './problems.ts'

/** What the answers are made from. */
type MonitorAppParts = {
  /** The pages for people, by path. */
  pages: Record<string, Handler>
  /** Everything that `/metrics` shows. */
  families: () => Promise<Family[]>
  /** Runs the probe that the query of a request to `/probe` asks for. @throws ProbeRefusal if it is not allowed or not valid */
  probe: Probes['run']
  pastProbes: Probes['past']
  /** Checks an `Authorization` header. Undefined if everybody may read. */
  authorized: ((header: string | undefined, sender: Sender) => Promise<boolean | 'busy'>) | undefined
  /** Takes a heartbeat. @throws EndpointProblem if it is refused */
  beat: (given: { id: string; query: URLSearchParams; authorization: string | undefined }) => void
  readiness: readonly Readiness[]
  facts: () => Record<string, string | number | boolean | undefined>
  log: Log
}

const headers = { 'cache-control': 'no-store' }
const plainText = 'text/plain; charset=utf-8'
/** The text of others: a browser must not take it for a page. */
const noSniffing = { 'x-content-type-options': 'nosniff', 'content-security-policy': "default-src 'none'; frame-ancestors 'none'" }

/**
 * The monitor's port: metrics, probes, heartbeats, health and readiness. Only a heartbeat changes anything, and has a token of its own. If there is a password, everything but health and
 * readiness needs it. HEAD is answered like GET, without the body.
 *
 * It is written for Node's own server: an app of the Fetch standard would load Node's fetch, which takes 15 MiB.
 */
export function createMonitorApp({
  pages,
  families,
  probe,
  pastProbes,
  beat,
  authorized,
  readiness,
  facts,
  log,
}: MonitorAppParts): (exchange: Exchange) => Promise<void> {
  // An answer is proof enough of health: a process that must be restarted has an event loop that does not get here.
  const open: Record<string, Handler> = {
    '/healthz': ({ outgoing }) => sendText(outgoing, 200, plainText, 'ok\n'),
    '/readyz': ({ incoming, outgoing }) => sendReadiness(outgoing, incoming.headers.accept, { readiness, facts }),
  }
  const closed: Record<string, Handler> = {
    ...pages,
    '/metrics': async ({ incoming, outgoing }) => {
      sendPage(outgoing, pageTypeFor(incoming.headers.accept), await families())
    },
    '/probe': async ({ incoming, outgoing, stopping }, query) => {
      const timeout = incoming.headers['x-prometheus-scrape-timeout-seconds']
      const { families, past } = await probe(query, { scrapeTimeout: timeout as string | undefined, signal: leaving(outgoing, stopping) })
      if (query.get('debug') === 'true') sendText(outgoing, 200, plainText, debugText(past), noSniffing)
      else sendPage(outgoing, pageTypeFor(incoming.headers.accept), families)
    },
    '/logs': ({ outgoing }, query) => sendText(outgoing, 200, plainText, debugText(pastProbeOf(query, pastProbes)), noSniffing),
  }

  async function answer(exchange: Exchange): Promise<void> {
    const { incoming } = exchange
    const url = URL.parse(incoming.url ?? '', 'http://monitor')
    if (url === null || incoming.headers.host === undefined)
      throw new EndpointProblem('invalid-request', 'The request line or the Host header is not valid.')
    const [, id] = /^\/heartbeat\/([\w.-]{1,100})$/.exec(url.pathname) ?? []
    if (id !== undefined) {
      if (!/^(GET|HEAD|POST|PUT)$/.test(incoming.method ?? ''))
        throw new EndpointProblem('heartbeat-method', 'A heartbeat takes GET, HEAD, POST and PUT.')
      beat({ id, query: url.searchParams, authorization: incoming.headers.authorization })
      return sendText(exchange.outgoing, 200, 'text/plain; charset=utf-8', 'ok\n')
    }
    const isOpen = Object.hasOwn(open, url.pathname)
    if (!isOpen && authorized !== undefined) await letIn(authorized, exchange)
    const handler = isOpen ? open[url.pathname] : Object.hasOwn(closed, url.pathname) ? closed[url.pathname] : undefined
    if (handler === undefined) throw new EndpointProblem('not-found', 'Nothing is at this path.')
    if (incoming.method !== 'GET' && incoming.method !== 'HEAD')
      throw new EndpointProblem('method-not-allowed', `${url.pathname} takes GET and HEAD.`)
    await handler(exchange, url.searchParams)
  }

  return async (exchange) => {
    try {
      await answer(exchange)
    } catch (error) {
      const isRefusal = error instanceof EndpointProblem || error instanceof ProbeRefusal
      if (!isRefusal) log.error({ err: error }, 'request failed')
      if (exchange.outgoing.headersSent) exchange.outgoing.destroy()
      else if (isRefusal) sendRefusal(exchange.outgoing, error.type, error.message)
      else sendRefusal(exchange.outgoing, 'internal', "The cause is in the monitor's log.")
    }
  }
}

/** The probe that a query names, as blackbox_exporter's `/logs` does (main.go). @throws EndpointProblem */
function pastProbeOf(query: URLSearchParams, past: Probes['past']): PastProbe {
  const [id, target, module] = ['id', 'target', 'module'].map((name) => query.get(name) || undefined)
  if (id !== undefined && target !== undefined) throw new EndpointProblem('invalid-request', 'Ask for an id or for a target, not for both.')
  if (id === undefined && target === undefined) throw new EndpointProblem('invalid-request', 'The parameter id or target is missing.')
  if (target === undefined && module !== undefined) throw new EndpointProblem('invalid-request', 'The parameter module needs a target.')
  const found = target === undefined ? past.byId(Number(id)) : past.byTarget(target, module)
  if (found === undefined) throw new EndpointProblem('not-found', 'That probe is not among those that are kept.')
  return found
}

type Handler = (exchange: Exchange, query: URLSearchParams) => void | Promise<void>

/** The connection of a client that was let in is not closed to make room for strangers. @throws EndpointProblem unless the password is good */
async function letIn(authorized: NonNullable<MonitorAppParts['authorized']>, exchange: Exchange): Promise<void> {
  const { incoming, outgoing, peer, stopping } = exchange
  const verdict = await authorized(incoming.headers.authorization, { address: peer.address, gone: leaving(outgoing, stopping) })
  if (verdict === 'busy') throw new EndpointProblem('busy', 'Too many passwords are being checked.')
  if (!verdict) throw new EndpointProblem('unauthenticated', 'The request has no valid user and password.')
  exchange.recognized()
}

function sendReadiness(
  outgoing: ServerResponse,
  accept: string | undefined,
  { readiness, facts }: Pick<MonitorAppParts, 'readiness' | 'facts'>,
): void {
  const { ready: isReady, parts } = readinessOf(readiness)
  const status = isReady ? 200 : 503
  if (!accept?.includes('text/plain')) {
    sendText(outgoing, status, 'application/json', JSON.stringify({ ready: isReady, parts, facts: facts() }))
    return
  }
  const lines = parts.map(({ name, ready, reason, warning }) => {
    const mark = ready ? '+' : warning ? '!' : '-'
    return `${mark} ${name}${reason === undefined ? '' : `: ${reason}`}\n`
  })
  sendText(outgoing, status, 'text/plain; charset=utf-8', `${isReady ? 'ready' : 'not ready'}\n${lines.join('')}`)
}

function sendText(outgoing: ServerResponse, status: number, type: string, body: string, more: Record<string, string> = {}): void {
  outgoing.writeHead(status, { ...headers, 'content-type': type, 'content-length': Buffer.byteLength(body), ...more })
  outgoing.end(body)
}

function sendRefusal(outgoing: ServerResponse, type: EndpointProblemType, detail: string): void {
  const { status, more, document } = refusal(type, detail)
  sendText(outgoing, status, problemMediaType, JSON.stringify(document), more)
}

function sendPage(outgoing: ServerResponse, type: PageType, families: readonly Family[]): void {
  const pieces = Array.from(renderPage(families, type), encoded)
  outgoing.once('close', () => {
    for (const { buffer } of pieces) if (buffer.byteLength === pieceBytes) spare.push(Buffer.from(buffer))
  })
  const length = pieces.reduce((sum, { byteLength }) => sum + byteLength, 0)
  outgoing.writeHead(200, { ...headers, 'content-type': type, vary: 'Accept', 'content-length': length })
  outgoing.cork()
  for (const piece of pieces) outgoing.write(piece)
  outgoing.uncork()
  outgoing.end()
}

/** Room for the texts of `renderPage`, unless a line is very long. */
const pieceBytes = 32 * 1024

/**
 * The memory of pages that were sent, for the next ones. The collector would free it late: the monitor with 1,000 checks would take 145 MiB
 * after many scrapes instead of 130 MiB.
 */
const spare: Buffer<ArrayBufferLike>[] = []

function encoded(text: string): Buffer {
  if (Buffer.byteLength(text) > pieceBytes) return Buffer.from(text)
  const piece = spare.pop() ?? Buffer.allocUnsafeSlow(pieceBytes)
  return piece.subarray(0, piece.write(text))
}

/** Aborts when the client disconnects, or the server stops. */
function leaving(outgoing: ServerResponse, stopping: AbortSignal): AbortSignal {
  const gone = new AbortController()
  outgoing.once('close', () => gone.abort(new Error('the client disconnected')))
  return AbortSignal.any([gone.signal, stopping])
}
