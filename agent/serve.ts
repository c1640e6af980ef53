import { systemClock } from '../shared/clock.ts'
import { DateClock } from '../shared/clock-offset.ts'
import { byFetch } from '../shared/fetch.ts'
import type { Cache } from '../shared/kubernetes/cache.ts'
import { connectCluster } from '../shared/kubernetes/connection.ts'
import { createEventRecorder, type EventRecorder } from '../shared/kubernetes/event-recorder.ts'
import { createLease, type Lease, leaseFacts } from '../shared/kubernetes/lease.ts'
import { createKubernetesVersion } from '../shared/kubernetes/version.ts'
import { type Part, type Readiness, runParts, together } from '../shared/lifecycle.ts'
import { createClusterAccount, Meter, type Traffic } from '../shared/link/index.ts'
import type { Log } from '../shared/log.ts'
import { createPlainServer, createTlsServer } from '../shared/server.ts'
import { version } from '../shared/version.ts'
import { cacheReadiness, createAdmin } from './admin/app.ts'
import { createMetrics } from './admin/metrics.ts'
import { createApi } from './api/app.ts'
import { createAudit } from './api/audit.ts'
import { createEvents, usualEvents } from './api/events/index.ts'
import { type Authentication, createAuthentication } from './api/identity/authentication.ts'
import { RegionDocumentMaker } from './api/representations/region.ts'
import { openResources } from './api/resources.ts'
import { type Clocks, createClocks, PatientTime } from './clock/index.ts'
import { CloudClock } from './cloud/cloud-clock.ts'
import { readIdentityKey } from './cloud/kubernetes-store.ts'
import { followRegistration, registrationReadiness, type ShownRegistration } from './cloud/registration/cache.ts'
import type { AgentConfig } from './config.ts'
import { createBackupRecords } from './controllers/backup-records.ts'
import { createBackupSchedule } from './controllers/backups.ts'
import { createCollector } from './controllers/collector.ts'
import { createDeletionController } from './controllers/deletions.ts'
import { createProjectController } from './controllers/projects.ts'
import { createRehearsalSchedule } from './controllers/rehearsal-schedule.ts'
import { createRehearsalController } from './controllers/rehearsals.ts'
import { createRetainedController } from './controllers/retained-databases.ts'
import { createStory } from './controllers/story.ts'
import { createVolumeController } from './controllers/volumes.ts'
import { exportReadiness, openRecovery, type Recovery } from './export/index.ts'
import { type AcceptedState, createAcceptedState } from './operations/accepted.ts'
import { actions } from './operations/actions/index.ts'
import type { DecisionParts } from './operations/deciding/decision.ts'
import { decisionParts } from './operations/deciding/parts.ts'
import { createExecutor } from './operations/executor.ts'
import { createJournal, type Journal } from './operations/journal.ts'
import { createLedgerKeeper } from './operations/ledger-keeper.ts'
import type { Requests } from './operations/own-request.ts'
import type { LeaderTools } from './operations/queue.ts'
import { createRequests } from './operations/requests.ts'
import { createWaitingNotes } from './operations/waiting.ts'
import { ownComponents } from './preflight/components.ts'
import { type Caches, createCaches } from './region/caches.ts'
import { createDatabaseViews } from './region/database-view.ts'
import { createObstacles, type Obstacles } from './region/obstacles/index.ts'
import { createOperatorCache } from './region/operator.ts'
import { createProjectViews } from './region/project-view.ts'
import { createDatabaseSql } from './region/sql.ts'
import { createStack } from './region/stack.ts'
import { servedReadiness, whereServed } from './region/where-served.ts'
import { fieldManager, managedBy } from './resources/labels.ts'
import { callTunnel, openTunnel, type TunnelInUse, tunnelStateOf } from './tunnel/index.ts'

/** The process's own pod, from its environment; and the kubeconfigs of the machine, for a process that runs in none. */
export type Pod = { name: string; serviceHost: string | undefined; servicePort: string | undefined; usualKubeconfigs: readonly string[] }

/**
 * The agent: builds its parts, each from its slice of the configuration, and runs them until `stopping` aborts.
 * @throws Error when a part does not start
 */
