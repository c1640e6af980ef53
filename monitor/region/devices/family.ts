import type { SparkplugMetric } from '../../sparkplug/tracked-metric.ts'
import type { Collection } from '../caches.ts'

/** What devices are made from. When it cannot be read, they are stale. */
export type Source = Collection | 'prober'

/** Devices of one kind. */
export type DeviceFamily = {
  /** The first half of their ids: `deviceId(kind, key)`. */
  kind: string
  /** All that their values depend on. */
  sources: readonly Source[]
  /** The devices that there are. */
  keys(): Iterable<string>
  /** A device with all its metrics; undefined when there is no such thing (any more). */
  metrics(key: string): SparkplugMetric[] | undefined
  /** Some metrics of a device that has many: those of a part that `follow` told of, and what depends on them. */
  part?(key: string, part: string): SparkplugMetric[]
  /**
   * Tells which device may have changed from now on, and which part of it if that is known. It may be told too much.
   * @returns how to end that
   */
  follow(touch: (key: string, part?: string) => void): () => void
}
