import type { Offset } from '../../../shared/clock-offset.ts'
import type { ClockStep } from '../../../shared/clock-steps.ts'
import { bytesOfDay, type LinkStanding } from '../../../shared/link/index.ts'
import type { Prober } from '../../prober/check.ts'
import { quality } from '../../sparkplug/payload.ts'
import type { SparkplugMetric } from '../../sparkplug/tracked-metric.ts'
import type { WatchedNodes } from '../../sparkplug/watched-nodes.ts'
import { isKnown, type MonitorCaches } from '../caches.ts'
import type { ComponentConfig } from '../config.ts'
import type { PodTotals } from '../pod-totals.ts'
import type { HostAmounts, ProjectView } from '../views.ts'
import { summaryMetrics } from './checks.ts'
import { componentsOf, isReady } from './component.ts'
import type { Source } from './family.ts'
import { requested as asRequested, bytes, cores, count, moment, ofLink, text } from './metrics.ts'

/** Facts about this process and its region. */
export type RegionFacts = {
  /** Of Skerry. */
  version: string
  /** Its id at the cloud. */
  region?: string | undefined
  /** How the link to the broker stands. */
  link?: (() => LinkStanding) | undefined
}

/** The parts that the metrics of the edge node itself are made from. Without a cluster there are no caches. */
export type NodeParts = {
  caches?: MonitorCaches | undefined
  totals?: PodTotals | undefined
  components: readonly ComponentConfig[]
  prober: Pick<Prober, 'statuses'>
  watched?: Pick<WatchedNodes, 'keys' | 'state'> | undefined
  clocks?: OwnClock | undefined
  facts: RegionFacts
}

/** What is known of the clock of this host: its times are in everything that is published. */
export type OwnClock = {
  /** How far the clock of the API server is ahead; undefined before its first answer, and null without a cluster. */
  apiServer: () => Offset | undefined | null
  /** How often ours was set since the start. */
  steps: { readonly count: number; readonly last: ClockStep | undefined }
}

/**
 * The metrics of the edge node itself: the cluster as a whole. Metrics whose source cannot be read are stale, and null if it never could be
 * read: a cluster that was not seen yet is not a cluster without hosts.
 */
export function nodeMetrics(parts: NodeParts, isStale: (source: Source) => boolean): SparkplugMetric[] {
  const { caches, totals, components, prober, watched, clocks, facts } = parts
  const from: From = (source, metrics) => {
    if (!isStale(source)) return metrics
    const wasKnown = source === 'prober' || caches === undefined || isKnown(caches[source])
    return metrics.map((metric) => ({ ...metric, ...(!wasKnown && { value: null }), quality: quality.stale }))
  }
  return [
    text('Properties/Skerry Version', facts.version, 'Version of the monitor'),
    text('Properties/Region', facts.region, 'Id of the region'),
    ...(caches ? from('registrations', registrationOf(caches)) : []),
    ...(caches && totals ? [...from('hosts', propertiesOf(caches)), ...clusterMetrics(caches, totals, components, from)] : []),
    ...from('prober', summaryMetrics(prober.statuses(), 'Cluster/Checks')),
    ...(watched ? watchedMetrics(watched) : []),
    ...(clocks ? clockMetrics(clocks) : []),
    ...(facts.link ? linkMetrics(facts.link()) : []),
  ]
}

function linkMetrics({ profile, today, yesterday }: LinkStanding): SparkplugMetric[] {
  return [
    text('Link/Profile', profile, 'How much is sent: normal, metered or critical'),
    ofLink(bytes('Link/Bytes Today', bytesOfDay(today), 'Bytes over the link to the broker since midnight (UTC), in both directions')),
    bytes('Link/Bytes Yesterday', bytesOfDay(yesterday), 'The same of the day before'),
  ]
}

function propertiesOf({ hosts, version }: MonitorCaches): SparkplugMetric[] {
  const all = (of: 'architecture' | 'operatingSystem' | 'kubeletVersion') =>
    [...new Set([...hosts.values()].map((host) => host[of]))]
      .filter((each) => each !== '')
      .sort()
      .join(',')
  return [
    text('Properties/Kubernetes Version', version.current, 'Version of the API server'),
    text('Properties/Kubelet Versions', all('kubeletVersion'), 'Versions of the kubelets, separated by commas'),
    text('Properties/Architectures', all('architecture'), 'Architectures of the hosts, separated by commas'),
    text('Properties/Operating Systems', all('operatingSystem'), 'Operating systems of the hosts, separated by commas'),
  ]
}

/** How the region stands with its cloud; nothing without one. */
function registrationOf({ registrations }: MonitorCaches): SparkplugMetric[] {
  const [registration] = registrations.values()
  if (registration === undefined) return []
  const { cloud, id, state, reason, name, tags } = registration
  return [
    text('Properties/Registration/Cloud', cloud, 'Address of the cloud that the region joins'),
    text('Properties/Registration/Id', id, 'The registration, as the cloud calls it'),
    text('Properties/Registration/State', state, 'How the region stands with its cloud: Ready if all is well'),
    text('Properties/Registration/Reason', reason, 'Why, in one word'),
    text('Properties/Registration/Name', name, 'What people call the region'),
    text('Properties/Registration/Tags', tags, 'What the site and the cloud say about the region: name=value, separated by commas'),
  ]
}

type From = (source: Source, metrics: SparkplugMetric[]) => SparkplugMetric[]

