import path from 'node:path'
import { type Clock, systemClock } from '../shared/clock.ts'
import { StepWatch } from '../shared/clock-steps.ts'
import type { Cluster } from '../shared/kubernetes/connection.ts'
import { createLease, type Lease, leaseFacts } from '../shared/kubernetes/lease.ts'
import { type Part, runParts } from '../shared/lifecycle.ts'
import { type AccountStore, createClusterAccount, Meter, SocketBytes } from '../shared/link/index.ts'
import type { Log } from '../shared/log.ts'
import { version } from '../shared/version.ts'
import { type Host, type MonitorConfig, type Placement, placementOf } from './config.ts'
import { type BeatStore, createClusterBeats, createFileBeats, Heartbeats } from './heartbeats/index.ts'
import { createMonitorEndpoint } from './metrics/index.ts'
import { edgeNodeReadiness, regionReadiness, storageReadiness } from './metrics/readiness.ts'
import { FollowedModules } from './probe/index.ts'
import { createActions } from './prober/actions/index.ts'
import type { Prober } from './prober/check.ts'
import { createChecksInEffect } from './prober/checks-in-effect.ts'
import { createProber } from './prober/index.ts'
import { FollowedChecks } from './prober/reload.ts'
import { createMonitorCaches, followRegion } from './region/caches.ts'
import { accessCluster } from './region/cluster-access.ts'
import { mayBeDiscovered } from './region/discovered-checks.ts'
import { Discovery } from './region/discovery.ts'
import { RegionModel } from './region/model.ts'
import { type BdSeqStore, createClusterBdSeq, sessionConfigMap } from './sparkplug/bd-seq.ts'
import { createFileBdSeq } from './sparkplug/bd-seq-file.ts'
import { createFileAccount } from './sparkplug/bytes-file.ts'
import { edgeNodeConfig } from './sparkplug/config.ts'
import { createBuffer } from './sparkplug/create-buffer.ts'
import { createEdgeNode } from './sparkplug/edge-node.ts'
import { WatchedNodes } from './sparkplug/watched-nodes.ts'
import { watchedStateOf } from './sparkplug/watched-state.ts'
import { createServiceManager, type NotifyEnvironment } from './systemd/notify.ts'
import { statusText } from './systemd/status-text.ts'

/** What the process provides. */
export type ServeTools = {
  log: Log
  stopping: AbortSignal
  /** Dispatches `reload` on SIGHUP. */
  reload: EventTarget
  /** The path of the monitor's configuration if its file has changed since the start. */
  changedFile?: () => string | undefined
  /** The environment with the socket of systemd. */
  notify: NotifyEnvironment
  /** The configuration as it may be shown. */
  shown?: (() => unknown) | undefined
}

/**
 * The monitor: builds each part from its section of the configuration, then runs them until `stopping` aborts.
 *
 * Every replica runs checks and is scraped. The one that holds the Lease also publishes, takes actions and listens to watched nodes
 * (docs/decisions/0009). Without a cluster, or with a kubeconfig on a machine of its own, there is one replica and no Lease.
 * @throws the error of a part that cannot start
 */
