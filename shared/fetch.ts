import { getRequestListener, type HttpBindings, RequestError } from '@hono/node-server'
import { asProblem, Problem, problemResponse } from './errors.ts'
import type { Log } from './log.ts'
import type { Exchange, ServerNeeds } from './server.ts'

/** What an app finds in `c.env`. */
export type ServerBindings = HttpBindings & Exchange

/** An app of the Fetch standard (`app.fetch` of Hono fits) as what a server asks for answers. Who uses it loads all of Node's fetch. */
export function byFetch(
  fetch: (request: Request, bindings: ServerBindings) => Response | Promise<Response>,
  log: Log,
): ServerNeeds['answer'] {
  const exchanges = new WeakMap<object, Exchange>()
  const listener = getRequestListener(
    async (request, env) => guardStream(await fetch(request, exchanges.get((env as HttpBindings).outgoing) as ServerBindings), log),
    {
      overrideGlobalObjects: false,
      errorHandler: (error) => {
        if (error instanceof RequestError)
          return problemResponse(new Problem('invalid-request', 'The request line or the Host header is not valid.'))
        log.error({ err: error }, 'request failed')
        return problemResponse(asProblem(error))
      },
    },
  )
  return (exchange) => {
    exchanges.set(exchange.outgoing, exchange)
    return listener(exchange.incoming, exchange.outgoing)
  }
}

/**
 * An event stream that fails is logged and ended, so that its client connects again. Left alone, the adapter would print the
 * error beside the log, and send its text to the client if nothing else was sent yet.
 */
function guardStream(response: Response, log: Log): Response {
  if (response.body === null || !response.headers.get('content-type')?.startsWith('text/event-stream')) return response
  const reader = response.body.getReader()
  let hungUp = false
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read()
        if (hungUp) return // the client went while this waited, and its stream is closed already
        if (done) controller.close()
        else controller.enqueue(value)
      } catch (error) {
        if (hungUp) return
        log.error({ err: error }, 'event stream failed')
        controller.close()
      }
    },
    cancel(reason) {
      hungUp = true
      return reader.cancel(reason)
    },
  })
  return new Response(body, { status: response.status, headers: response.headers })
}
