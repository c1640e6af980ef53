import { randomUUID } from 'node:crypto'
import { Hono } from 'hono'
import type { Clock } from '../../shared/clock.ts'
import { Problem } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { empty, send, statusOf } from './answer.ts'
import { type Audit, isAudited } from './audit.ts'
import { header } from './header.ts'
import { type ApiContext, type ApiEnv, type Identity, requireScope } from './http.ts'
import { type Authentication, clientAddress } from './identity/authentication.ts'
import { createBuckets, type LimitsConfig, rateLimited } from './limits.ts'
import { decide, problemAnswer } from './problems.ts'
import { type Input, type Route, readInput } from './route.ts'

/** Counts an answered request. `route` is the template, or `none`; `problem` the type of the problem in it, if any. */
export type RequestObserver = (request: { method: string; route: string; status: number; seconds: number; problem?: string }) => void

export type ApiParts = {
  /** Mounted under `/v1`, each behind authentication, limits and its scope. */
  routes: readonly Route[]
  authentication: Pick<Authentication, 'identify'>
  audit: Audit
  observe: RequestObserver
  /** Of the agent; stands in the OpenAPI document. */
  version: string
  clock: Clock
  log: Log
}

/** Longer ones are not read. What the API itself makes, cursors included, stays below 2,000. */
const maxUrlLength = 8192

/**
 * The API. Everything that holds for every request is in one function around each route's handler: hono then calls that handler
 * directly, where a chain of middlewares would take two thirds of the throughput.
 */
export function createApi(config: LimitsConfig, parts: ApiParts): Hono<ApiEnv> {
  const { routes, authentication, audit, observe, version, clock, log } = parts
  const buckets = createBuckets({ perSecond: config.requestsPerSecond, burst: config.burst }, clock)
  const app = new Hono<ApiEnv>()

  /**
   * Answers by `answer`, whatever that throws, and counts and records what came of it. What is answered without waiting stays
   * without a promise: small reads are most of what there is.
   */
  function serve(c: ApiContext, template: string | undefined, answer: (progress: Progress) => Answer): Answer {
    const started = clock.monotonic()
    c.set('requestId', requestIdOf(c))
    const progress: Progress = { dryRun: false }
    const done = (response: Response, problem?: Problem) => {
      account(c, { template, response, problem, dryRun: progress.dryRun, seconds: (clock.monotonic() - started) / 1000 })
      return response
    }
    const failed = (error: unknown) => {
      const problem = decide(c, error, log)
      return done(problemAnswer(c, problem), problem)
    }
    try {
      if (c.req.raw.url.length > maxUrlLength) throw new Problem('uri-too-long', `An address may have ${maxUrlLength} characters.`)
      const response = answer(progress)
      return response instanceof Promise ? response.then((settled) => done(settled)).catch(failed) : done(response)
    } catch (error) {
      return failed(error)
    }
  }

  function account(c: ApiContext, { template, response, problem, dryRun, seconds }: Outcome): void {
    const { method } = c.req
    const status = statusOf(c, response)
    observe({ method, route: template ?? 'none', status, seconds, ...(problem && { problem: problem.type }) })
    if (!isAudited(method, status)) return
    audit.record({
      requestId: c.get('requestId'),
      identity: c.get('identity')?.name,
      remote: clientAddress(c, config.clientAddressHeader),
      method,
      route: template,
      target: template === undefined ? {} : c.req.param(),
      status,
      problem: problem?.type,
      operation: c.get('operation'),
      dryRun,
    })
  }

  function admit(c: ApiContext, route: Route, identity: Identity, progress: Progress): Answer {
    c.set('identity', identity)
    const wait = buckets.take(identity.name)
    if (wait > 0) throw rateLimited(identity.name, wait)
    requireScope(c, route.scope)
    const input = readInput(c, route)
    return input instanceof Promise ? input.then((read) => handle(c, route, read, progress)) : handle(c, route, input, progress)
  }

  for (const route of routes) {
    const template = `/v1${route.path}`
    app.on(route.method, honoPath(template), (c) =>
      serve(c, template, (progress) => {
        const identity = authentication.identify(c)
        return identity instanceof Promise
          ? identity.then((found) => admit(c, route, found, progress))
          : admit(c, route, identity, progress)
      }),
    )
  }

  const published = createPublished(routes, version)
  for (const path of ['/openapi.json', '/docs'] as const) {
    app.get(path, (c) => serve(c, path, () => published(c, path)))
  }

  // What the API is stands in a public document, so that nobody has to say who they are to learn that a path is none.
  app.notFound((c) =>
    serve(c as ApiContext, undefined, () => {
      const allow = methodsAt(app, c.req.path)
      if (allow.length === 0) throw new Problem('not-found', 'No route has this path.')
      if (c.req.method === 'OPTIONS') return empty(c as ApiContext, 204, { allow: allow.join(', ') })
      throw new Problem('method-not-allowed', `This path takes ${allow.join(', ')}.`, { extensions: { allow } })
    }),
  )
  // Every handler answers its own errors by the same function; this is for what is thrown around them.
  app.onError((error, c) => {
    if (c.get('requestId') === undefined) c.set('requestId', randomUUID())
    return problemAnswer(c as ApiContext, decide(c as ApiContext, error, log))
  })
  return app
}

type Answer = Response | Promise<Response>

/** What the audit learns on the way. */
type Progress = { dryRun: boolean }

type Outcome = { template: string | undefined; response: Response; problem: Problem | undefined; dryRun: boolean; seconds: number }

function handle(c: ApiContext, route: Route, input: Input, progress: Progress): Answer {
  progress.dryRun = (input.query as { dryRun?: boolean } | undefined)?.dryRun === true
  return route.handle(c, input)
}

/** An id that came with the request is taken over if it is one, so that a request can be followed through several systems. */
function requestIdOf(c: ApiContext): string {
  const given = header(c, 'x-request-id')
  return given !== undefined && /^[A-Za-z0-9._:-]{1,128}$/.test(given) ? given : randomUUID()
}

function honoPath(template: string): string {
  return template.replaceAll(/\{(\w+)\}/g, ':$1')
}

const methods = ['GET', 'HEAD', 'PUT', 'POST', 'PATCH', 'DELETE'] as const

function methodsAt(app: Hono<ApiEnv>, path: string): string[] {
  const found: string[] = methods.filter((method) => app.router.match(method === 'HEAD' ? 'GET' : method, path)[0].length > 0)
  return found.length > 0 ? [...found, 'OPTIONS'] : []
}

/** The documents about the API, made when somebody asks: they cost 15 ms and some MiB that most processes never need. */
function createPublished(routes: readonly Route[], version: string) {
  let made: Promise<import('./openapi/index.ts').Published> | undefined
  return async (c: ApiContext, path: '/openapi.json' | '/docs'): Promise<Response> => {
    made ??= import('./openapi/index.ts').then(({ publish }) => publish(routes, version))
    const { body, headers } = (await made)[path]
    if (header(c, 'if-none-match') === headers.etag) return empty(c, 304, headers)
    return send(c, 200, body, headers)
  }
}
