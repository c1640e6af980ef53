import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { Hono } from 'hono'
import type { Clock } from '../../shared/clock.ts'
import { asProblem, isProblem, Problem } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { answer } from './answer.ts'
import { type Audit, isAudited } from './audit.ts'
import { type ApiContext, type ApiEnv, requireScope } from './context.ts'
import { createGate } from './gate.ts'
import type { Authentication } from './identity/authentication.ts'
import { createClientAddresses } from './identity/client-address.ts'
import type { LimitsConfig } from './limits.ts'
import { logProblem, problemAnswer } from './problems.ts'
import { requireReach } from './reach.ts'
import { type Route, readInput } from './route.ts'

/** Counts an answered request. `route` is the template, or `none`; `problem` is the type of the problem in it, if any. */
export type RequestObserver = (request: { method: string; route: string; status: number; seconds: number; problem?: string }) => void

export type ApiParts = {
  /** Mounted under `/v1`, each behind authentication, limits and its scope. */
  routes: readonly Route[]
  authentication: Pick<Authentication, 'identify'>
  audit: Audit
  observe: RequestObserver
  /** The version of the agent, for the OpenAPI document. */
  version: string
  clock: Clock
  log: Log
}

/** Longer URLs are not read. What the API itself makes, cursors included, stays below 2,000 characters. */
const maxUrlLength = 8192

/** The API. `answered` does what applies to every request, and the loop over the routes what applies to every route. */
export function createApi(config: LimitsConfig, parts: ApiParts): Hono<ApiEnv> {
  const { routes, authentication, version, clock, log } = parts
  const addresses = createClientAddresses(config)
  const gate = createGate(config, { authentication, addresses, clock })
  const app = new Hono<ApiEnv>()

  for (const route of routes) {
    const template = `/v1${route.path}`
    app.on(route.method, honoPath(template), (c) =>
      answered(c, template, async () => {
        await gate.identify(c)
        c.set('isStillAllowed', () => isStillAllowed(c))
        requireScope(c, route.scope)
        requireReach(c, route)
        const input = await readInput(c, route)
        c.set('dryRun', (input.query as { dryRun?: boolean }).dryRun === true)
        return route.handle(c, input)
      }),
    )
  }

  const published = createPublished(routes, version)
  for (const path of ['/openapi.json', '/docs', '/problems/{problem}'])
    app.get(honoPath(path), (c) => answered(c, path, () => gate.admit(c, () => published(c))))
  app.get('/', (c) => answered(c, '/', () => gate.admit(c, () => answer(c, 302, null, { 'cache-control': 'no-store', location: 'docs' }))))

  // The OpenAPI document is public, so nobody has to authenticate to learn that a path does not exist.
  app.notFound((c: ApiContext) =>
    answered(c, undefined, () =>
      gate.admit(c, () => {
        const allow = methodsAt(app, c.req.path)
        if (allow.length === 0) throw new Problem('not-found', 'No route has this path.')
        if (c.req.method === 'OPTIONS') return answer(c, 204, null, { 'cache-control': 'no-store', allow: allow.join(', ') })
        throw new Problem('method-not-allowed', `This path takes ${allow.join(', ')}.`, { extensions: { allow } })
      }),
    ),
  )

  async function isStillAllowed(c: ApiContext): Promise<boolean> {
    try {
      return isDeepStrictEqual(await authentication.identify(c), c.get('identity'))
    } catch (error) {
      // Without the keys of the identity provider, nobody knows.
      return isProblem(error, 'busy', 'not-ready')
    }
  }

  /** Gives the request its id, answers it by `work` or with the problem that `work` throws, then counts and audits the answer. */
  async function answered(c: ApiContext, template: string | undefined, work: () => Response | Promise<Response>): Promise<Response> {
    const started = clock.monotonic()
    c.set('requestId', requestIdOf(c))
    if (addresses.isShared(c)) c.env?.shared?.()
    let problem: Problem | undefined
    let response: Response
    try {
      if (c.req.url.length > maxUrlLength) throw new Problem('uri-too-long', `A URL may have at most ${maxUrlLength} characters.`)
      response = await work()
    } catch (error) {
      problem = asProblem(error)
      logProblem(c, problem, log)
      response = problemAnswer(c, problem)
    }
    account(c, { template, problem, status: response.status, seconds: (clock.monotonic() - started) / 1000 })
    return response
  }

  function account(c: ApiContext, { template, problem, status, seconds }: Outcome): void {
    const { method } = c.req
    parts.observe({ method, route: template ?? 'none', status, seconds, ...(problem && { problem: problem.type }) })
    if (!isAudited(method, status) && !c.get('isOutside')) return
    parts.audit.record({
      requestId: c.get('requestId'),
      identity: c.get('identity')?.name,
      remote: addresses.of(c),
      method,
      route: template,
      target: template === undefined ? {} : c.req.param(),
      status,
      problem: problem?.type,
      operation: c.get('operation'),
      dryRun: c.get('dryRun') ?? false,
    })
  }
  return app
}

type Outcome = { template: string | undefined; problem: Problem | undefined; status: number; seconds: number }

/** The id in the request, if it is valid, so that a request can be traced through several systems. */
function requestIdOf(c: ApiContext): string {
  const given = c.req.header('x-request-id')
  return given !== undefined && /^[A-Za-z0-9._:-]{1,128}$/.test(given) ? given : randomUUID()
}

function honoPath(template: string): string {
  return template.replaceAll(/\{(\w+)\}/g, ':$1')
}

const methods = ['GET', 'HEAD', 'PUT', 'POST', 'PATCH', 'DELETE'] as const

function methodsAt(app: Hono<ApiEnv>, path: string): string[] {
  const isRouted = (method: string) => app.router.match(method, path)[0].length > 0
  const found: string[] = methods.filter((method) => isRouted(method === 'HEAD' ? 'GET' : method))
  return found.length > 0 ? [...found, 'OPTIONS'] : []
}

/** The documents about the API. They are made on the first request: they cost 40 ms and several MiB, and most processes never need them. */
function createPublished(routes: readonly Route[], version: string) {
  let made: Promise<import('./openapi/index.ts').Published> | undefined
  return async (c: ApiContext): Promise<Response> => {
    made ??= import('./openapi/index.ts').then(({ publish }) => publish(routes, version))
    const files = await made.catch((error: unknown) => {
      made = undefined // the next request tries again
      throw error
    })
    const file = files(c.req.path)
    if (file === undefined) throw new Problem('not-found', 'There is no problem of this type.')
    const { body, headers } = file
    if (c.req.header('if-none-match') === headers.etag) return answer(c, 304, null, headers)
    return answer(c, 200, body, headers)
  }
}
