import assert from 'node:assert/strict'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https'
import { text as readText } from 'node:stream/consumers'
import { createSecureContext } from 'node:tls'

/** A decoded JSON body. Tests assert it field by field, so it has no narrower type. */
// biome-ignore lint/suspicious/noExplicitAny: an assertion on a missing field fails the test, as it should
export type Body = any

/** A whole answer: `body` is undefined unless it is JSON. */
export type Answer = { status: number; headers: IncomingHttpHeaders; text: string; body: Body }

/** One line of a watch. */
export type WatchEvent = { type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'; object: Body }

/** Options of one request. */
export type SendOptions = {
  /** `null` sends no credentials at all. */
  token?: string | null
  contentType?: string
  headers?: Record<string, string>
  /** An abort ends the request, or the stream of a watch. */
  signal?: AbortSignal
  /** Longest silence of the server, in milliseconds; unlimited by default. */
  timeoutMs?: number
}

/** An open watch. Read its events with `next` and `rest`, or iterate over all of them. */
export type Watch = AsyncDisposable & {
  [Symbol.asyncIterator](): AsyncGenerator<WatchEvent>
  status: number
  /** The next matching event; earlier ones are dropped. Rejects after `withinMs` or at the end of the stream, and lists the events that came instead. */
  next(fits?: (event: WatchEvent) => boolean, withinMs?: number): Promise<WatchEvent>
  /** All events until the stream ends. */
  rest(withinMs?: number): Promise<WatchEvent[]>
  close(): void
}

/** Calls an API server over keep-alive TLS connections, one per concurrent request, with nothing between the test and the wire. */
export type Http = {
  send(method: string, path: string, body?: unknown, options?: SendOptions): Promise<Answer>
  get(path: string, options?: SendOptions): Promise<Answer>
  post(path: string, body: unknown, options?: SendOptions): Promise<Answer>
  put(path: string, body: unknown, options?: SendOptions): Promise<Answer>
  /** A JSON merge patch, a strategic merge patch or a list of JSON Patch operations, as `kind` says. */
  patch(kind: PatchKind, path: string, body: unknown, options?: SendOptions): Promise<Answer>
  delete(path: string, body?: unknown, options?: SendOptions): Promise<Answer>
  /** Resolves with the first byte of the answer; the stream then runs until closed. */
  watch(path: string, options?: SendOptions): Promise<Watch>
  close(): void
}

const patchTypes = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
}

/** The four kinds of a patch. */
type PatchKind = keyof typeof patchTypes

/**
 * A connection to an API server. Sends nothing yet.
 *
 * @param target the server, the PEM of its CA certificate, and the token of requests that have no other one
 */
export function createHttp(target: { url: string; ca: string; token: string }): Http {
  const { hostname, port } = new URL(target.url)
  // One context for all connections: parsing the CA certificate each time costs more than the handshake.
  const agent = new Agent({ keepAlive: true, secureContext: createSecureContext({ ca: target.ca }) })

  /** Resolves with the head of the answer. */
  function open(method: string, path: string, body: unknown, given: SendOptions): Promise<IncomingMessage> {
    const { token, contentType, headers, signal, timeoutMs } = given
    const payload = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
    const bearer = token === undefined ? target.token : token
    const options: RequestOptions = {
      ...{ method, agent, hostname, port, path },
      headers: {
        accept: 'application/json',
        // With a length, because Node would send the body of a DELETE unframed.
        ...(payload === undefined
          ? {}
          : { 'content-type': contentType ?? 'application/json', 'content-length': Buffer.byteLength(payload) }),
        ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
        ...headers,
      },
      ...(signal && { signal }),
      ...(timeoutMs !== undefined && { timeout: timeoutMs }),
    }
    return new Promise((resolve, reject) => {
      const attempt = () => {
        const request = httpsRequest(options)
        request.on('response', resolve)
        request.on('timeout', () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)))
        request.on('error', (cause) => {
          // A keep-alive connection may have been cut, for example by suspend(). Repeating a read is safe.
          const isCut = 'code' in cause && (cause.code === 'ECONNRESET' || cause.code === 'EPIPE')
          if (method === 'GET' && request.reusedSocket && isCut) attempt()
          else reject(new Error(`${method} ${path}: ${cause.message}`, { cause }))
        })
        request.end(payload)
      }
      attempt()
    })
  }

  async function send(method: string, path: string, body?: unknown, options: SendOptions = {}): Promise<Answer> {
    const response = await open(method, path, body, options)
    const text = await readText(response)
    const isJson = response.headers['content-type']?.includes('json') ?? false
    return { status: response.statusCode ?? 0, headers: response.headers, text, body: isJson ? JSON.parse(text) : undefined }
  }

  async function watch(path: string, options: SendOptions = {}): Promise<Watch> {
    const response = await open('GET', path, undefined, options)
    const { push, end, ...reading } = createLines(path)
    response.setEncoding('utf8').on('data', push)
    response.on('error', end) // a cut stream has ended, as a watch may at any time
    response.on('close', end)
    const close = () => void response.destroy()
    return { status: response.statusCode ?? 0, ...reading, close, [Symbol.asyncDispose]: async () => close() }
  }

  return {
    send,
    get: (path, options) => send('GET', path, undefined, options),
    post: (path, body, options) => send('POST', path, body, options),
    put: (path, body, options) => send('PUT', path, body, options),
    patch: (kind, path, body, options) => send('PATCH', path, body, { contentType: patchTypes[kind], ...options }),
    delete: (path, body, options) => send('DELETE', path, body, options),
    watch,
    close: () => agent.destroy(),
  }
}

