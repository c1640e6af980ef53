import type { Clock } from '../../shared/clock.ts'
import type { Readiness } from '../../shared/lifecycle.ts'
import { linkFamilies, type Meter } from '../../shared/link/index.ts'
import type { Log } from '../../shared/log.ts'
import { createProcessRegistry, familiesOf } from '../../shared/prometheus.ts'
import { createPlainServer, createTlsServer, type ServerPart } from '../../shared/server.ts'
import { serverFamilies } from '../../shared/server-metrics.ts'
import type { Heartbeats } from '../heartbeats/index.ts'
import { createPages } from '../page/index.ts'
import { createProbes, type FollowedModules } from '../probe/index.ts'
import type { Prober } from '../prober/check.ts'
import type { SparkplugCounters } from '../sparkplug/counters.ts'
import { count } from '../wire/wording.ts'
import { createMonitorApp } from './app.ts'
import { createBasicAuth } from './basic-auth.ts'
import { createCheckSeries } from './checks.ts'
import type { MetricsConfig } from './config.ts'
import { takeBeat } from './heartbeat.ts'
import { createHostMetrics } from './host.ts'
import { monitorFamilies, type Reload } from './monitor.ts'
import { sparkplugFamilies } from './sparkplug.ts'

export { type MetricsConfig, metricsConfig } from './config.ts'

/** What the endpoint shows. It is read for each request, from memory. */
export type MonitorEndpointNeeds = {
  prober: Pick<Prober, 'statuses' | 'status' | 'stall' | 'statistics'>
  /** Takes the heartbeats that senders report at `/heartbeat/ID`. */
  heartbeats: Pick<Heartbeats, 'take'>
  /** Undefined if this monitor publishes nothing. */
  sparkplug?: () => SparkplugCounters | undefined
  isLeader: () => boolean
  /** Whether this replica sees that no replica leads; never if there is no Lease. */
  isLeaderless?: () => boolean
  /** The modules file; undefined if there is none. */
  modules?: Pick<FollowedModules, 'modules' | 'last'> | undefined
  /** The last reload; undefined before the first one. */
  reload?: () => Reload | undefined
  /** Undefined if there is no link to meter. */
  link?: Pick<Meter, 'totals' | 'standing'> | undefined
  /** `/readyz` answers that all of these are ready, and that the prober has not stalled. */
  readiness: readonly Readiness[]
  /** Shown beside them, and never a reason not to be ready. */
  facts?: () => Record<string, string | number | boolean | undefined>
  version: string
  /** The configuration in effect as plain data, without secrets. */
  configuration?: () => unknown
  clock: Clock
  log: Log
}

/**
 * The monitor's port: `/metrics`, `/probe`, `/healthz`, `/readyz` and the pages, over HTTP or, with `tls`, over HTTPS.
 * Its start throws if the address or the files of the certificate cannot be used.
 */
export function createMonitorEndpoint(config: MetricsConfig, needs: MonitorEndpointNeeds): ServerPart {
  const { prober, heartbeats, sparkplug, isLeader, readiness, facts, version, clock, log } = needs
  const registry = createProcessRegistry()
  const checkSeries = createCheckSeries()
  const host = createHostMetrics(config.hostMetrics, { clock, log })
  const probes = createProbes(config.probe, { clock, log, file: needs.modules })
  const allReadiness = [...readiness, { name: 'prober', trouble: () => prober.stall() }]
  const allFacts = () => ({ version, leader: isLeader(), ...modulesFact(needs.modules), ...facts?.() })
  const app = createMonitorApp({
    pages: createPages({ prober, probes, readiness: allReadiness, facts: allFacts, configuration: needs.configuration, clock }),
    families: async () => [
      ...(await familiesOf(registry)),
      ...monitorFamilies({ version, prober, isLeader, isLeaderless: needs.isLeaderless, reload: needs.reload }),
      ...checkSeries(prober.statuses()),
      ...sparkplugFamilies(sparkplug?.()),
      ...(needs.link ? linkFamilies('skerry_monitor', needs.link) : []),
      ...host.families(),
      ...probes.families(),
      ...serverFamilies('skerry_monitor', [server.statistics()]),
    ],
    probe: probes.run,
    pastProbes: probes.past,
    beat: (given) => takeBeat(given, { prober, heartbeats, clock }),
    authorized: config.basicAuth && createBasicAuth(config.basicAuth),
    readiness: allReadiness,
    facts: allFacts,
    log,
  })
  const { tls } = config
  const listen = { host: config.host, port: config.port }
  const serverNeeds = { name: 'metrics', answer: app, log, clock }
  const server = tls === undefined ? createPlainServer(listen, serverNeeds) : createTlsServer({ ...listen, tls }, serverNeeds)

  return {
    name: 'metrics',
    port: () => server.port(),
    statistics: () => server.statistics(),
    async start(signal) {
      await server.start(signal)
      host.start()
    },
    async stop(deadline) {
      await Promise.all([host.stop(), server.stop(deadline)])
    },
  }
}

/** What became of the modules file, in words. */
function modulesFact(file: MonitorEndpointNeeds['modules']): { modulesFile?: string } {
  const last = file?.last()
  if (file === undefined || last === undefined) return {}
  const modules = [...file.modules().values()]
  const refused = modules.filter((module) => 'refused' in module).length
  const said = `${count(modules.length, 'module')}${refused === 0 ? '' : `, ${refused} refused`}`
  return { modulesFile: last.ok ? said : `cannot be used; ${said} from before` }
}
