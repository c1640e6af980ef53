import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { Hono } from 'hono'
import type { Log } from '../../shared/log.ts'
import type { ServerBindings } from '../../shared/server.ts'
import { type Family, type Format, formatFor, mediaTypes, type Page } from './exposition.ts'
import type { Pages } from './pages.ts'
import { EndpointProblem, refusal } from './problems.ts'

/** What one part says of itself: why it is not ready, or undefined. */
export type Readiness = { name: string; trouble: () => string | undefined }

/** What the app answers from. */
export type MonitorAppParts = {
  pages: Pages
  /** Runs the probe that the query of a request to `/probe` asks for. @throws EndpointProblem if it may not, or cannot be understood */
  probe: (query: URLSearchParams, request: ProbeRequest) => Promise<Family[]>
  /** Says whether an `Authorization` header is good. Undefined: everybody may read. */
  authorized: ((header: string | undefined) => Promise<boolean | 'busy'>) | undefined
  readiness: readonly Readiness[]
  facts: () => Record<string, string | number | boolean | undefined>
  log: Log
}

/** What is known of the request besides its query. */
export type ProbeRequest = {
  /** Header `X-Prometheus-Scrape-Timeout-Seconds`. */
  scrapeTimeout: string | undefined
  /** Aborts when whoever asked has gone. */
  signal: AbortSignal
}

const headers = { 'cache-control': 'no-store' }

const index = `<!doctype html>
<html lang="en"><title>Skerry monitor</title>
<h1>Skerry monitor</h1>
<ul>
<li><a href="/metrics">/metrics</a>: checks, host, Sparkplug and the monitor itself, for Prometheus
<li>/probe?target=…&amp;module=…: one probe, as blackbox_exporter's, of a target that a rule allows
<li><a href="/readyz">/readyz</a>: whether what is told can be believed, and why not
<li><a href="/healthz">/healthz</a>: whether it is alive
</ul>
</html>
`

/**
 * The monitor's port: metrics, probes, health and readiness. It changes nothing. All but health and readiness need the password, if
 * there is one. HEAD is answered as GET is, without the body.
 */
export function createMonitorApp({ pages, probe, authorized, readiness, facts, log }: MonitorAppParts): Hono<{ Bindings: ServerBindings }> {
  const app = new Hono<{ Bindings: ServerBindings }>()

  // Answering at all is the health: a process that must be restarted is one whose event loop does not get here.
  app.get('/healthz', (c) => c.text('ok\n', 200, headers))

  app.get('/readyz', (c) => {
    const parts = readiness.map(({ name, trouble }) => {
      const reason = trouble()
      return { name, ready: reason === undefined, ...(reason !== undefined && { reason }) }
    })
    const isReady = parts.every(({ ready }) => ready)
    const status = isReady ? 200 : 503
    if (!c.req.header('accept')?.includes('text/plain')) return c.json({ ready: isReady, parts, facts: facts() }, status, headers)
    const lines = parts.map(({ name, ready, reason }) => `${ready ? '+' : '-'} ${name}${reason === undefined ? '' : `: ${reason}`}\n`)
    return c.text(`${isReady ? 'ready' : 'not ready'}\n${lines.join('')}`, status, headers)
  })

  if (authorized !== undefined)
    app.use('*', async (c, next) => {
      const verdict = await authorized(c.req.header('authorization'))
      if (verdict === 'busy') return refusal('busy', 'Too many passwords are being checked.')
      if (verdict) return next()
      return refusal('unauthenticated', 'There is no valid user and password with the request.')
    })

  app.get('/', (c) => c.html(index, 200, headers))

  app.get('/metrics', async (c) => {
    const format = formatFor(c.req.header('accept'))
    return send(c.env, await pages.metrics(format), format)
  })

  app.get('/probe', async (c) => {
    const format = formatFor(c.req.header('accept'))
    const families = await probe(new URL(c.req.url).searchParams, {
      scrapeTimeout: c.req.header('x-prometheus-scrape-timeout-seconds'),
      signal: leaving(c.env),
    })
    return send(c.env, pages.of(families, format), format)
  })

  const paths = new Set(app.routes.filter(({ method }) => method === 'GET').map(({ path }) => path))
  app.notFound((c) =>
    paths.has(c.req.path)
      ? refusal('method-not-allowed', `${c.req.path} takes GET and HEAD.`)
      : refusal('not-found', 'There is nothing at this path.'),
  )
  app.onError((error) => {
    if (error instanceof EndpointProblem) return refusal(error.type, error.message)
    log.error({ err: error }, 'request failed')
    return refusal('internal', "The cause is in the monitor's log.")
  })
  return app
}

/** Writes a page piece by piece, and releases it when the last one is on its way, or whoever asked has gone. */
function send({ outgoing }: ServerBindings, page: Page, format: Format): Response {
  outgoing.once('close', page.release)
  outgoing.writeHead(200, { ...headers, 'content-type': mediaTypes[format], vary: 'Accept', 'content-length': page.length })
  outgoing.cork()
  for (const piece of page.pieces) outgoing.write(piece)
  outgoing.uncork()
  outgoing.end()
  return RESPONSE_ALREADY_SENT
}

/** Aborts when whoever asked has hung up, or the server stops. (A Request's own signal would load all of Node's fetch.) */
function leaving({ outgoing, stopping }: ServerBindings): AbortSignal {
  const gone = new AbortController()
  outgoing.once('close', () => gone.abort(new Error('whoever asked has gone')))
  return AbortSignal.any([gone.signal, stopping])
}