/** The body of an answer that has this status code. Any other code fails with the text of the answer. */
export function expectCode(answer: Answer, code: number): Body {
  assert.equal(answer.status, code, answer.text)
  return answer.body
}

/** Cuts a watch stream into its events and hands them out in order. */
function createLines(path: string) {
  const waiting: string[] = []
  let partial = ''
  let ended = false
  let wake = () => {}

  async function take(deadline: number): Promise<WatchEvent | 'ended' | 'late'> {
    for (;;) {
      const line = waiting.shift()
      if (line !== undefined) return eventIn(line)
      if (ended) return 'ended'
      const leftMs = deadline - performance.now()
      if (leftMs <= 0) return 'late'
      const { promise, resolve } = Promise.withResolvers<void>()
      const timer = Number.isFinite(leftMs) ? setTimeout(resolve, leftMs) : undefined
      wake = resolve
      await promise
      clearTimeout(timer)
    }
  }

  /** Read when somebody takes it: an API server that has just started answers a watch of a kind from a CRD with a text, and 404. */
  function eventIn(line: string): WatchEvent {
    try {
      return JSON.parse(line)
    } catch (cause) {
      throw new Error(`watch ${path}: no event: ${line.slice(0, 200)}`, { cause })
    }
  }

  return {
    push(chunk: string) {
      const parts = (partial + chunk).split('\n')
      partial = parts.pop() ?? ''
      waiting.push(...parts.filter((part) => part !== ''))
      wake()
    },
    end() {
      ended = true
      wake()
    },
    async *[Symbol.asyncIterator](): AsyncGenerator<WatchEvent> {
      for (;;) {
        const event = await take(Number.POSITIVE_INFINITY)
        if (event === 'ended' || event === 'late') return
        yield event
      }
    },
    async next(fits: (event: WatchEvent) => boolean = () => true, withinMs = 30_000): Promise<WatchEvent> {
      const deadline = performance.now() + withinMs
      const seen: string[] = []
      for (;;) {
        const event = await take(deadline)
        if (event === 'ended' || event === 'late') {
          const why = event === 'ended' ? 'the stream ended' : `nothing fitting within ${withinMs} ms`
          throw new Error(`watch ${path}: ${why}; saw ${seen.join(', ') || 'no event'}`)
        }
        if (fits(event)) return event
        seen.push(`${event.type} ${event.object?.metadata?.name ?? event.object?.message ?? ''}`)
      }
    },
    async rest(withinMs = 30_000): Promise<WatchEvent[]> {
      const deadline = performance.now() + withinMs
      const events: WatchEvent[] = []
      for (;;) {
        const event = await take(deadline)
        if (event === 'ended') return events
        if (event === 'late') throw new Error(`watch ${path}: still open after ${withinMs} ms`)
        events.push(event)
      }
    },
  }
}
