import type { SparkplugMetric } from '../../sparkplug/tracked-metric.ts'
import type { MonitorCaches } from '../caches.ts'
import type { PodTotals } from '../pod-totals.ts'
import type { Amounts, HostView } from '../views.ts'
import type { DeviceFamily } from './family.ts'
import { bytes, cores, count, flag, moment, text } from './metrics.ts'

/** Conditions that every host has; others, such as those of a node problem detector, come beside them. */
const usualConditions: Record<string, string> = {
  MemoryPressure: 'It runs short of memory',
  DiskPressure: 'Its disks are nearly full',
  PIDPressure: 'It has too many processes',
  NetworkUnavailable: 'Its network is not set up',
}

/** The metrics of one host. `used` is what the pods on it ask for. */
export function hostMetrics(host: HostView, used: Amounts & { pods: number }): SparkplugMetric[] {
  const { capacity, allocatable } = host
  const conditions = { ...Object.fromEntries(Object.keys(usualConditions).map((type) => [type, null])), ...host.conditions }
  return [
    flag('Ready', host.ready, 'The kubelet says that it is ready, and is heard'),
    moment('Ready Since', host.readySince, 'When that changed last'),
    flag('Schedulable', host.schedulable, 'New pods may be placed on it: it is neither cordoned nor about to go'),
    ...Object.entries(conditions).map(([type, value]) =>
      flag(`Conditions/${type}`, value, usualConditions[type] ?? 'A condition that something in the cluster reports'),
    ),
    cores('Capacity/CPU', capacity.millicores, 'Processor that it has'),
    bytes('Capacity/Memory', capacity.memory, 'Memory that it has'),
    count('Capacity/Pods', capacity.pods, 'Pods that it takes'),
    bytes('Capacity/Ephemeral Storage', capacity.ephemeralStorage, 'Disk for images, logs and scratch data'),
    cores('Allocatable/CPU', allocatable.millicores, 'Processor that pods may ask for'),
    bytes('Allocatable/Memory', allocatable.memory, 'Memory that pods may ask for'),
    count('Allocatable/Pods', allocatable.pods, 'Pods that may be placed on it'),
    bytes('Allocatable/Ephemeral Storage', allocatable.ephemeralStorage, 'Disk that pods may ask for'),
    cores('Requested/CPU', used.millicores, 'Processor that the pods on it ask for', allocatable.millicores),
    bytes('Requested/Memory', used.memory, 'Memory that the pods on it ask for', allocatable.memory),
    count('Requested/Pods', used.pods, 'Pods on it that have not ended', allocatable.pods),
    // That there are none is known, so this is never null.
    { ...text('Taints', null, 'What keeps pods off it: key=value:effect, separated by commas'), value: host.taints },
    text('Properties/Role', host.controlPlane ? 'control-plane' : 'worker', 'control-plane or worker'),
    text('Properties/Address', host.address, 'Its internal address'),
    text('Properties/Kubelet Version', host.kubeletVersion, 'Version of its kubelet'),
    text('Properties/Architecture', host.architecture, 'Architecture of its processor'),
    text('Properties/Operating System', host.operatingSystem, 'linux or windows'),
    text('Properties/OS Image', host.osImage, 'Its distribution'),
    text('Properties/Kernel Version', host.kernel, 'Its kernel'),
    text('Properties/Container Runtime', host.containerRuntime, 'What runs its containers'),
  ]
}

/** One device for each host, by the name of its node. */
export function hostDevices({ hosts }: Pick<MonitorCaches, 'hosts'>, totals: PodTotals): DeviceFamily {
  return {
    kind: 'host',
    sources: ['hosts', 'pods'],
    *keys() {
      for (const { metadata } of hosts.values()) yield metadata.name
    },
    metrics(name) {
      const host = hosts.get(name)
      return host && hostMetrics(host, totals.requested(name))
    },
    follow(touch) {
      const forget = [
        hosts.subscribe(({ key }) => touch(key)),
        totals.subscribe((change) => {
          for (const host of change.hosts) touch(host)
        }),
      ]
      return () => {
        for (const end of forget) end()
      }
    },
  }
}
