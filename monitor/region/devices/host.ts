import type { SparkplugMetric } from '../../sparkplug/tracked-metric.ts'
import type { MonitorCaches } from '../caches.ts'
import type { PodTotals } from '../pod-totals.ts'
import type { Amounts, HostView } from '../views.ts'
import type { DeviceFamily } from './family.ts'
import { bytes, cores, count, flag, moment, requested, text } from './metrics.ts'

/** Conditions that every host has. There may be others, such as those of a node problem detector. */
const usualConditions: Record<string, string> = {
  MemoryPressure: 'It is short of memory',
  DiskPressure: 'Its disks are nearly full',
  PIDPressure: 'It has too many processes',
  NetworkUnavailable: 'Its network is not set up',
}

/** The metrics of one host. `used`: the requests of the pods on it. */
export function hostMetrics(host: HostView, used: Amounts & { pods: number }): SparkplugMetric[] {
  const { capacity, allocatable } = host
  const conditions = { ...Object.fromEntries(Object.keys(usualConditions).map((type) => [type, null])), ...host.conditions }
  return [
    flag('Ready', host.ready, 'The kubelet reports that the host is ready, and the report is recent'),
    moment('Ready Since', host.readySince, 'Time of the last change of Ready'),
    flag('Schedulable', host.schedulable, 'New pods may be placed on it: it is neither cordoned nor being removed'),
    ...Object.entries(conditions).map(([type, value]) =>
      flag(`Conditions/${type}`, value, usualConditions[type] ?? 'A condition that something in the cluster reports'),
    ),
    cores('Capacity/CPU', capacity.millicores, 'CPU of the host'),
    bytes('Capacity/Memory', capacity.memory, 'Memory of the host'),
    count('Capacity/Pods', capacity.pods, 'Pods that it can run'),
    bytes('Capacity/Ephemeral Storage', capacity.ephemeralStorage, 'Disk for images, logs and scratch data'),
    cores('Allocatable/CPU', allocatable.millicores, 'CPU that pods may request'),
    bytes('Allocatable/Memory', allocatable.memory, 'Memory that pods may request'),
    count('Allocatable/Pods', allocatable.pods, 'Pods that may be placed on it'),
    bytes('Allocatable/Ephemeral Storage', allocatable.ephemeralStorage, 'Disk that pods may request'),
    ...[
      cores('Requested/CPU', used.millicores, 'CPU that the pods on it request', allocatable.millicores),
      bytes('Requested/Memory', used.memory, 'Memory that the pods on it request', allocatable.memory),
      count('Requested/Pods', used.pods, 'Pods on it that have not ended', allocatable.pods),
    ].map(requested),
    // Never null: it is known that there are none.
    { ...text('Taints', null, 'What keeps pods off it: key=value:effect, separated by commas'), value: host.taints },
    text('Properties/Role', host.controlPlane ? 'control-plane' : 'worker', 'control-plane or worker'),
    text('Properties/Address', host.address, 'Its internal address'),
    text('Properties/Kubelet Version', host.kubeletVersion, 'Version of its kubelet'),
    text('Properties/Architecture', host.architecture, 'Its CPU architecture'),
    text('Properties/Operating System', host.operatingSystem, 'linux or windows'),
    text('Properties/OS Image', host.osImage, 'Its operating system distribution'),
    text('Properties/Kernel Version', host.kernel, 'Version of its kernel'),
    text('Properties/Container Runtime', host.containerRuntime, 'Its container runtime and version'),
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
