import { Hono } from 'hono'
import type { Metrics } from './metrics.ts'

/** What one part says of itself: why it is not ready, or undefined. */
export type Readiness = { name: string; trouble: () => string | undefined }

export type AdminParts = {
  metrics: Pick<Metrics, 'page'>
  /** All of these must be in order before requests are sent here. */
  readiness: readonly Readiness[]
  /** Told with them, and never a reason to send requests elsewhere: who leads, and the like. */
  facts: () => Record<string, string | number | boolean | undefined>
}

/**
 * The admin port: health, readiness with its reasons, and metrics. It is for the kubelet and for Prometheus inside the cluster:
 * no authentication, nothing that changes anything, and no names of tenants.
 */
export function createAdmin({ metrics, readiness, facts }: AdminParts): Hono {
  const app = new Hono()
  const headers = { 'cache-control': 'no-store' }

  // Answering at all is the health: a process that must be restarted is one whose event loop does not get here.
  app.get('/healthz', (c) => c.text('ok\n', 200, headers))

  app.get('/readyz', (c) => {
    const parts = readiness.map(({ name, trouble }) => {
      const reason = trouble()
      return { name, ready: reason === undefined, ...(reason !== undefined && { reason }) }
    })
    const isReady = parts.every(({ ready }) => ready)
    return c.json({ ready: isReady, parts, facts: facts() }, isReady ? 200 : 503, headers)
  })

  app.get('/metrics', async (c) => {
    const { contentType, text } = await metrics.page(c.req.header('accept'))
    return c.body(text, 200, { ...headers, 'content-type': contentType, vary: 'Accept' })
  })
  return app
}

/**
 * Whether caches hold what the cluster holds: each was seen whole. A broken watch is told as a fact, not as a reason: old
 * answers are better than none, and another replica would see no more.
 */
export function cacheReadiness(caches: Record<string, { synced: boolean; trouble: string | undefined }>): Readiness[] {
  return Object.entries(caches).map(([name, cache]) => ({
    name: `cache of ${name}`,
    trouble: () => (cache.synced ? undefined : `not seen whole yet${cache.trouble === undefined ? '' : `: ${cache.trouble}`}`),
  }))
}
