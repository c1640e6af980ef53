import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../free-port.ts'
import type { User } from './core.ts'
import { aggregatedList, aggregatedType, coreVersions, groupList, groupOf, resourceList } from './discovery.ts'
import type { FaultPlan } from './faults.ts'
import { type Answer, answer, type ResourceRequest, type Services } from './handlers.ts'
import { openApiIndex, openApiOf, openApiV2, openApiV2Bytes, openApiV2Protobuf } from './openapi.ts'
import { representationOf } from './representation.ts'
import { type ApiRequest, attributesOf, mediaTypeOf, parseRequest, readBody } from './request.ts'
import { ApiError, badRequest, noSuchPath, unauthorized } from './status.ts'
import type { Watches } from './watches.ts'

/** The version that the server reports. It serves that version's APIs as far as they are in the table of kinds. */
const version = {
  major: '1',
  minor: '33',
  gitVersion: 'v1.33.0+embedded',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: 'none',
  compiler: 'node',
  platform: `${process.platform}/${process.arch}`,
}

/** A slow watcher is cut off when this many bytes wait for it, as on the real server. */
const watchBacklog = 64 * 1024 * 1024

const noBody = Buffer.alloc(0)

/** The HTTP front: TLS, authentication, access, routing, injected faults. */
export class ApiServer {
  readonly #services: Services
  readonly #watches: Watches
  readonly #faults: FaultPlan
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #address: AddressInfo | undefined

  constructor(services: Services, watches: Watches, faults: FaultPlan, tls: { key: string; cert: string }) {
    this.#services = services
    this.#watches = watches
    this.#faults = faults
    this.#server = createServer({ ...tls, keepAlive: true }, (request, response) => void this.#serve(request, response))
    // clients keep connections for long; closing one just as it is used again would look like an injected fault
    this.#server.keepAliveTimeout = 0
    this.#server.requestTimeout = 0
    this.#server.on('tlsClientError', () => {})
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
  }

