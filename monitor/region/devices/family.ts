import type { SparkplugMetric } from '../../sparkplug/tracked-metric.ts'
import type { Collection } from '../caches.ts'

/** A source that devices are made from. When it cannot be read, they are stale. */
export type Source = Collection | 'prober'

/** Devices of one kind. */
export type DeviceFamily = {
  /** The first half of their ids: the edge node's `deviceId(kind, key)`. */
  kind: string
  /** Everything that their values depend on. */
  sources: readonly Source[]
  /** The keys of all devices. */
  keys(): Iterable<string>
  /** All metrics of a device; undefined when the device does not exist, or no longer does. */
  metrics(key: string): SparkplugMetric[] | undefined
  /** Some metrics of a device that has many: those of one part, and those that depend on it. */
  part?(key: string, part: string): SparkplugMetric[]
  /**
   * Calls `touch` with each device that may have changed, and with the part of it if that is known. One call too many does no harm.
   * @returns how to end that
   */
  follow(touch: (key: string, part?: string) => void): () => void
}