export async function serve(config: AgentConfig, pod: Pod, { log, stopping }: { log: Log; stopping: AbortSignal }): Promise<void> {
  const clock = systemClock
  const { namespace } = config.cluster
  const metrics = createMetrics({ version, clock })
  const [apiServer, cloud] = [new DateClock(clock), new CloudClock(clock)]
  const heard = { observe: metrics.observeCluster, heardDate: apiServer.heard }
  const cluster = await connectCluster({ ...config.cluster, ...pod }, { clock, ...heard })
  log.info({ server: cluster.server.href, namespace }, 'using a cluster')
  const tools = { cluster, clock, log }

  // The region as it is: the cluster, followed by watches.
  const caches = createCaches({ namespace }, tools)
  const operatorAt = { namespace: config.crateOperator.namespace, name: config.crateOperator.deployment }
  const operator = createOperatorCache(operatorAt, tools)
  const [kubernetes, stack] = [createKubernetesVersion(tools), createStack(ownComponents, tools)]
  const meter = meterOf(config, { ...tools, api: () => api.statistics().bytes })
  const tunnel = openTunnel(config.tunnel, { region: config.region.id, namespace }, tools)
  const registration = config.cloud && followRegistration(namespace, tools)
  const obstacles = createObstacles({ ...tools, caches, config: { namespace, operator: operatorAt } })

  // Requests, and what makes them real: every replica accepts, the holder of the Lease acts.
  const journal = createJournal({ namespace }, { cluster, clock, operations: caches.operations, ledger: caches.ledger })
  const accepted = createAcceptedState({ journal, caches })
  // After the journal, which must know of a change in the caches before a view is rendered because of it.
  const views = { projects: createProjectViews(caches), databases: createDatabaseViews(caches, { clock }) }
  const lease = createLease({ ...leaseOf(config), namespace, holder: pod.name }, tools)
  const sql = createDatabaseSql(config.databases, { ...tools, caches })
  const deciding = decisionParts(config, { cluster, accepted, caches, operator, journal, sql, clock })
  const requests = createRequests({ ...deciding, actions, journal })
  const standing = { caches, operator, kubernetes, stack, tunnel, obstacles, journal, accepted, deciding, views, lease, meter }
  const known = { ...tools, ...standing, actions }
  const executor = createExecutor(executorOf(config), { ...known, sql, requests, ended: metrics.observeEnded })
  const waiting = createWaitingNotes({ namespace, parallelism: config.operations.parallelism }, { ...known, queue: executor })
  const keeper = createLedgerKeeper({ namespace }, { ...tools, caches, journal, lease })
  const recorder = createEventRecorder({ fieldManager }, tools)
  const clocks = createClocks({ cloud, apiServer, pod: { name: pod.name, namespace }, recorder }, tools)
  const controllers = controllersOf(config, { ...known, requests, recorder, clocks })
  const story = createStory({ caches, journal, recorder, lease })
  const collector = createCollector(collectorOf(config), { ...tools, clock: clocks.careful, journal, keeper, lease })

  // The API, for the cloud.
  const authentication = createAuthentication(config.identity, config.api.limits, { clock, time: clocks.tokenTime, log })
  const recovery = openRecovery(config, { ...known, clocks, key: async () => config.cloud && readIdentityKey(cluster, namespace) })
  const resources = openResources({ ...known, config, clocks, registration, recovery })
  const events = createEvents(usualEvents, { sources: resources.events, observe: metrics.observeEvents, clock, log })
  const app = createApi(config.api.limits, {
    ...tools,
    routes: [...resources.routes, events.route],
    authentication,
    audit: createAudit({ log, clock }),
    observe: metrics.observeRequest,
    version,
  })
  const singularHeaders = ['idempotency-key', 'last-event-id', 'x-request-id', ...(config.identity.jwt ? [config.identity.jwt.header] : [])]
  const api = createTlsServer(config.api, { answer: byFetch(app.fetch, log), singularHeaders, log })

  // The link outwards, to the cloud.
  const document = new RegionDocumentMaker({ ...known, config, clocks, recovery })
  const link = await linkOf(config, { ...known, cloudClock: cloud, recorder, document, registration, recovery })

  // Health and metrics, for the site.
  const ports = () => ({ apiPort: api.port(), adminPort: admin.port() })
  const ready = createReadyMark(() => log.info({ region: config.region.id, version, ...ports() }, 'region is ready'))
  const followed = followedOf({ ...caches, operator, ...resources.caches }, { registration, recovery })
  const readiness = [...followed.readiness, ready.readiness]
  const facts = () => ({ leader: lease.isLeader(), ...leaseFacts(lease.standing()), version, kubernetes: kubernetes.current })
  const admin = createPlainServer(config.admin, { answer: byFetch(createAdmin({ metrics, readiness, facts }).fetch, log), log })
  metrics.read({
    ...measuredApi(api, { ready, authentication }),
    ...measuredLease(lease),
    ...measuredWork({ caches, journal, executor }),
    ...measuredLinks({ registration, clocks, meter, tunnel, recovery }),
    caches: followed.caches,
    subscribers: () => events.subscribers,
    servers: () => [api.statistics(), admin.statistics()],
  })

  // Started left to right, stopped right to left: callers drain first, the Lease is released after the last write.
  const before = [admin, meter, followed.part, stack.part, kubernetes, journal, authentication, recorder, clocks, story, lease]
  const parts = [...before, ...controllers, ...resources.controllers, executor, waiting, keeper, collector, ...link, events, api, ready]
  try {
    await runParts(parts, { stopping, graceMs: config.grace, log })
  } finally {
    cluster.close()
  }
}

