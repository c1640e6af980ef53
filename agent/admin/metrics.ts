import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Clock } from '../../shared/clock.ts'
import type { RequestObserver as ClusterObserver } from '../../shared/kubernetes/connection.ts'
import { collectProcessMetrics } from '../../shared/process-metrics.ts'
import type { RequestObserver } from '../api/app.ts'
import { hasEnded, type Operation, phaseOf, phases } from '../resources/operation.ts'
import { type Exposable, exposables } from '../tunnel/settings.ts'

/** What is looked at when somebody scrapes. All of it is in memory. */
export type MetricSources = {
  operations: () => Iterable<Operation>
  /** Targets that wait for a free hand of the executor. */
  queueDepth: () => number
  /** By the name of what they follow. */
  caches: Record<string, { synced: boolean; heardAt: number | undefined; trouble: string | undefined; size: number }>
  isLeader: () => boolean
  subscribers: () => number
  /** Unix milliseconds at which the API's certificate ceases to be valid; undefined before it listens. */
  certificateExpiresAt: () => number | undefined
  /** What the tunnel leads to now; nothing where there is none. */
  exposed: () => readonly Exposable['what'][]
}

/** The agent's own metrics. What happens is told to the `observe…` functions; what is, is read from the sources at each scrape. */
export type Metrics = {
  observeRequest: RequestObserver
  observeCluster: ClusterObserver
  /** Told of each operation that ended, by the leader. */
  observeEnded: (operation: Operation) => void
  /** An event was made, or a subscriber must list again. */
  observeEvents: (what: 'made' | 'relist') => void
  /** Before this is called, only what was observed is shown. */
  read(sources: MetricSources): void
  /** The page of metrics, in OpenMetrics if that is preferred, else in the text format of Prometheus. */
  page(accept: string | undefined): Promise<{ contentType: string; text: string }>
}

/** Seconds. `Prefer: wait` holds a request for up to 90. */
const requestBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 90]
/** Seconds. A project takes a second, a database minutes, a restore hours. */
const operationBuckets = [1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 4 * 3600, 12 * 3600, 24 * 3600]

/** Methods become labels, so that only those that mean something here do. */
const methods = new Set(['GET', 'HEAD', 'PUT', 'POST', 'PATCH', 'DELETE', 'OPTIONS'])

