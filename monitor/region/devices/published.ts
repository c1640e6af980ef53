import type { Log } from '../../../shared/log.ts'
import type { EdgeNode } from '../../sparkplug/edge-node.ts'
import { quality } from '../../sparkplug/payload.ts'
import { deviceId } from '../../sparkplug/topics.ts'
import type { SparkplugMetric } from '../../sparkplug/tracked-metric.ts'
import type { DeviceFamily, Source } from './family.ts'

/** What changed of a device: some parts, or all of it. */
type Change = Set<string> | 'all'

type DeviceSink = Pick<EdgeNode, 'setDevice' | 'removeDevice' | 'update' | 'setQuality'>

/** The devices of one family, as they are published: which there are, which changed since, and whether they are stale. */
export class PublishedDevices {
  readonly #family: DeviceFamily
  readonly #edgeNode: DeviceSink
  readonly #log: Log
  readonly #published = new Set<string>()
  readonly #changed = new Map<string, Change>()
  #isStale = false

  constructor(family: DeviceFamily, { edgeNode, log }: { edgeNode: DeviceSink; log: Log }) {
    this.#family = family
    this.#edgeNode = edgeNode
    this.#log = log
  }

  /** Publishes all devices that there are, and from now on notes which of them change. @returns how to end that */
  start(stale: ReadonlySet<Source>, onChange: () => void): () => void {
    this.#isStale = this.#staleSources(stale).length > 0
    for (const key of this.#family.keys()) this.#publish(key, 'all')
    return this.#family.follow((key, part) => {
      this.#note(key, part)
      onChange()
    })
  }

  get hasChanges(): boolean {
    return this.#changed.size > 0
  }

  /** Publishes the devices that changed, one for each step. */
  *publishChanges(): Generator<void> {
    for (const [key, change] of this.#changed) {
      this.#changed.delete(key)
      this.#publish(key, change)
      yield
    }
  }

  /** Changes the quality of all devices when a source of theirs breaks, or when all are back. */
  setQuality(stale: ReadonlySet<Source>): void {
    const sources = this.#staleSources(stale)
    const isStale = sources.length > 0
    if (isStale === this.#isStale) return
    this.#isStale = isStale
    if (isStale) this.#log.warn({ devices: this.#family.kind, sources }, 'devices are stale')
    else this.#log.info({ devices: this.#family.kind }, 'devices are current again')
    for (const id of this.#published) this.#edgeNode.setQuality(id, this.#quality)
  }

  get #quality() {
    return this.#isStale ? quality.stale : quality.good
  }

  #staleSources(stale: ReadonlySet<Source>): Source[] {
    return this.#family.sources.filter((source) => stale.has(source))
  }

  #note(key: string, part: string | undefined): void {
    const known = this.#changed.get(key)
    if (part === undefined || known === 'all') this.#changed.set(key, 'all')
    else if (known) known.add(part)
    else this.#changed.set(key, new Set([part]))
  }

  #publish(key: string, change: Change): void {
    const id = deviceId(this.#family.kind, key)
    try {
      if (change !== 'all' && this.#published.has(id) && this.#family.part !== undefined) {
        for (const part of change) this.#update(id, this.#family.part(key, part))
      } else this.#set(id, this.#family.metrics(key))
    } catch (error) {
      this.#log.error({ err: error, device: id }, 'a device cannot be published as it is')
    }
  }

  #update(id: string, metrics: readonly SparkplugMetric[]): void {
    this.#edgeNode.update(
      id,
      metrics.map(({ name, value }) => ({ name, value, quality: this.#quality })),
    )
  }

  #set(id: string, metrics: readonly SparkplugMetric[] | undefined): void {
    if (metrics !== undefined) {
      this.#edgeNode.setDevice(
        id,
        metrics.map((metric) => ({ ...metric, quality: this.#quality })),
      )
      this.#published.add(id)
    } else if (this.#published.delete(id)) this.#edgeNode.removeDevice(id)
  }
}