/**
 * The caches as one part, which is ready once each has listed its collection. Deleted databases are missing where their CRD is, and nothing waits
 * for what is only shown.
 */
function followedOf(
  // biome-ignore lint/suspicious/noExplicitAny: each has objects of its own type
  caches: Record<string, Cache<any>> & Pick<Caches, 'retained'>,
  { registration, recovery }: Pick<LinkParts, 'registration' | 'recovery'>,
) {
  const { retained, ...needed } = caches
  const shown = { ...(registration && { registration: registration.cache }), ...(recovery.cache && { export: recovery.cache }) }
  return {
    caches: { ...caches, ...shown },
    readiness: [
      ...cacheReadiness(needed),
      servedReadiness('retained', retained),
      ...registrationReadiness(registration),
      ...exportReadiness(recovery),
    ],
    part: together('caches', [...Object.values(needed), whereServed(retained)]),
  }
}

/** What the holder of the Lease looks after, whatever is asked for. */
function controllersOf(config: AgentConfig, known: ControllerParts): Part[] {
  const { namespace } = config.cluster
  const expiryTime = new PatientTime(known.clocks.careful)
  return [
    createProjectController(projectsOf(config), known),
    createVolumeController({ namespace }, known),
    createDeletionController({ namespace }, known),
    createRetainedController({ namespace, foundAfterMs: 15_000 }, { ...known, expiryTime: () => expiryTime.now() }),
    createRehearsalController({ namespace }, known),
    createBackupSchedule({}, { ...known, careful: known.clocks.careful }),
    createBackupRecords(known),
    createRehearsalSchedule({}, { ...known, careful: known.clocks.careful }),
  ]
}

type ControllerParts = LeaderTools & {
  caches: Caches
  journal: Journal
  accepted: AcceptedState
  deciding: DecisionParts
  obstacles: Obstacles
  requests: Requests
  recorder: EventRecorder
  clocks: Pick<Clocks, 'careful'>
}

/** What metrics say of the Lease. */
function measuredLease(lease: Pick<Lease, 'isLeader' | 'standing'>) {
  return { isLeader: lease.isLeader, isLeaderless: () => lease.standing().state === 'nobody' }
}

/** What metrics say of the operations. */
function measuredWork({ caches, journal, executor }: { caches: Caches; journal: Journal; executor: { depth: number } }) {
  return {
    operations: () => caches.operations.values(),
    retained: () => caches.retained.values(),
    databases: () => caches.databases.values(),
    holes: () => journal.holes(),
    queueDepth: () => executor.depth,
  }
}

/** What metrics say of what leads outside. */
function measuredLinks({
  registration,
  clocks,
  meter,
  tunnel,
  recovery,
}: Pick<LinkParts, 'registration' | 'meter' | 'tunnel' | 'recovery'> & { clocks: Clocks }) {
  return {
    ...{ registration: () => registration?.status, clocks: clocks.read, link: meter, exported: recovery.state },
    exposed: () => (tunnel ? tunnelStateOf(tunnel.tunnel, tunnel.caches).exposed.map(({ what }) => what) : []),
  }
}