export function createMetrics({ version, clock }: { version: string; clock: Clock }): Metrics {
  const registry = new Registry()
  const registers = [registry]
  let sources: MetricSources | undefined
  collectProcessMetrics(registry)

  new Gauge({ name: 'skerry_agent_build_info', help: 'The version that runs.', labelNames: ['version', 'node'], registers }).set(
    { version, node: process.version },
    1,
  )
  const requests = new Histogram({
    name: 'skerry_agent_http_request_duration_seconds',
    help: 'Requests to the API, until their answer began, by the template of their route.',
    labelNames: ['method', 'route', 'status'],
    buckets: requestBuckets,
    registers,
  })
  const refusals = new Counter({
    name: 'skerry_agent_http_problems_total',
    help: 'Problem documents that were sent, by their type.',
    labelNames: ['type'],
    registers,
  })
  const calls = new Histogram({
    name: 'skerry_agent_kubernetes_request_duration_seconds',
    help: 'Requests to the Kubernetes API; status 0 is no answer.',
    labelNames: ['method', 'status'],
    buckets: requestBuckets.slice(0, 13),
    registers,
  })
  const ended = new Histogram({
    name: 'skerry_agent_operation_duration_seconds',
    help: 'Operations that ended, from their acceptance, by action and outcome.',
    labelNames: ['action', 'outcome'],
    buckets: operationBuckets,
    registers,
  })
  const events = new Counter({
    name: 'skerry_agent_events_total',
    help: 'Events that were made, and subscribers told to list again.',
    labelNames: ['what'],
    registers,
  })

  /** A gauge that is read when somebody looks. */
  function read<L extends string>(
    name: string,
    help: string,
    labelNames: L[],
    collect: (gauge: Gauge<L>, from: MetricSources) => void,
  ): void {
    new Gauge<L>({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset()
        if (sources !== undefined) collect(this, sources)
      },
    })
  }
  read('skerry_agent_operations', 'Operations that are kept, by phase.', ['phase'], (gauge, { operations }) => {
    for (const phase of phases) gauge.set({ phase }, 0)
    for (const operation of operations()) gauge.inc({ phase: phaseOf(operation) })
  })
  read(
    'skerry_agent_operation_oldest_age_seconds',
    'Age of the oldest operation that has not ended; 0 if all have.',
    [],
    (gauge, { operations }) => {
      let oldest = clock.now()
      for (const operation of operations()) if (!hasEnded(operation)) oldest = Math.min(oldest, Date.parse(operation.spec.acceptedAt))
      gauge.set((clock.now() - oldest) / 1000)
    },
  )
  read('skerry_agent_queue_depth', 'Targets that wait for a free hand of the executor.', [], (gauge, { queueDepth }) =>
    gauge.set(queueDepth()),
  )
  read('skerry_agent_leader', '1 while this replica may act.', [], (gauge, { isLeader }) => gauge.set(isLeader() ? 1 : 0))
  read('skerry_agent_event_subscribers', 'Open event streams.', [], (gauge, { subscribers }) => gauge.set(subscribers()))
  read(
    'skerry_agent_certificate_expiry_timestamp_seconds',
    "When the API's certificate ceases to be valid.",
    [],
    (gauge, { certificateExpiresAt }) => {
      const at = certificateExpiresAt()
      if (at !== undefined) gauge.set(at / 1000)
    },
  )
  read('skerry_agent_tunnel_exposed', '1 for what the tunnel leads to.', ['what'], (gauge, { exposed }) => {
    const all = exposed()
    for (const what of exposables) gauge.set({ what }, all.includes(what) ? 1 : 0)
  })
  read('skerry_agent_cache_synced', '1 once the collection was seen whole.', ['cache'], (gauge, { caches }) => {
    for (const [cache, { synced }] of Object.entries(caches)) gauge.set({ cache }, synced ? 1 : 0)
  })
  read('skerry_agent_cache_objects', 'Objects held.', ['cache'], (gauge, { caches }) => {
    for (const [cache, { size }] of Object.entries(caches)) gauge.set({ cache }, size)
  })
  read('skerry_agent_cache_heard_age_seconds', 'Since the API server last proved that the watch lives.', ['cache'], (gauge, { caches }) => {
    for (const [cache, { heardAt }] of Object.entries(caches))
      if (heardAt !== undefined) gauge.set({ cache }, (clock.monotonic() - heardAt) / 1000)
  })
  read('skerry_agent_cache_troubled', '1 while the collection cannot be followed.', ['cache'], (gauge, { caches }) => {
    for (const [cache, { trouble }] of Object.entries(caches)) gauge.set({ cache }, trouble === undefined ? 0 : 1)
  })

  return {
    observeRequest({ method, route, status, seconds, problem }) {
      requests.observe(
        { method: methods.has(method) ? method : 'other', route, status: statusClasses[Math.floor(status / 100)] ?? 'other' },
        seconds,
      )
      if (problem !== undefined) refusals.inc({ type: problem })
    },
    observeCluster: (method, status, seconds) => calls.observe({ method, status: String(status) }, seconds),
    observeEnded({ spec, status }) {
      const seconds = (Date.parse(status?.endedAt ?? '') - Date.parse(spec.acceptedAt)) / 1000
      ended.observe({ action: spec.action, outcome: status?.phase ?? 'Accepted' }, Number.isFinite(seconds) ? Math.max(0, seconds) : 0)
    },
    observeEvents: (what) => events.inc({ what }),
    read(given) {
      sources = given
    },
    async page(accept) {
      const text = await registry.metrics()
      return prefersOpenMetrics(accept)
        ? { contentType: Registry.OPENMETRICS_CONTENT_TYPE, text: asOpenMetrics(text) }
        : { contentType: Registry.PROMETHEUS_CONTENT_TYPE, text }
    },
  }
}

const statusClasses = ['other', '1xx', '2xx', '3xx', '4xx', '5xx']

/** Prometheus names OpenMetrics first, with the greater weight, when it takes it. */
function prefersOpenMetrics(accept: string | undefined): boolean {
  const weight = (type: string) => {
    const offer = (accept ?? '').split(',').find((each) => each.trim().toLowerCase().startsWith(type))
    return offer === undefined ? 0 : Number(/;\s*q=([\d.]+)/.exec(offer)?.[1] ?? 1)
  }
  const wanted = weight('application/openmetrics-text')
  return wanted > 0 && wanted >= weight('text/plain')
}

/**
 * The same metrics in OpenMetrics 1.0: a family of counters has its name without `_total`, there are no empty lines, and the end
 * is marked. prom-client can write it too, but renames its counters while doing so, and the next page in the other format then
 * has names without `_total`.
 */
function asOpenMetrics(text: string): string {
  const counters = new Set([...text.matchAll(/^# TYPE (\S+)_total counter$/gm)].map(([, name]) => `${name}_total`))
  const lines = text.split('\n').filter((line) => line !== '')
  const renamed = lines.map((line) => {
    const [, head, name, rest] = /^(# (?:HELP|TYPE)) (\S+)(.*)$/.exec(line) ?? []
    return name !== undefined && counters.has(name) ? `${head} ${name.slice(0, -'_total'.length)}${rest}` : line
  })
  return `${renamed.join('\n')}\n# EOF\n`
}
