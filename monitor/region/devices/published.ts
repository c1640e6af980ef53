import type { Log } from '../../../shared/log.ts'
import type { EdgeNode } from '../../sparkplug/edge-node.ts'
import { quality } from '../../sparkplug/payload.ts'
import type { SparkplugMetric } from '../../sparkplug/tracked-metric.ts'
import type { DeviceFamily, Source } from './family.ts'

/** What changed of a device: some parts, or all of it. */
type Change = Set<string> | 'all'

type DeviceSink = Pick<EdgeNode, 'deviceId' | 'setDevice' | 'removeDevice' | 'update' | 'setQuality'>

/** What `createPublishedDevices` returns. */
export type PublishedDevices = ReturnType<typeof createPublishedDevices>

/** The published devices of one family: which ones exist, which have changed, and whether they are stale. */
export function createPublishedDevices(family: DeviceFamily, { edgeNode, log }: { edgeNode: DeviceSink; log: Log }) {
  const published = new Set<string>()
  const changed = new Map<string, Change>()
  let isStale = false
  const withQuality = <M extends object>(metric: M) => ({ ...metric, quality: isStale ? quality.stale : quality.good })
  const staleSources = (stale: ReadonlySet<Source>) => family.sources.filter((source) => stale.has(source))

  function note(key: string, part: string | undefined): void {
    const known = changed.get(key)
    if (part === undefined || known === 'all') changed.set(key, 'all')
    else if (known) known.add(part)
    else changed.set(key, new Set([part]))
  }

  function publish(key: string, change: Change): void {
    const id = edgeNode.deviceId(family.kind, key)
    try {
      if (change === 'all' || !published.has(id) || family.part === undefined) set(id, family.metrics(key))
      else {
        for (const part of change) {
          const samples = family.part(key, part).map(({ name, value }) => withQuality({ name, value }))
          edgeNode.update(id, samples)
        }
      }
    } catch (error) {
      log.error({ err: error, device: id }, 'a device cannot be published as it is')
    }
  }

  function set(id: string, metrics: readonly SparkplugMetric[] | undefined): void {
    if (metrics !== undefined) {
      edgeNode.setDevice(id, metrics.map(withQuality))
      published.add(id)
    } else if (published.delete(id)) edgeNode.removeDevice(id)
  }

  return {
    hasChanges: () => changed.size > 0,
    /** Publishes all devices, and from now on notes which of them change. @returns a function that ends that */
    start(stale: ReadonlySet<Source>, onChange: () => void): () => void {
      isStale = staleSources(stale).length > 0
      for (const key of family.keys()) publish(key, 'all')
      return family.follow((key, part) => {
        note(key, part)
        onChange()
      })
    },
    /** Publishes the devices that changed, one for each step. */
    *publishChanges(): Generator<void> {
      for (const [key, change] of changed) {
        changed.delete(key)
        publish(key, change)
        yield
      }
    },
    /** Changes the quality of all devices when a source of theirs breaks, or when all sources are back. */
    setQuality(stale: ReadonlySet<Source>): void {
      const sources = staleSources(stale)
      if (sources.length > 0 === isStale) return
      isStale = !isStale
      if (isStale) log.warn({ devices: family.kind, sources }, 'devices are stale')
      else log.info({ devices: family.kind }, 'devices are current again')
      for (const id of published) edgeNode.setQuality(id, isStale ? quality.stale : quality.good)
    },
  }
}
