import { Counter, Histogram } from 'prom-client'
import type { Clock } from '../../shared/clock.ts'
import type { RequestObserver as ClusterObserver } from '../../shared/kubernetes/connection.ts'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { linkFamilies, type Meter } from '../../shared/link/index.ts'
import { createProcessRegistry, type Family, familiesOf, family } from '../../shared/prometheus.ts'
import type { ServerStatistics } from '../../shared/server.ts'
import { serverFamilies } from '../../shared/server-metrics.ts'
import type { RequestObserver } from '../api/app.ts'
import type { ClockReading } from '../clock/index.ts'
import { type RegistrationStatus, registrationStates } from '../cloud/registration/status.ts'
import type { ExportState } from '../export/state.ts'
import type { CountedHole } from '../operations/holes.ts'
import { hasEnded, type Operation, phaseOf, phases, waitingCodes } from '../resources/operation.ts'
import type { RetainedDatabase } from '../resources/retained-database.ts'
import { type Exposable, exposables } from '../tunnel/settings.ts'
import { backupFamilies } from './backup-families.ts'
import { clockFamilies } from './clock-families.ts'
import { exportFamilies } from './export-families.ts'
import { rehearsalFamilies } from './rehearsal-families.ts'
import { retainedFamilies } from './retained-families.ts'

/** What a scrape reads. All of it is in memory. */
export type MetricSources = {
  operations: () => Iterable<Operation>
  /** The holes in the ledger. */
  holes: () => readonly CountedHole[]
  /** Targets that wait for a free worker of the executor. */
  queueDepth: () => number
  /** By the name of the collection. */
  caches: Record<string, { synced: boolean; heardAt: number | undefined; trouble: string | undefined; size: number }>
  isLeader: () => boolean
  /** Whether this replica sees that no replica leads. */
  isLeaderless: () => boolean
  subscribers: () => number
  /** Unix milliseconds at which the API's certificate expires; undefined before it listens. */
  certificateExpiresAt: () => number | undefined
  /** The same for the first of the revocation lists of client certificates; undefined without lists. */
  revocationListExpiresAt: () => number | undefined
  /** By source: whether what it holds now cannot be used, so that an earlier content is. */
  stale: () => Record<string, boolean>
  servers: () => readonly ServerStatistics[]
  /** How the region stands with its cloud; undefined without one, and before the first look. */
  registration: () => RegistrationStatus | undefined
  link: Pick<Meter, 'totals' | 'standing'>
  /** Everything that the tunnel exposes now; empty without a tunnel. */
  exposed: () => readonly Exposable['what'][]
  clocks: () => ClockReading
  /** What is known of the file of the region, by place. */
  exported: () => ExportState
  /** Deleted databases that somebody can have back. */
  retained: () => Iterable<RetainedDatabase>
  /** The CrateDBs. */
  databases: () => Iterable<KubernetesObject>
}

/** The agent's metrics. The `observe…` functions count what happens; each scrape reads the current state from the sources. */
export type Metrics = {
  observeRequest: RequestObserver
  observeCluster: ClusterObserver
  /** The leader calls it for each operation that ended. */
  observeEnded: (operation: Operation) => void
  /** An event was made, or a subscriber has to list again. */
  observeEvents: (what: 'made' | 'relist') => void
  /** Gives the sources. Before that, only what was observed is shown. */
  read(sources: MetricSources): void
  /** Every family as it is now. */
  families(): Promise<Family[]>
}

/** Seconds. `Prefer: wait` holds a request for up to 90. */
const requestBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 90]
/** Seconds. A project takes a second, a database minutes, a restore hours. */
const operationBuckets = [1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 4 * 3600, 12 * 3600, 24 * 3600]

/** Methods become labels, so any other is called `other`. */
const methods = new Set(['GET', 'HEAD', 'PUT', 'POST', 'PATCH', 'DELETE', 'OPTIONS'])

const statusClasses = ['other', '1xx', '2xx', '3xx', '4xx', '5xx']

/** Creates the metrics. Until `read` gives them sources, they only show what was observed. */
export function createMetrics({ version, clock }: { version: string; clock: Clock }): Metrics {
  const registry = createProcessRegistry()
  const registers = [registry]
  let sources: MetricSources | undefined
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
    help: 'Events that were made, and subscribers that had to list again.',
    labelNames: ['what'],
    registers,
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
    async families() {
      const build = family('gauge', 'skerry_agent_build_info', 'Always 1; the version that runs.', [
        [{ version, node: process.version }, 1],
      ])
      return [
        ...(await familiesOf(registry)),
        build,
        ...(sources === undefined ? [] : [...currentFamilies(sources, clock), ...othersOf(sources, clock)]),
      ]
    },
  }
}

function othersOf({ clocks, retained, databases }: MetricSources, clock: Clock): Family[] {
  const ofBackups = [...backupFamilies(databases(), clock.now()), ...rehearsalFamilies(databases(), clock.now())]
  return [...clockFamilies(clocks()), ...retainedFamilies([...retained()]), ...ofBackups]
}