export async function serve(config: MonitorConfig, host: Host, given: ServeTools): Promise<void> {
  const { log, stopping, reload, changedFile, notify, shown } = given
  const clock = systemClock
  const tools = { clock, log }
  const placement = placementOf(config, host)

  // The cluster, if there is one, followed by watches.
  const access = placement.hasCluster ? await accessCluster({ ...config.cluster, ...host }, clock) : undefined
  const cluster = access?.cluster
  const { components, discovery } = config
  const caches = cluster && createMonitorCaches({ components, namespace: config.cluster.namespace }, { cluster, ...tools })
  const following = caches && cluster && followRegion(caches, { cluster, ...tools })
  const lease = cluster && placement.hasLease ? createLease(leaseOf(config, host), { cluster, ...tools }) : undefined
  const isLeader = () => lease?.isLeader() ?? true

  // The edge node, which publishes, and the meter of its link.
  const { edgeNode, meter } = publishing(config, placement, { cluster, lease, ...tools })
  const watched = caches && edgeNode && new WatchedNodes({ nodes: caches.sparkplugNodes, secrets: caches.secrets, edgeNode, ...tools })

  const heartbeats = new Heartbeats(beatsOf(config, placement, cluster, tools), tools)

  // The checks.
  const context = {
    heartbeat: (id: string) => heartbeats.heard(id),
    mayExec: config.checks.allowExec && host.serviceHost === undefined,
    ...(access && { apiServer: access.apiServer }),
    ...(watched && { sparkplugNode: watchedStateOf(watched) }),
  }
  const prober = createProber(config.checks, { context, act: createActions({ cluster, isLeader, ...tools }), leadership: lease, ...tools })
  const found = caches && new Discovery({ discovery, components }, { caches, ...tools })
  const file = new FollowedChecks(
    { path: config.checks.file, namespace: config.cluster.namespace, isDiscovered: caches && mayBeDiscovered },
    { cluster, ...tools },
  )
  const checks = createChecksInEffect({ prober, configured: file, discovered: found, hearsNodes: hearing(watched, lease) })
  const steps = new StepWatch(tools)
  const clocks = { apiServer: () => (access ? access.serverClock.offset() : null), steps }
  const facts = { ...factsOf(config), link: meter && (() => meter.standing()) }
  const model = edgeNode && new RegionModel({ caches, components, prober, edgeNode, watched, clocks, facts, ...tools })

  refreshOnBeats(prober, heartbeats)
  const modules = new FollowedModules(config.metrics.probe.modulesFile, tools)

  // What others see of it: the port, and systemd.
  const metrics = createMonitorEndpoint(config.metrics, {
    prober,
    heartbeats,
    sparkplug: () => edgeNode?.observe(),
    link: meter,
    isLeader,
    isLeaderless: () => lease?.standing().state === 'nobody',
    modules,
    reload: () => file.last(),
    readiness: [
      ...(caches ? regionReadiness(caches) : []),
      ...(edgeNode ? [edgeNodeReadiness(edgeNode, isLeader), storageReadiness(edgeNode)] : []),
    ],
    facts: () => ({
      region: config.region.id,
      ...(lease && leaseFacts(lease.standing())),
      kubernetes: caches?.version.current,
      mqtt: edgeNode?.observe().server,
    }),
    version,
    ...(shown && { configuration: shown }),
    ...tools,
  })
  const status = () => statusText(prober.statuses(), edgeNode?.observe())
  const manager = createServiceManager(notify, { stall: prober.stall, status, ...tools })
  reloadOn(reload, { sources: { checks: file, modules }, manager, status, log, changedFile })
  const announce = announcing(() => log.info({ region: config.region.id, version, metricsPort: metrics.port() }, 'monitor is ready'))

  // Started left to right, stopped right to left: the death is published before the Lease goes, and the port answers throughout.
  const first = [steps, heartbeats, modules, metrics, meter, following, found, file, checks, prober, lease]
  const parts = [...first, watched, model, edgeNode, announce, manager]
  try {
    await runParts(
      parts.filter((part) => part !== undefined),
      { stopping, graceMs: config.grace, log },
    )
  } finally {
    cluster?.close()
  }
}

/** Says once that everything before it has started. */
function announcing(announce: () => void): Part {
  return {
    name: 'readiness',
    async start() {
      announce()
    },
    async stop() {},
  }
}

function factsOf({ region }: MonitorConfig) {
  return { version, region: region.id }
}

/** Reads the files again that may change while the monitor runs. @returns what is wrong with them; undefined if nothing is */
async function readAgain(
  sources: Record<string, { reload(): Promise<boolean> }>,
  { log, changedFile }: { log: Log; changedFile: ServeTools['changedFile'] | undefined },
): Promise<string | undefined> {
  const changed = changedFile?.()
  if (changed !== undefined) log.warn({ file: changed }, 'the configuration has changed: restart the monitor, which then takes it up')
  const faulty: string[] = []
  for (const [what, source] of Object.entries(sources)) {
    const isTaken = await source.reload().catch((error: unknown) => {
      log.error({ err: error }, `the ${what} could not be read again; those from before stay in effect`)
      return false
    })
    if (!isTaken) faulty.push(what)
  }
  if (faulty.length === 0) return undefined
  const said = faulty.map((what) => `the ${what} file`).join(' and ')
  return `${said} ${faulty.length === 1 ? 'is' : 'are'} not valid; the ${faulty.join(' and ')} from before stay in effect`
}

