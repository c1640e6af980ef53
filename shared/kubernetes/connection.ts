import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { Agent, type RequestOptions as HttpsOptions, request as httpsRequest } from 'node:https'
import type { Clock } from '../clock.ts'
import { Problem } from '../errors.ts'
import { type Credentials, kubeconfigCredentials, serviceAccountCredentials } from './credentials.ts'
import { problemOfAnswer } from './failures.ts'
import type { KubernetesObject } from './objects.ts'

/** One request to the API server. */
export type ClusterRequest = {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** From `/api` or `/apis` on, without a query. */
  path: string
  query?: Record<string, string | number | boolean | undefined>
  body?: unknown
  /** `application/json` when left out. */
  contentType?: string
  /** The media type of the response, such as a Table; `application/json` when left out. */
  accept?: string
  /** An abort ends the request and rejects with the signal's reason. */
  signal?: AbortSignal | undefined
  /** Until the whole response has been read; 10 s when left out. */
  timeoutMs?: number
  /** The response is text of at most this many bytes, and not JSON. */
  maxTextBytes?: number
  /** Called with the headers of the response, whatever its status. */
  onHeaders?: (headers: IncomingHttpHeaders) => void
}

/** An event of a watch. BOOKMARK carries only a resourceVersion. */
export type WatchEvent<T = KubernetesObject> = { type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'; object: T }

/** A connection to one Kubernetes API server. Connections are kept and shared; nothing is retried here. */
export type Cluster = {
  server: URL
  /**
   * The parsed JSON body of a success, or its text with `maxTextBytes`.
   * @throws Problem `cluster-unreachable` without a response, otherwise that of `problemOfAnswer`
   */
  // biome-ignore lint/suspicious/noExplicitAny: the caller knows the type of the resource
  request<T = any>(request: ClusterRequest): Promise<T>
  /**
   * The events of a collection, until the server ends the watch, which it does every few minutes.
   * @throws Problem `gone` when the resourceVersion is too old, and as `request` does
   */
  watch(path: string, query: Record<string, string | number | boolean | undefined>, signal: AbortSignal): AsyncGenerator<WatchEvent>
  close(): void
}

/** How to reach the cluster: by a kubeconfig, or by the service account of this pod, or as kubectl would. */
export type ClusterConfig = {
  kubeconfig?: string | undefined
  /** The kubeconfigs of this machine, used outside a pod if no other is set: `usualKubeconfigs`. */
  usualKubeconfigs?: readonly string[] | undefined
  /** The folder into which the kubelet projects the service account's token and CA certificate. */
  serviceAccountDir: string
  /** Host and port of the API server, from the environment of the pod. */
  serviceHost?: string | undefined
  servicePort?: string | undefined
}

/** Called after each request; status 0 means no response. */
export type RequestObserver = (method: string, status: number, seconds: number) => void

/** What a connection needs, and who hears of its requests. */
type ConnectionTools = {
  clock: Clock
  observe?: RequestObserver
  /** Called when a response begins, with its header `Date` and the monotonic moment before the request was sent: see `DateClock`. */
  heardDate?: (date: string | undefined, sentAt: number) => void
}

/**
 * Connects to a cluster. Nothing is sent yet.
 * @throws Error with the file or variable that is missing
 */
export async function connectCluster(config: ClusterConfig, tools: ConnectionTools): Promise<Cluster> {
  return clusterAt(await credentialsOf(config, tools.clock), tools)
}

/**
 * The credentials for a cluster. `clusterAt` connects with them.
 * @throws Error with the file or variable that is missing
 */
export async function credentialsOf(config: ClusterConfig, clock: Clock): Promise<Credentials> {
  if (config.kubeconfig !== undefined) return kubeconfigCredentials(config.kubeconfig)
  if (config.serviceHost === undefined) {
    const { usualKubeconfigs = [] } = config
    if (usualKubeconfigs.length > 0) return kubeconfigCredentials(usualKubeconfigs)
    throw new Error(
      'this is no pod (KUBERNETES_SERVICE_HOST is not set), KUBECONFIG is not set, and there is no ~/.kube/config: set cluster.kubeconfig',
    )
  }
  const host = config.serviceHost.includes(':') ? `[${config.serviceHost}]` : config.serviceHost
  const server = new URL(`https://${host}:${config.servicePort ?? 443}`)
  return serviceAccountCredentials(config.serviceAccountDir, server, clock)
}

/** A connection with these credentials. Nothing is sent yet. */
export function clusterAt(credentials: Credentials, { clock, observe = () => {}, heardDate = () => {} }: ConnectionTools): Cluster {
  // Each watch occupies a connection for minutes: the limit must leave room for requests.
  const agent = new Agent({ keepAlive: true, maxSockets: 64, maxFreeSockets: 16, scheduling: 'lifo' })
  const { server } = credentials
  const base = server.pathname.replace(/\/+$/, '')

  /** Sends the request and resolves with the head of the response. */
  async function send(request: ClusterRequest, signal: AbortSignal | undefined): Promise<IncomingMessage> {
    const { headers, ...tls } = await credentials.options()
    const body = request.body === undefined ? undefined : Buffer.from(JSON.stringify(request.body))
    const options: HttpsOptions = {
      ...tls,
      agent,
      method: request.method,
      host: server.hostname.replace(/^\[|\]$/g, ''),
      port: server.port || 443,
      path: base + request.path + queryString(request.query),
      headers: {
        ...(headers as Record<string, string>),
        accept: request.accept ?? 'application/json',
        'user-agent': 'skerry',
        ...(body && { 'content-type': request.contentType ?? 'application/json', 'content-length': body.length }),
      },
      ...(signal && { signal }),
    }
    const sentAt = clock.monotonic()
    return new Promise((resolve, reject) => {
      const outgoing = httpsRequest(options, (answer) => {
        heardDate(answer.headers.date, sentAt)
        resolve(answer)
      })
      outgoing.on('socket', (socket) => socket.setKeepAlive(true, 15_000))
      outgoing.on('error', reject)
      outgoing.end(body)
    })
  }

  async function request<T>(request: ClusterRequest): Promise<T> {
    const started = clock.monotonic()
    const timeout = AbortSignal.timeout(Math.ceil(request.timeoutMs ?? 10_000)) // an integer
    const signal = request.signal ? AbortSignal.any([request.signal, timeout]) : timeout
    const what = `${request.method} ${request.path}`
    let status = 0
    try {
      const answer = await send(request, signal)
      request.onHeaders?.(answer.headers)
      const text = await readText(answer, request.maxTextBytes)
      status = answer.statusCode ?? 0
      if (status >= 200 && status < 300) return (request.maxTextBytes === undefined ? JSON.parse(text) : text) as T
      throw problemOfAnswer(what, status, text, answer.headers['retry-after'])
    } catch (error) {
      request.signal?.throwIfAborted()
      throw unreachableUnlessAnswered(what, error)
    } finally {
      observe(request.method, status, (clock.monotonic() - started) / 1000)
    }
  }

  async function* watch(path: string, query: ClusterRequest['query'], signal: AbortSignal): AsyncGenerator<WatchEvent> {
    // The server ends the watch after this time; a connection that stays open for longer is dead.
    const seconds = 240 + Math.floor(Math.random() * 240)
    const whole = AbortSignal.any([signal, AbortSignal.timeout((seconds + 30) * 1000)])
    const what = `watch ${path}`
    try {
      const all = { ...query, watch: true, allowWatchBookmarks: true, timeoutSeconds: seconds }
      const answer = await send({ method: 'GET', path, query: all }, whole)
      if (answer.statusCode !== 200) throw problemOfAnswer(what, answer.statusCode ?? 0, await readText(answer))
      for await (const line of lines(answer)) {
        const event = JSON.parse(line) as WatchEvent | { type: 'ERROR'; object: { code?: number } }
        if (event.type === 'ERROR') throw problemOfAnswer(what, event.object.code ?? 500, JSON.stringify(event.object))
        yield event
      }
    } catch (error) {
      signal.throwIfAborted()
      throw unreachableUnlessAnswered(what, error)
    }
  }

  return { server, request, watch, close: () => agent.destroy() }
}

function unreachableUnlessAnswered(what: string, error: unknown): unknown {
  if (error instanceof Problem) return error
  const reason = error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.name) : 'unknown'
  return new Problem('cluster-unreachable', `${what}: no answer (${reason})`, { cause: error })
}

function queryString(query: ClusterRequest['query'] = {}): string {
  const given = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined) given.set(name, String(value))
  return given.size === 0 ? '' : `?${given}`
}

async function readText(answer: IncomingMessage, maxBytes = Number.POSITIVE_INFINITY): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength
    // Leaving the loop ends the connection.
    if (bytes > maxBytes) throw new Problem('cluster-error', `The response has more than ${maxBytes} bytes.`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** The lines of a stream. A last line without a newline was cut off and is dropped. */
async function* lines(answer: IncomingMessage): AsyncGenerator<string> {
  let rest: Buffer[] = []
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    let from = 0
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      const piece = chunk.subarray(from, end)
      yield (rest.length === 0 ? piece : Buffer.concat([...rest, piece])).toString('utf8')
      rest = []
      from = end + 1
    }
    if (from < chunk.length) rest.push(chunk.subarray(from))
  }
}
