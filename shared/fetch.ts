import { getRequestListener, type HttpBindings, RequestError } from '@hono/node-server'
import { asProblem, Problem, problemResponse } from './errors.ts'
import type { Log } from './log.ts'
import type { Exchange, ServerNeeds } from './server.ts'

/** The content of `c.env` in an app. */
export type ServerBindings = HttpBindings & Exchange

/**
 * Makes a server answer with a Fetch handler, such as `app.fetch` of Hono. It loads all of Node's fetch.
 *
 * The adapter puts its own `Request` and `Response` in place of the global ones, as it does by default: they keep an answer as plain
 * values until it is inspected, and a small read costs half as much (decision 15). A stream in an answer must close rather than
 * fail: the adapter would print the error beside the log, and may send its text to the client.
 */
export function byFetch(
  fetch: (request: Request, bindings: ServerBindings) => Response | Promise<Response>,
  log: Log,
): ServerNeeds['answer'] {
  const errorHandler = (error: unknown) => {
    if (error instanceof RequestError)
      return problemResponse(new Problem('invalid-request', 'The request line or the Host header is not valid.'))
    log.error({ err: error }, 'request failed')
    return problemResponse(asProblem(error))
  }
  return (exchange) => {
    const answer = getRequestListener((request) => fetch(request, exchange as ServerBindings), { errorHandler })
    return answer(exchange.incoming, exchange.outgoing)
  }
}
