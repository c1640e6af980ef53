import { systemClock } from '../shared/clock.ts'
import { byFetch } from '../shared/fetch.ts'
import { connectCluster } from '../shared/kubernetes/connection.ts'
import { createLease } from '../shared/kubernetes/lease.ts'
import { createKubernetesVersion } from '../shared/kubernetes/version.ts'
import { type Part, runParts, together } from '../shared/lifecycle.ts'
import type { Log } from '../shared/log.ts'
import { createPlainServer, createTlsServer } from '../shared/server.ts'
import { version } from '../shared/version.ts'
import { cacheReadiness, createAdmin } from './admin/app.ts'
import { createMetrics } from './admin/metrics.ts'
import { createApi } from './api/app.ts'
import { createAudit } from './api/audit.ts'
import { createEvents, usualEvents } from './api/events/index.ts'
import { createAuthentication } from './api/identity/authentication.ts'
import { openResources } from './api/resources.ts'
import type { AgentConfig } from './config.ts'
import { createCollector } from './controllers/collector.ts'
import { createDeletionController } from './controllers/deletions.ts'
import { createProjectController } from './controllers/projects.ts'
import { createVolumeController } from './controllers/volumes.ts'
import { createAcceptedState } from './operations/accepted.ts'
import { actions } from './operations/actions/index.ts'
import { createExecutor } from './operations/executor.ts'
import { createJournal } from './operations/journal.ts'
import { createCaches } from './region/caches.ts'
import { createDatabaseViews } from './region/database-view.ts'
import { createObstacles } from './region/obstacles/index.ts'
import { createOperatorCache } from './region/operator.ts'
import { createProjectViews } from './region/project-view.ts'
import { createDatabaseSql } from './region/sql.ts'
import { openTunnel, tunnelStateOf } from './tunnel/index.ts'

/** The process's own pod, from its environment. */
export type Pod = { name: string; serviceHost: string | undefined; servicePort: string | undefined }

/**
 * The agent: builds its parts, each from its slice of the configuration, and runs them until `stopping` aborts.
 * @throws Error when a part does not start
 */
export async function serve(config: AgentConfig, pod: Pod, { log, stopping }: { log: Log; stopping: AbortSignal }): Promise<void> {
  const clock = systemClock
  const { namespace } = config.cluster
  const metrics = createMetrics({ version, clock })
  const cluster = await connectCluster({ ...config.cluster, ...pod }, { clock, observe: metrics.observeCluster })
  const tools = { cluster, clock, log }

  // The region as it is: the cluster, followed by watches.
  const caches = createCaches({ namespace }, tools)
  const operatorAt = { namespace: config.crateOperator.namespace, name: config.crateOperator.deployment }
  const operator = createOperatorCache(operatorAt, tools)
  const kubernetes = createKubernetesVersion(tools)
  const tunnel = openTunnel(config.tunnel, { region: config.region.id, namespace }, tools)
  const obstacles = createObstacles({ ...tools, caches, config: { namespace, operator: operatorAt } })

  // Requests, and what makes them real: every replica accepts, the holder of the Lease acts.
  const journal = createJournal({ namespace }, { cluster, clock, operations: caches.operations })
  const accepted = createAcceptedState({ journal, caches })
  // After the journal, which must know of a change in the caches before a view is rendered because of it.
  const views = { projects: createProjectViews(caches), databases: createDatabaseViews(caches, { clock }) }
  const lease = createLease({ ...leaseOf(config), namespace, holder: pod.name }, tools)
  const sql = createDatabaseSql(config.databases, tools)
  const known = { ...tools, caches, obstacles, journal, actions, lease }
  const executor = createExecutor(executorOf(config), { ...known, sql, ended: metrics.observeEnded })
  const controllers = [
    createProjectController(projectsOf(config), { ...tools, caches, lease, obstacles }),
    createVolumeController({ namespace }, { ...tools, caches, lease }),
    createDeletionController({ namespace }, { ...tools, caches, journal, lease }),
  ]
  const collector = createCollector(collectorOf(config), { ...tools, journal, lease })

  // The API, for the cloud.
  const authentication = createAuthentication(config.identity, config.api.limits, { clock, log })
  const resources = openResources({ ...known, config, accepted, views, operator, kubernetes, tunnel })
  const events = createEvents(usualEvents, { sources: resources.events, observe: metrics.observeEvents, clock, log })
  const app = createApi(config.api.limits, {
    routes: [...resources.routes, events.route],
    authentication,
    audit: createAudit({ log, clock }),
    observe: metrics.observeRequest,
    version,
    clock,
    log,
  })
  const api = createTlsServer(config.api, { answer: byFetch(app.fetch, log), log })

  // Health and metrics, for the site.
  const ready = createReadyMark(() =>
    log.info({ region: config.region.id, version, apiPort: api.port(), adminPort: admin.port() }, 'region is ready'),
  )
  const all = { ...caches, operator, ...resources.caches }
  const readiness = [...cacheReadiness(all), { name: 'API', trouble: () => (ready.isSet ? undefined : 'not listening yet') }]
  const facts = () => ({ leader: lease.isLeader(), leaseHolder: lease.holder(), version, kubernetes: kubernetes.current })
  const admin = createPlainServer(config.admin, { answer: byFetch(createAdmin({ metrics, readiness, facts }).fetch, log), log })
  metrics.read({
    operations: () => caches.operations.values(),
    queueDepth: () => executor.depth,
    caches: all,
    isLeader: lease.isLeader,
    subscribers: () => events.subscribers,
    certificateExpiresAt: () => (ready.isSet ? api.certificate().expiresAt : undefined),
    exposed: () => (tunnel ? tunnelStateOf(tunnel.tunnel, tunnel.caches).exposed.map(({ what }) => what) : []),
  })

  // Started left to right, stopped right to left: callers drain first, the Lease is released after the last write.
  const following = together('caches', Object.values(all))
  const before = [admin, following, kubernetes, journal, authentication, lease]
  const parts = [...before, ...controllers, ...resources.controllers, executor, collector, events, api, ready]
  try {
    await runParts(parts, { stopping, graceMs: config.grace, log })
  } finally {
    cluster.close()
  }
}

/** Set once every other part has started, until the first of them stops. */
function createReadyMark(onSet: () => void): Part & { readonly isSet: boolean } {
  let isSet = false
  return {
    name: 'readiness',
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

function projectsOf({ cluster, databases, crateOperator, operations }: AgentConfig) {
  const { scrapeNamespaces, egressPorts, cloudMetadata } = databases
  const network = { operatorNamespace: crateOperator.namespace, scrapeNamespaces, egressPorts, cloudMetadata }
  return { namespace: cluster.namespace, network, parallelism: operations.parallelism, recheckMs: operations.recheck }
}

function collectorOf({ cluster, operations }: AgentConfig) {
  return { namespace: cluster.namespace, keepMs: operations.retention, keepCount: operations.keep, intervalMs: 60_000 }
}
