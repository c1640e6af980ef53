import type { Prober } from '../../prober/check.ts'
import { quality } from '../../sparkplug/payload.ts'
import type { SparkplugMetric } from '../../sparkplug/tracked-metric.ts'
import type { WatchedNodes } from '../../sparkplug/watched-nodes.ts'
import { isKnown, type MonitorCaches } from '../caches.ts'
import type { ComponentConfig } from '../config.ts'
import type { PodTotals } from '../pod-totals.ts'
import { summaryMetrics } from './checks.ts'
import { componentsOf, isReady } from './component.ts'
import type { Source } from './family.ts'
import { bytes, cores, count, text } from './metrics.ts'

/** What the process knows of itself. */
export type RegionFacts = {
  /** Skerry's own. */
  version: string
  /** What the cloud calls this region. */
  region?: string | undefined
}

/** What the metrics of the edge node itself are made from. Without a cluster there are no caches. */
export type NodeParts = {
  caches?: MonitorCaches | undefined
  totals?: PodTotals | undefined
  components: readonly ComponentConfig[]
  prober: Pick<Prober, 'statuses'>
  watched?: Pick<WatchedNodes, 'keys' | 'state'> | undefined
  facts: RegionFacts
}

/**
 * The metrics of the edge node: what the cluster is as a whole. Those whose source cannot be read are stale, and null if it never could:
 * a cluster that was not seen yet is not one without hosts.
 */
export function nodeMetrics(parts: NodeParts, isStale: (source: Source) => boolean): SparkplugMetric[] {
  const { caches, totals, components, prober, watched, facts } = parts
  const from: From = (source, metrics) => {
    if (!isStale(source)) return metrics
    const wasKnown = source === 'prober' || caches === undefined || isKnown(caches[source])
    return metrics.map((metric) => ({ ...metric, ...(!wasKnown && { value: null }), quality: quality.stale }))
  }
  return [
    text('Properties/Skerry Version', facts.version, 'Version of the monitor'),
    text('Properties/Region', facts.region, 'Id of the region'),
    ...(caches && totals ? [...from('hosts', propertiesOf(caches)), ...clusterMetrics(caches, totals, components, from)] : []),
    ...from('prober', summaryMetrics(prober.statuses(), 'Cluster/Checks')),
    ...(watched ? watchedMetrics(watched) : []),
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

type From = (source: Source, metrics: SparkplugMetric[]) => SparkplugMetric[]

function clusterMetrics(caches: MonitorCaches, totals: PodTotals, components: readonly ComponentConfig[], from: From): SparkplugMetric[] {
  const hosts = [...caches.hosts.values()]
  const sum = <T>(all: Iterable<T>, of: (each: T) => number) => [...all].reduce((total, each) => total + of(each), 0)
  const usable = hosts.filter(({ ready, schedulable }) => ready && schedulable)
  const used = totals.requested()
  const databases = [...caches.databases.values()]
  const found = [...componentsOf(caches, components).values()]
  const counted = (all: readonly unknown[]) => all.length
  return [
    ...from('hosts', [
      count('Cluster/Hosts/Total', hosts.length, 'Hosts'),
      count('Cluster/Hosts/Ready', counted(hosts.filter(({ ready }) => ready)), 'Hosts that are ready'),
      count('Cluster/Hosts/Schedulable', usable.length, 'Hosts that are ready and take new pods'),
      cores(
        'Cluster/Capacity/CPU',
        sum(hosts, ({ capacity }) => capacity.millicores),
        'Processor that all hosts have',
      ),
      bytes(
        'Cluster/Capacity/Memory',
        sum(hosts, ({ capacity }) => capacity.memory),
        'Memory that all hosts have',
      ),
      count(
        'Cluster/Capacity/Pods',
        sum(hosts, ({ capacity }) => capacity.pods),
        'Pods that all hosts take',
      ),
      bytes(
        'Cluster/Capacity/Ephemeral Storage',
        sum(hosts, ({ capacity }) => capacity.ephemeralStorage),
        'Disk of all hosts for images, logs and scratch data',
      ),
      cores(
        'Cluster/Allocatable/CPU',
        sum(usable, ({ allocatable }) => allocatable.millicores),
        'Processor that pods may ask for on the hosts that are ready and take new pods',
      ),
      bytes(
        'Cluster/Allocatable/Memory',
        sum(usable, ({ allocatable }) => allocatable.memory),
        'Memory that pods may ask for there',
      ),
      count(
        'Cluster/Allocatable/Pods',
        sum(usable, ({ allocatable }) => allocatable.pods),
        'Pods that may be placed there',
      ),
    ]),
    ...from('pods', [
      cores('Cluster/Requested/CPU', used.millicores, 'Processor that all placed pods ask for'),
      bytes('Cluster/Requested/Memory', used.memory, 'Memory that all placed pods ask for'),
      count('Cluster/Requested/Pods', used.pods, 'Placed pods that have not ended'),
      count('Cluster/Requested/Unplaced Pods', totals.unplaced, 'Pods that wait for a host'),
    ]),
    ...from('projects', [
      count('Cluster/Projects/Total', caches.projects.size, 'Projects'),
      count('Cluster/Projects/Ready', counted([...caches.projects.values()].filter(({ ready }) => ready)), 'Projects that are ready'),
    ]),
    ...from('databases', [
      count('Cluster/Databases/Total', databases.length, 'Databases'),
      count('Cluster/Databases/Healthy', counted(databases.filter(({ health }) => health === 'GREEN')), 'Databases whose health is GREEN'),
      count('Cluster/Databases/Suspended', counted(databases.filter(({ suspended }) => suspended)), 'Databases that are suspended'),
      bytes(
        'Cluster/Databases/Disk Size',
        sum(databases, ({ disks }) => disks?.bytes ?? 0),
        'Size of the data volumes of all databases, as specified',
      ),
    ]),
    ...from('deployments', [
      count('Cluster/Components/Total', found.length, 'Components that are installed'),
      count('Cluster/Components/Ready', counted(found.filter(isReady)), 'Components that are ready'),
    ]),
  ]
}

function watchedMetrics(watched: Pick<WatchedNodes, 'keys' | 'state'>): SparkplugMetric[] {
  const keys = watched.keys()
  const offline = keys.filter((key) => watched.state(key)?.liveness === 'offline')
  return [
    count('Cluster/Watched Nodes/Total', keys.length, 'Watched edge nodes'),
    count('Cluster/Watched Nodes/Offline', offline.length, 'Watched edge nodes that are offline'),
  ]
}
