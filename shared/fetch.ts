import { getRequestListener, type HttpBindings, RequestError } from '@hono/node-server'
import { asProblem, Problem, problemResponse } from './errors.ts'
import type { Log } from './log.ts'
import type { Exchange, ServerNeeds } from './server.ts'

/** The content of `c.env` in an app. */
export type ServerBindings = HttpBindings & Exchange

/** Where a response keeps its exchange. A WeakMap costs the garbage collector 5 % of a small read. */
const exchangeOf = Symbol('exchange')

type Answering = HttpBindings['outgoing'] & { [exchangeOf]?: Exchange }

/** Makes a server answer with a Fetch handler, such as `app.fetch` of Hono. It loads all of Node's fetch. */
export function byFetch(
  fetch: (request: Request, bindings: ServerBindings) => Response | Promise<Response>,
  log: Log,
): ServerNeeds['answer'] {
  const listener = getRequestListener(
    (request, env) => {
      const { [exchangeOf]: exchange } = env.outgoing as Answering
      const response = fetch(request, exchange as ServerBindings)
      // A synchronous response stays synchronous.
      return response instanceof Promise ? response.then((settled) => guardStream(settled, log)) : guardStream(response, log)
    },
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
    const outgoing: Answering = exchange.outgoing
    outgoing[exchangeOf] = exchange
    return listener(exchange.incoming, outgoing)
  }
}

/**
 * Logs the failure of an event stream and ends it, so that its client connects again. The adapter itself would print the error to
 * stderr, and send its text to the client if nothing else was sent yet.
 */
function guardStream(response: Response, log: Log): Response {
  if (response.body === null || !response.headers.get('content-type')?.startsWith('text/event-stream')) return response
  const reader = response.body.getReader()
  let hungUp = false
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read()
        if (hungUp) return // the client has gone, and its stream is closed already
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