function leaseOf({ cluster, lease }: MonitorConfig, { name }: Host) {
  const { duration, renewDeadline, retryPeriod } = lease
  return {
    namespace: cluster.namespace,
    name: lease.name,
    holder: name,
    durationMs: duration,
    renewDeadlineMs: renewDeadline,
    retryMs: retryPeriod,
  }
}

/** Replicas that share a Lease keep the number of the last session in the cluster, where each of them can continue it. */
function bdSeqOf(
  config: MonitorConfig,
  { hasLease, dataDir }: Placement,
  cluster: Cluster | undefined,
  tools: { clock: Clock; log: Log },
): BdSeqStore {
  if (cluster && hasLease) return createClusterBdSeq({ namespace: config.cluster.namespace }, { cluster, ...tools })
  return createFileBdSeq(path.join(dataDir, 'bd-seq'), tools)
}

type PublishingTools = { cluster: Cluster | undefined; lease: Lease | undefined; clock: Clock; log: Log }

/** The edge node, and the meter of its link; nothing without the section `sparkplug`. */
function publishing(config: MonitorConfig, placement: Placement, { cluster, lease, ...tools }: PublishingTools) {
  if (config.sparkplug === undefined) return {}
  const bytes = new SocketBytes()
  const meter = new Meter(config.link, { store: accountOf(config, placement, cluster, tools.clock), ...tools })
  meter.attach('broker', () => bytes.total)
  const edgeNode = createEdgeNode(edgeNodeConfig(config.sparkplug, config.link.profile), {
    bdSeq: bdSeqOf(config, placement, cluster, tools),
    buffer: createBuffer(config.sparkplug.buffer, tools),
    lease,
    bytes,
    profile: () => meter.profileOfBudget,
    ...tools,
  })
  return { edgeNode, meter }
}

/** The bytes of each day are kept where the number of the last session is. */
function accountOf(
  { cluster: { namespace } }: MonitorConfig,
  { hasLease, dataDir }: Placement,
  cluster: Cluster | undefined,
  clock: Clock,
): AccountStore {
  if (!cluster || !hasLease) return createFileAccount(path.join(dataDir, 'bytes'))
  const labels = { 'app.kubernetes.io/managed-by': 'skerry', 'app.kubernetes.io/component': 'monitor' }
  return createClusterAccount(
    { namespace, name: sessionConfigMap, key: 'bytes', labels, fieldManager: 'skerry-monitor' },
    { cluster, clock },
  )
}

/** Replicas that share a Lease share the heartbeats too. */
function beatsOf(
  config: MonitorConfig,
  { hasLease, dataDir }: Placement,
  cluster: Cluster | undefined,
  tools: { clock: Clock; log: Log },
): BeatStore {
  if (cluster && hasLease) return createClusterBeats(config.cluster.namespace, { cluster, ...tools })
  return createFileBeats(path.join(dataDir, 'heartbeats'), tools)
}

/** A heartbeat shows at once, not at the next run of its check. */
function refreshOnBeats(prober: Prober, heartbeats: Heartbeats): void {
  heartbeats.subscribe((id) => {
    for (const { check } of prober.statuses()) if (check.kind === 'heartbeat' && check.target === id) prober.refresh(check.name)
  })
}

/** Reads the files again on SIGHUP, and tells systemd. */
function reloadOn(
  reload: EventTarget,
  {
    sources,
    manager,
    status,
    log,
    changedFile,
  }: {
    sources: Record<string, { reload(): Promise<boolean> }>
    manager: ReturnType<typeof createServiceManager>
    status: () => string
    log: Log
    changedFile: ServeTools['changedFile'] | undefined
  },
): void {
  reload.addEventListener('reload', async () => {
    manager.reloading()
    const faulty = await readAgain(sources, { log, changedFile })
    manager.reloaded(faulty ?? status())
  })
}

/** Whether this replica listens to watched nodes: it does while it leads. */
function hearing(watched: WatchedNodes | undefined, lease: Lease | undefined) {
  return {
    now: () => watched !== undefined && (lease?.isLeader() ?? true),
    onChange: (listener: () => void) => lease?.onChange(listener) ?? (() => {}),
  }
}