function clusterMetrics(caches: MonitorCaches, totals: PodTotals, components: readonly ComponentConfig[], from: From): SparkplugMetric[] {
  const hosts = [...caches.hosts.values()]
  const usable = hosts.filter(({ ready, schedulable }) => ready && schedulable)
  const capacity = sumOf(hosts.map((host) => host.capacity))
  const allocatable = sumOf(usable.map((host) => host.allocatable))
  const requested = totals.requested()
  const projects = [...caches.projects.values()]
  const databases = [...caches.databases.values()]
  const diskSize = databases.reduce((sum, { disks }) => sum + (disks?.bytes ?? 0), 0)
  const found = [...componentsOf(caches, components).values()]
  return [
    ...from('hosts', [
      count('Cluster/Hosts/Total', hosts.length, 'Hosts'),
      count('Cluster/Hosts/Ready', hosts.filter(({ ready }) => ready).length, 'Hosts that are ready'),
      count('Cluster/Hosts/Schedulable', usable.length, 'Hosts that are ready and accept new pods'),
      cores('Cluster/Capacity/CPU', capacity.millicores, 'CPU of all hosts'),
      bytes('Cluster/Capacity/Memory', capacity.memory, 'Memory of all hosts'),
      count('Cluster/Capacity/Pods', capacity.pods, 'Pods that all hosts can run'),
      bytes('Cluster/Capacity/Ephemeral Storage', capacity.ephemeralStorage, 'Disk of all hosts for images, logs and scratch data'),
      cores('Cluster/Allocatable/CPU', allocatable.millicores, 'CPU that pods may request on the schedulable hosts'),
      bytes('Cluster/Allocatable/Memory', allocatable.memory, 'Memory that pods may request there'),
      count('Cluster/Allocatable/Pods', allocatable.pods, 'Pods that may be placed there'),
    ]),
    ...from('pods', [
      asRequested(cores('Cluster/Requested/CPU', requested.millicores, 'CPU that all placed pods request')),
      asRequested(bytes('Cluster/Requested/Memory', requested.memory, 'Memory that all placed pods request')),
      asRequested(count('Cluster/Requested/Pods', requested.pods, 'Placed pods that have not ended')),
      count('Cluster/Requested/Unplaced Pods', totals.unplaced, 'Pods that wait for a host'),
    ]),
    ...from('projects', [
      count('Cluster/Projects/Total', projects.length, 'Projects'),
      count('Cluster/Projects/Ready', projects.filter(({ ready }) => ready).length, 'Projects that are ready'),
      ...deletedMetrics(projects),
    ]),
    ...from('databases', [
      count('Cluster/Databases/Total', databases.length, 'Databases'),
      count('Cluster/Databases/Healthy', databases.filter(({ health }) => health === 'GREEN').length, 'Databases whose health is GREEN'),
      count('Cluster/Databases/Suspended', databases.filter(({ suspended }) => suspended).length, 'Databases that are suspended'),
      bytes('Cluster/Databases/Disk Size', diskSize, 'Size of the data volumes of all databases, as specified'),
    ]),
    ...from('deployments', [
      count('Cluster/Components/Total', found.length, 'Components that are installed'),
      count('Cluster/Components/Ready', found.filter(isReady).length, 'Components that are ready'),
    ]),
  ]
}

/** As their projects tell. */
function deletedMetrics(projects: readonly ProjectView[]): SparkplugMetric[] {
  const kept = projects.flatMap(({ retained }) => retained ?? [])
  const sum = (of: (each: (typeof kept)[number]) => number) => kept.reduce((total, each) => total + of(each), 0)
  const [next] = kept.flatMap(({ nextExpiry }) => nextExpiry ?? []).sort((a, b) => a - b)
  return [
    count(
      'Cluster/Deleted Databases/Kept',
      sum(({ databases }) => databases),
      'Deleted databases of the projects that can be had back',
    ),
    bytes(
      'Cluster/Deleted Databases/Disk Size',
      sum((each) => each.bytes),
      'Size of their data volumes',
    ),
    moment('Cluster/Deleted Databases/Next Expiry', next, 'When the data of the next one is deleted; null if none has a date'),
  ]
}

/** An estimate moves all the time; less than this many milliseconds is no change. */
const clockDeadband = 250

function clockMetrics({ apiServer, steps }: OwnClock): SparkplugMetric[] {
  const offset = apiServer()
  const ms = (name: string, value: number | undefined, description: string): SparkplugMetric => ({
    name,
    datatype: 'Int64',
    unit: 'ms',
    value: value ?? null,
    deadband: clockDeadband,
    description,
  })
  return [
    ...(offset === null
      ? []
      : [
          ms(
            'Clock/Offset',
            offset?.offsetMs,
            'How far the clock of the API server is ahead of that of the host, whose time all metrics have',
          ),
          ms('Clock/Uncertainty', offset?.uncertaintyMs, 'By how much that may be wrong'),
        ]),
    count('Clock/Steps', steps.count, 'How often the clock of the host was set since the start of the monitor'),
    ms('Clock/Last Step', steps.last?.byMs, 'By how much it was set the last time, forward if positive'),
  ]
}

function sumOf(all: readonly HostAmounts[]): HostAmounts {
  const sum = (of: (amounts: HostAmounts) => number) => all.reduce((total, each) => total + of(each), 0)
  return {
    millicores: sum(({ millicores }) => millicores),
    memory: sum(({ memory }) => memory),
    pods: sum(({ pods }) => pods),
    ephemeralStorage: sum(({ ephemeralStorage }) => ephemeralStorage),
  }
}

function watchedMetrics(watched: Pick<WatchedNodes, 'keys' | 'state'>): SparkplugMetric[] {
  const keys = watched.keys()
  const offline = keys.filter((key) => watched.state(key)?.liveness === 'offline')
  return [
    count('Cluster/Watched Nodes/Total', keys.length, 'Watched edge nodes'),
    count('Cluster/Watched Nodes/Offline', offline.length, 'Watched edge nodes that are offline'),
  ]
}
