import { randomUUID } from 'node:crypto'
import { Hono } from 'hono'
import type { Clock } from '../../shared/clock.ts'
import { Problem } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { empty, send, statusOf } from './answer.ts'
import { type Audit, isAudited } from './audit.ts'
import { header } from './header.ts'
import { type ApiContext, type ApiEnv, requireScope } from './http.ts'
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

  /** Answers by `answer`, whatever that throws, and counts and records what came of it. */
  async function serve(c: ApiContext, template: string | undefined, answer: (progress: Progress) => Response | Promise<Response>) {
    const started = clock.monotonic()
    const requestId = requestIdOf(c)
    c.set('requestId', requestId)
    const progress: Progress = { dryRun: false }
    let response: Response
    let problem: Problem | undefined
    try {
      if (c.req.raw.url.length > maxUrlLength) throw new Problem('uri-too-long', `An address may have ${maxUrlLength} characters.`)
      response = await answer(progress)
    } catch (error) {
      problem = decide(c, error, log)
      response = problemAnswer(c, problem)
    }
    const { method } = c.req
    const status = statusOf(c, response)
    const seconds = (clock.monotonic() - started) / 1000
    observe({ method, route: template ?? 'none', status, seconds, ...(problem && { problem: problem.type }) })
    if (isAudited(method, status))
      audit.record({
        requestId,
        identity: c.get('identity')?.name,
        remote: clientAddress(c, config.clientAddressHeader),
        method,
        route: template,
        target: template === undefined ? {} : c.req.param(),
        status,
        problem: problem?.type,
        operation: c.get('operation'),
        dryRun: progress.dryRun,
      })
    return response
  }

  for (const route of routes) {
    const template = `/v1${route.path}`
    app.on(route.method, honoPath(template), (c) =>
      serve(c, template, async (progress) => {
        const found = authentication.identify(c)
        const identity = found instanceof Promise ? await found : found
        c.set('identity', identity)
        const wait = buckets.take(identity.name)
        if (wait > 0) throw rateLimited(identity.name, wait)
        requireScope(c, route.scope)
        const read = readInput(c, route)
        const input = read instanceof Promise ? await read : read
        progress.dryRun = (input.query as { dryRun?: boolean } | undefined)?.dryRun === true
        return route.handle(c, input as Input)
      }),
    )
  }

  const published = createPublished(routes, version)
  for (const path of ['/openapi.json', '/docs'] as const) {
    app.get(path, (c) => serve(c, path, async () => published(c, path)))
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

/** What the audit learns on the way. */
type Progress = { dryRun: boolean }

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
  let made: Promise<import('./openapi.ts').Published> | undefined
  return async (c: ApiContext, path: '/openapi.json' | '/docs'): Promise<Response> => {
    made ??= import('./openapi.ts').then(({ publish }) => publish(routes, version))
    const { body, headers } = (await made)[path]
    if (header(c, 'if-none-match') === headers.etag) return empty(c, 304, headers)
    return send(c, 200, body, headers)
  }
}