/** The state of the agent at this moment. */
function currentFamilies(sources: MetricSources, clock: Clock): Family[] {
  const gauge = (name: string, help: string, value: Parameters<typeof family>[3]) => family('gauge', `skerry_agent_${name}`, help, value)
  const operations = [...sources.operations()]
  const byPhase = Object.groupBy(operations, phaseOf)
  const waiting = Object.groupBy(
    operations.filter((operation) => !hasEnded(operation)),
    ({ status }) => status?.reason ?? '',
  )
  const exposed = sources.exposed()
  const expiresAt = sources.certificateExpiresAt()
  const listExpiresAt = sources.revocationListExpiresAt()
  const caches = Object.entries(sources.caches)
  const byCache = (value: (cache: MetricSources['caches'][string]) => number) =>
    caches.map(([name, cache]) => [{ cache: name }, value(cache)] as const)
  const heard = caches.flatMap(([cache, { heardAt }]) =>
    heardAt === undefined ? [] : [[{ cache }, (clock.monotonic() - heardAt) / 1000] as const],
  )
  return [
    gauge(
      'operations',
      'Operations that are kept, by phase.',
      phases.map((phase) => [{ phase }, byPhase[phase]?.length ?? 0]),
    ),
    gauge(
      'operation_oldest_age_seconds',
      'Age of the oldest operation that has not ended; 0 if all have.',
      oldestAge(operations, clock.now()),
    ),
    gauge('ledger_missing_entries', 'Entries of the ledger that were deleted outside the agent.', missingEntries(sources)),
    gauge('ledger_hole_timestamp_seconds', 'When the last hole in the ledger was noticed; missing if there is none.', lastNoticed(sources)),
    gauge('queue_depth', 'Targets that wait for a free worker of the executor.', sources.queueDepth()),
    gauge('leader', '1 while this replica may act.', sources.isLeader() ? 1 : 0),
    gauge('leaderless', '1 while no replica may act, as this one sees it: the Lease is not renewed.', sources.isLeaderless() ? 1 : 0),
    gauge(
      'operations_waiting',
      'Operations that nobody works on, by what they wait for.',
      waitingCodes.map((reason) => [{ reason }, waiting[reason]?.length ?? 0]),
    ),
    ...serverFamilies('skerry_agent', sources.servers()),
    ...linkFamilies('skerry_agent', sources.link),
    gauge('event_subscribers', 'Open event streams.', sources.subscribers()),
    gauge('certificate_expiry_timestamp_seconds', "When the API's certificate expires.", expiresAt && expiresAt / 1000),
    gauge(
      'client_crl_expiry_timestamp_seconds',
      'When the first revocation list of client certificates expires, and all certificates of its CA are refused.',
      listExpiresAt && listExpiresAt / 1000,
    ),
    gauge(
      'credentials_stale',
      '1 while the present content of this source cannot be used or read, so that an earlier one is in use.',
      Object.entries(sources.stale()).map(([source, isStale]) => [{ source }, isStale ? 1 : 0]),
    ),
    gauge(
      'tunnel_exposed',
      '1 for everything that the tunnel leads to.',
      exposables.map((what) => [{ what }, exposed.includes(what) ? 1 : 0]),
    ),
    ...registrationFamilies(sources.registration(), clock),
    ...exportFamilies(sources.exported()),
    gauge(
      'cache_synced',
      '1 once the whole collection was listed.',
      byCache(({ synced }) => (synced ? 1 : 0)),
    ),
    gauge(
      'cache_objects',
      'Objects in the cache.',
      byCache(({ size }) => size),
    ),
    gauge('cache_heard_age_seconds', 'Time since the API server last proved that the watch lives.', heard),
    gauge(
      'cache_troubled',
      '1 while the collection cannot be followed.',
      byCache(({ trouble }) => (trouble === undefined ? 0 : 1)),
    ),
  ]
}

/** None without a cloud. */
function registrationFamilies(registration: RegistrationStatus | undefined, clock: Clock): Family[] {
  if (registration === undefined) return []
  const gauge = (name: string, help: string, value: Parameters<typeof family>[3]) =>
    family('gauge', `skerry_agent_registration_${name}`, help, value)
  const { state: present, since, credential, lastHeard, ledgerKnown } = registration
  const secondsOf = (time: string | undefined) => (time === undefined ? undefined : Date.parse(time) / 1000)
  const heardAt = secondsOf(lastHeard)
  return [
    gauge(
      'state',
      '1 for the state of the registration at the cloud.',
      registrationStates.map((state) => [{ state }, state === present ? 1 : 0]),
    ),
    gauge('since_timestamp_seconds', 'Since when the state and its reason are the same.', secondsOf(since)),
    gauge('credential_expiry_timestamp_seconds', 'When the credential of the region expires.', secondsOf(credential?.expires)),
    gauge(
      'heard_age_seconds',
      'Time since the cloud last answered as agreed, to five minutes.',
      heardAt === undefined ? undefined : Math.max(0, clock.now() / 1000 - heardAt),
    ),
    gauge('ledger_known', 'The last operation that the cloud says it knows, to five minutes.', ledgerKnown),
  ]
}

function missingEntries({ holes }: MetricSources): number {
  return holes().reduce((sum, { missing }) => sum + missing, 0)
}

/** Unix seconds. */
function lastNoticed({ holes }: MetricSources): number | undefined {
  const moments = holes().flatMap(({ noticedAt }) => (noticedAt === null ? [] : [Date.parse(noticedAt) / 1000]))
  return moments.length === 0 ? undefined : Math.max(...moments)
}

/** Seconds. */
function oldestAge(operations: readonly Operation[], now: number): number {
  const accepted = operations.filter((operation) => !hasEnded(operation)).map(({ spec }) => Date.parse(spec.acceptedAt))
  return (now - accepted.reduce((oldest, at) => Math.min(oldest, at), now)) / 1000
}