  /** Listens on loopback, on its previous port if it had one, or on any free port for 0. Returns the port. */
  async listen(port: number): Promise<number> {
    const wanted = this.#address?.port ?? (port || (await freePort()))
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(wanted, '127.0.0.1', () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
    this.#address = this.#server.address() as AddressInfo
    return this.#address.port
  }

  /** Refuses connections and cuts the open ones. */
  async close(): Promise<void> {
    if (!this.#server.listening) return
    const closed = new Promise((resolve) => this.#server.close(resolve))
    // Not `closeAllConnections`: it misses connections whose TLS handshake is in progress, and closing would wait for those.
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const parsed = parseRequest(request)
      const bearer = this.#services.tokens.authenticate(request.headers.authorization)
      if (!bearer) throw unauthorized()
      const user = this.#impersonated(bearer, request)
      if (this.#faults.latencyMs > 0) await sleep(this.#faults.latencyMs)
      const refused = this.#faults.refusal(parsed.method)
      if (refused) throw refused
      this.#authorize(user, parsed)
      const reply = await this.#answer(request, response, parsed, user)
      if (!reply) return
      if (this.#faults.losesAnswer(parsed.method)) request.socket.destroy()
      else send(response, reply.code, reply.body, reply.mediaType)
    } catch (error) {
      if (!response.destroyed) sendError(response, error)
    }
  }

  /** The user that the caller impersonates (`kubectl --as`), which needs permission. */
  #impersonated(bearer: User, { headers }: IncomingMessage): User {
    const name = headers['impersonate-user']
    if (typeof name !== 'string') return bearer
    const groups = String(headers['impersonate-group'] ?? '')
      .split(/, */)
      .filter(Boolean)
    const asked = [['users', name] as const, ...groups.map((group) => ['groups', group] as const)]
    for (const [resource, each] of asked) {
      const wanted = { verb: 'impersonate', group: '', resource, subresource: '', name: each, namespace: '' }
      if (!this.#services.rbac.allows(bearer, wanted)) throw this.#services.rbac.denied(bearer, wanted)
    }
    const account = /^system:serviceaccount:([^:]+):[^:]+$/.exec(name)
    const own = account && groups.length === 0 ? ['system:serviceaccounts', `system:serviceaccounts:${account[1]}`] : groups
    return { name, groups: [...own, 'system:authenticated'] }
  }

  #authorize(user: User, request: ApiRequest): void {
    const attributes = attributesOf(request)
    if (!this.#services.rbac.allows(user, attributes)) throw this.#services.rbac.denied(user, attributes)
  }

  async #answer(request: IncomingMessage, response: ServerResponse, parsed: ApiRequest, user: User): Promise<Answer | undefined> {
    if (!parsed.resource) return this.#document(parsed, request.headers.accept ?? '')
    const { group, version, plural, namespace, name, subresource } = parsed.resource
    const type = this.#services.core.registry.find(group, version, plural)
    if (!type) return this.#inGroup(group, undefined)
    if (subresource && !type.subresources.includes(subresource)) throw noSuchPath()
    if (type.namespaced !== (namespace !== undefined) && (!type.namespaced || name || !['list', 'watch'].includes(parsed.verb))) {
      throw type.namespaced && parsed.verb === 'create' ? badRequest('an empty namespace may not be set during creation') : noSuchPath()
    }
    const full: ResourceRequest = {
      ...parsed,
      type,
      target: { type, namespace, name, subresource },
      form: representationOf(request.headers.accept, parsed.query),
      user,
      userAgent: request.headers['user-agent'] ?? '',
      mediaType: mediaTypeOf(request),
      body: parsed.method === 'GET' ? noBody : await readBody(request),
    }
    if (parsed.verb === 'watch') return this.#watch(response, full)
    return answer(this.#services, full)
  }

  #watch(response: ServerResponse, { type, target, query, form, resource }: ResourceRequest): undefined {
    const narrowed = new URLSearchParams(query)
    if (resource?.name) narrowed.set('fieldSelector', `metadata.name=${resource.name}`)
    const begin = (): void => {
      if (!response.headersSent) response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-cache, private' })
    }
    const sink = {
      send: (line: Buffer | string) => {
        begin()
        response.write(line)
        if (response.writableLength > watchBacklog) response.destroy()
      },
      end: () => response.end(),
      cut: () => response.destroy(),
    }
    const stop = this.#watches.open({ type, namespace: target.namespace, query: narrowed, form }, sink)
    begin()
    response.flushHeaders()
    response.once('close', stop)
  }

  /** The paths outside resources: discovery, OpenAPI, health, version. */
  #document({ path, method }: ApiRequest, accept: string): Answer {
    if (method !== 'GET') throw noSuchPath()
    const { registry } = this.#services.core
    const parts = path.split('/').filter(Boolean)
    const [root, ...rest] = parts
    const aggregated = accept.includes('as=APIGroupDiscoveryList') && accept.includes('v=v2') && !accept.includes('v=v2beta1,')
    if (['livez', 'readyz', 'healthz'].includes(root ?? '')) return { code: 200, body: 'ok', mediaType: 'text/plain; charset=utf-8' }
    if (root === 'version') return found(version)
    if (parts.length === 0)
      return found({ paths: ['/api', '/api/v1', '/apis', '/healthz', '/livez', '/openapi/v2', '/openapi/v3', '/readyz', '/version'] })
    if ((path === '/api' || path === '/apis') && aggregated) {
      return { code: 200, body: JSON.stringify(aggregatedList(registry, root === 'api')), mediaType: aggregatedType }
    }
    if (root === 'api') return rest.length === 0 ? found(coreVersions(this.#hostPort())) : found(resourceList(registry, '', rest[0] ?? ''))
    if (root === 'apis') {
      if (rest.length === 0) return found(groupList(registry))
      const [group = '', version] = rest
      return this.#inGroup(group, version === undefined ? groupOf(registry, group) : resourceList(registry, group, version))
    }
    if (path === '/openapi/v2') {
      if (!accept.includes('protobuf')) return found(openApiV2())
      return { code: 200, body: openApiV2Bytes().toString('latin1'), mediaType: openApiV2Protobuf }
    }
    if (path === '/openapi/v3') return found(openApiIndex(registry))
    if (root === 'openapi' && rest[0] === 'v3') {
      return found(rest[1] === 'api' ? openApiOf(registry, '', rest[2] ?? '') : openApiOf(registry, rest[2] ?? '', rest[3] ?? ''))
    }
    throw noSuchPath()
  }

  /** A document about a group, or what is answered where there is none. */
  #inGroup(group: string, document: unknown): Answer {
    return group !== '' && groupOf(this.#services.core.registry, group) === undefined ? noSuchGroup : found(document)
  }

  #hostPort(): string {
    return `127.0.0.1:${this.#address?.port}`
  }
}

/** A group that is not served, or not yet: the aggregator of an API server, which answers then, knows no Status. */
const noSuchGroup: Answer = { code: 404, body: '404 page not found\n', mediaType: 'text/plain; charset=utf-8' }

function found(document: unknown): Answer {
  if (document === undefined) throw noSuchPath()
  return { code: 200, body: JSON.stringify(document) }
}

function send(response: ServerResponse, code: number, body: string, mediaType = 'application/json'): void {
  const bytes = Buffer.from(body, mediaType === openApiV2Protobuf ? 'latin1' : 'utf8')
  response.writeHead(code, {
    'content-type': mediaType,
    'content-length': bytes.length,
    'cache-control': 'no-cache, private',
    'audit-id': randomUUID(),
  })
  response.end(bytes)
}

function sendError(response: ServerResponse, error: unknown): void {
  const known =
    error instanceof ApiError
      ? error
      : error instanceof RangeError
        ? badRequest('json: the document is nested too deep') // walking it overflowed the stack, before anything was written
        : new ApiError(500, 'InternalError', `Internal error occurred: ${error instanceof Error ? error.stack : String(error)}`)
  if (response.headersSent) {
    response.destroy()
    return
  }
  const seconds = known.details?.retryAfterSeconds
  if (seconds !== undefined) response.setHeader('retry-after', seconds)
  if (known.code === 413) response.setHeader('connection', 'close')
  send(response, known.code, JSON.stringify(known.status()))
}
