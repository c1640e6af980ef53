import { failureOf, isFailure, RequestFailure } from './failures.ts'
import { createHttp } from './http.ts'
import type { KubernetesObject } from './objects.ts'

/** Query parameters; undefined ones are omitted. */
type Query = Record<string, string | number | boolean | undefined>

/** One request to the API server. */
export type ApiRequest = {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** From `/api` or `/apis` on, without a query. */
  path: string
  query?: Query
  body?: unknown
  /** `application/json` by default. */
  contentType?: string
  /** An abort ends the request and rejects with the signal's reason. */
  signal?: AbortSignal | undefined
}

/** One event of a watch. */
export type ObjectEvent = { type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'; object: KubernetesObject }

/** A controller's connection to an API server. Nothing is retried here. */
export type Client = {
  /**
   * The parsed body of a successful answer.
   * @throws RequestFailure for any other answer, or none
   */
  // biome-ignore lint/suspicious/noExplicitAny: the caller knows what the path serves
  request<T = any>(request: ApiRequest): Promise<T>
  /**
   * Events of a collection until the server ends the watch.
   * @throws RequestFailure `gone` when the resourceVersion is too old
   */
  watch(path: string, query: Query, signal: AbortSignal): AsyncGenerator<ObjectEvent>
  close(): void
}

/** Time in which the API server must begin to answer, in milliseconds. */
const answerWithinMs = 10_000

/** A client with the permissions of the token, by default the cluster's administrator's. Sends nothing yet. */
export function createClient(cluster: { url: string; ca: string; adminToken: string }, token = cluster.adminToken): Client {
  const http = createHttp({ url: cluster.url, ca: cluster.ca, token })

  return {
    async request({ method, path, query, body, contentType, signal }) {
      const what = `${method} ${path}`
      const options = { timeoutMs: answerWithinMs, ...(contentType && { contentType }), ...(signal && { signal }) }
      try {
        const answer = await http.send(method, path + queryString(query), body, options)
        if (answer.status >= 200 && answer.status < 300) return answer.body
        throw failureOf(what, answer.status, answer.body)
      } catch (error) {
        signal?.throwIfAborted()
        throw unreachableUnlessAnswered(what, error)
      }
    },
    async *watch(path, query, signal) {
      const what = `watch ${path}`
      try {
        const all = { ...query, watch: true, allowWatchBookmarks: true, timeoutSeconds: 300 }
        await using watch = await http.watch(path + queryString(all), { signal })
        if (watch.status !== 200) throw failureOf(what, watch.status)
        for await (const { type, object } of watch) {
          if (type === 'ERROR') throw failureOf(what, object.code, object)
          yield { type, object }
        }
      } catch (error) {
        signal.throwIfAborted()
        throw unreachableUnlessAnswered(what, error)
      }
    },
    close: () => http.close(),
  }
}

function unreachableUnlessAnswered(what: string, error: unknown): RequestFailure {
  if (isFailure(error)) return error
  return new RequestFailure('unreachable', `${what}: ${error instanceof Error ? error.message : error}`, { cause: error })
}

function queryString(query: Query = {}): string {
  const given = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined) given.set(name, String(value))
  return given.size === 0 ? '' : `?${given}`
}