/** What metrics say of the certificate of the API, which is read when it starts, and of credentials. */
function measuredApi(
  api: { certificate(): { expiresAt: number; isStale: boolean; crl?: { expiresAt: number } | undefined } },
  { ready, authentication }: { ready: { readonly isSet: boolean }; authentication: Authentication },
) {
  const certificate = () => (ready.isSet ? api.certificate() : undefined)
  return {
    certificateExpiresAt: () => certificate()?.expiresAt,
    revocationListExpiresAt: () => certificate()?.crl?.expiresAt,
    stale: () => ({ certificate: certificate()?.isStale ?? false, ...authentication.stale() }),
  }
}

/** Set once every other part has started, until the first of them stops. */
function createReadyMark(onSet: () => void): Part & { readonly isSet: boolean; readiness: Readiness } {
  let isSet = false
  return {
    name: 'readiness',
    readiness: { name: 'API', trouble: () => (isSet ? undefined : 'not listening yet') },
    get isSet() {
      return isSet
    },
    async start() {
      isSet = true
      onSet()
    },
    async stop() {
      isSet = false
    },
  }
}

function leaseOf({ lease }: AgentConfig) {
  return { name: lease.name, durationMs: lease.duration, renewDeadlineMs: lease.renewDeadline, retryMs: lease.retryPeriod }
}

function executorOf({ cluster, operations, databases }: AgentConfig) {
  const { parallelism, recheck } = operations
  return { namespace: cluster.namespace, parallelism, recheckMs: recheck, imageRegistry: databases.imageRegistry }
}

function projectsOf({ cluster, databases, crateOperator, operations, monitor, metadata }: AgentConfig) {
  const { scrapeNamespaces, egressPorts, cloudMetadata } = databases
  const network = { operatorNamespace: crateOperator.namespace, scrapeNamespaces, egressPorts, cloudMetadata }
  const accounts = { agent: cluster.serviceAccount, monitor: monitor.databasePasswords ? monitor.serviceAccount : undefined }
  const { namespace } = cluster
  const { parallelism, recheck } = operations
  return { namespace, network, accounts, allowedLabels: metadata.labels, parallelism, recheckMs: recheck }
}

/** The bytes of every replica are added up in one ConfigMap. */
function meterOf({ link, cluster }: AgentConfig, { api, ...tools }: Omit<LeaderTools, 'lease'> & { api: () => Traffic }): Meter {
  const kept = { namespace: cluster.namespace, name: 'skerry-link', key: 'bytes', labels: managedBy, fieldManager }
  const meter = new Meter(link, { ...tools, store: createClusterAccount(kept, tools) })
  meter.attach('api', api)
  return meter
}

type LinkParts = LeaderTools & {
  cloudClock: CloudClock
  recorder: EventRecorder
  document: RegionDocumentMaker
  registration: ShownRegistration | undefined
  meter: Meter
  tunnel: TunnelInUse | undefined
  recovery: Recovery
}

/** The link to the cloud, if there is one, and what keeps the file of the region, there and elsewhere. */
async function linkOf(
  config: AgentConfig,
  { document, registration, recorder, cloudClock, meter, tunnel, recovery, ...tools }: LinkParts,
): Promise<Part[]> {
  const { cloud, cluster, region } = config
  if (cloud === undefined || registration === undefined) return recovery.exporter(undefined)
  const status = { read: () => document.shown(undefined), subscribe: (changed: () => void) => document.subscribe(changed) }
  // With it come its client and the signatures: without a cloud nobody pays for them.
  const { createLink } = await import('./cloud/index.ts')
  const called = tunnel && (() => callTunnel(tunnel, tools))
  const shown = { registration, recorder, cloudClock, meter, called }
  const { parts, sender } = await createLink(cloud, { namespace: cluster.namespace, region, version, status, ...shown }, tools)
  return [...parts, ...(await recovery.exporter({ sender, meter }))]
}

function collectorOf({ cluster, operations }: AgentConfig) {
  return { namespace: cluster.namespace, keepMs: operations.retention, keepCount: operations.keep, intervalMs: 60_000 }
}
