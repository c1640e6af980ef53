import { Hono } from 'hono'
import { type Readiness, readinessOf } from '../../shared/lifecycle.ts'
import { pageTypeFor, renderPage } from '../../shared/prometheus.ts'
import type { Metrics } from './metrics.ts'

/** What the admin port shows. */
type AdminParts = {
  metrics: Pick<Metrics, 'families'>
  /** All of these must be ready before requests are sent here. */
  readiness: readonly Readiness[]
  /** Shown with them, but without effect on the readiness: the leader and so on. */
  facts: () => Record<string, string | number | boolean | undefined>
}

/**
 * The admin port: health, readiness with its reasons, and metrics, for the kubelet and for Prometheus inside the cluster. It has no
 * authentication, changes nothing, and shows no names of tenants.
 */
export function createAdmin({ metrics, readiness, facts }: AdminParts): Hono {
  const app = new Hono()
  const headers = { 'cache-control': 'no-store' }

  // Any answer proves health: if the process must be restarted, its event loop does not get here.
  app.get('/healthz', (c) => c.text('ok\n', 200, headers))

  app.get('/readyz', (c) => {
    const { ready, parts } = readinessOf(readiness)
    return c.json({ ready, parts, facts: facts() }, ready ? 200 : 503, headers)
  })

  app.get('/metrics', async (c) => {
    const type = pageTypeFor(c.req.header('accept'))
    const page = [...renderPage(await metrics.families(), type)].join('')
    return c.body(page, 200, { ...headers, 'content-type': type, vary: 'Accept' })
  })
  return app
}

/**
 * Whether every cache has listed its whole collection. A broken watch does not affect the readiness: stale answers are better than none, and
 * another replica would not see more.
 */
export function cacheReadiness(caches: Record<string, { synced: boolean; trouble: string | undefined }>): Readiness[] {
  return Object.entries(caches).map(([name, cache]) => ({
    name: `cache of ${name}`,
    trouble: () => (cache.synced ? undefined : `not listed yet${cache.trouble === undefined ? '' : `: ${cache.trouble}`}`),
  }))
}
