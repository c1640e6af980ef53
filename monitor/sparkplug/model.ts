import type { Clock } from '../../shared/clock.ts'
import type { LinkProfile } from '../../shared/link/index.ts'
import type { Log } from '../../shared/log.ts'
import type { ChangeBuffer } from './buffer.ts'
import type { SparkplugCounters } from './counters.ts'
import { Departed } from './departed.ts'
import { createNames, type Names, type Naming } from './names.ts'
import type { Quality } from './payload.ts'
import { createQuietLog, type QuietLog } from './quiet-log.ts'
import { Recorder, type RecorderSettings } from './recorder.ts'
import { idFault } from './topics.ts'
import {
  isSameDefinition,
  metricFault,
  newOwner,
  type Owner,
  type Sample,
  type SparkplugMetric,
  sampleFault,
  type TrackedMetric,
  trackedMetric,
} from './tracked-metric.ts'

/** The input of the edge node: everything that it publishes. The device `undefined` is the node itself. */
export type EdgeNodeModel = {
  /** The id of the device of a thing, by the kind and the name of the thing; the node decides how it is written. */
  deviceId(kind: string, name: string): string
  /**
   * Sets the metrics of the node itself. A change of the set is a rebirth.
   * @throws TypeError when a metric does not fit its type, or has a name that the node keeps for itself
   */
  setNode(metrics: readonly SparkplugMetric[]): void
  /**
   * Sets all metrics of a device: a DBIRTH when the device is new or its set of metrics changed; else its values are updated.
   * `deviceId` makes the id.
   * @throws TypeError when the id is not legal in a topic, or a metric does not fit its type
   */
  setDevice(id: string, metrics: readonly SparkplugMetric[]): void
  /** The device is gone: DDEATH. A device that does not exist is not an error. */
  removeDevice(id: string): void
  /** New values. A sample that does not fit its metric's type, or names no metric, is dropped, counted, and logged now and then. */
  update(id: string | undefined, samples: readonly Sample[]): void
  /** Gives all metrics of a device another quality: stale when their source cannot be read. The values stay. */
  setQuality(id: string | undefined, quality: Quality): void
}

/** How a session follows the model. */
type ModelListener = {
  /** The set of metrics of an owner is about to change. */
  reshaping(): void
  /** The set of metrics of an owner has changed. */
  reshaped(owner: Owner): void
  /** A device goes. `isRemembered`: it may stay born until the rest of its changes is sent. */
  removed(owner: Owner, isRemembered: boolean): void
  /** There may be something new in the buffer. */
  changed(): void
}

type ModelSettings = RecorderSettings & {
  hasAliases: boolean
  names: Naming
  /** Whether births say what each metric means. */
  hasDocumentation: boolean
}

type ModelParts = { buffer: ChangeBuffer; counters: SparkplugCounters; profile?: (() => LinkProfile) | undefined; clock: Clock; log: Log }

/** The model of the node. Aliases, if wanted, are unique over the node and all its devices [tck-id-payloads-alias-uniqueness]. */
export class TrackedModel implements EdgeNodeModel {
  readonly node: Owner = newOwner(undefined)
  readonly devices = new Map<string, Owner>()
  /** Devices that are gone, with changes that are not sent yet, or not proven to be read. */
  readonly departed: Departed
  /** Notified of every change: the session, of which there is one at a time. */
  listener: ModelListener | undefined
  readonly recorder: Recorder
  readonly #settings: ModelSettings
  readonly #names: Names
  readonly #parts: ModelParts
  readonly #warn: QuietLog
  /** Ids of devices by their lower-case form. */
  readonly #lowerCaseIds = new Map<string, string>()
  #nextAlias = 1

  constructor(settings: ModelSettings, parts: ModelParts) {
    this.recorder = new Recorder(settings, parts)
    this.departed = new Departed(parts.buffer)
    this.#settings = settings
    this.#names = createNames(settings.names)
    this.#parts = parts
    this.#warn = createQuietLog(parts)
  }

  deviceId(kind: string, name: string): string {
    return this.#names.device(kind, name)
  }

  setNode(metrics: readonly SparkplugMetric[]): void {
    if (this.#set(this.node, metrics)) this.listener?.reshaped(this.node)
    this.listener?.changed()
  }

  setDevice(id: string, metrics: readonly SparkplugMetric[]): void {
    const fault = idFault(id)
    if (fault !== undefined) throw new TypeError(`device id ${JSON.stringify(id)} ${fault}`)
    const lower = id.toLowerCase()
    const twin = this.#lowerCaseIds.get(lower)
    // [tck-id-case-sensitivity-sparkplug-ids]
    if (twin !== undefined && twin !== id) this.#warn('case-device', { device: id, other: twin }, 'two devices differ only by letter case')
    const known = this.devices.get(id)
    const owner = known ?? { ...newOwner(id), lastIndex: this.departed.takeBack(id) }
    const isReshaped = this.#set(owner, metrics)
    this.#lowerCaseIds.set(lower, id)
    this.devices.set(id, owner)
    if (known === undefined || isReshaped) this.listener?.reshaped(owner)
    this.listener?.changed()
  }

  removeDevice(id: string): void {
    const owner = this.devices.get(id)
    if (owner === undefined) return
    // First of all, so that what the device reported last is sent before its death.
    const isRemembered = this.departed.has(owner)
    this.listener?.removed(owner, isRemembered)
    this.devices.delete(id)
    if (isRemembered) this.departed.add(owner)
    else owner.bornAt = undefined
    if (this.#lowerCaseIds.get(id.toLowerCase()) === id) this.#lowerCaseIds.delete(id.toLowerCase())
  }

  /** The node, a device, or a device that is gone and whose changes are still to be sent. */
  ownerOf(id: string | undefined): Owner | undefined {
    return this.#find(id) ?? this.departed.get(id as string)
  }

  update(id: string | undefined, samples: readonly Sample[]): void {
    const owner = this.#find(id)
    for (const given of samples) {
      const sample = this.#named(given)
      const metric = owner?.metrics.get(sample.name)
      const fault = metric === undefined ? 'unknown' : sampleFault(metric.datatype, sample)
      if (owner === undefined || metric === undefined || fault !== undefined) {
        this.#parts.counters.refusedSamples++
        this.#warn('sample', { device: id, metric: sample.name, fault }, 'sample refused')
      } else this.recorder.take(owner, metric, sample)
    }
    this.listener?.changed()
  }

  setQuality(id: string | undefined, quality: Quality): void {
    const owner = this.#find(id)
    if (owner === undefined) return
    const now = this.#parts.clock.now()
    for (const metric of owner.metrics.values()) {
      const timestamp = Math.max(now, metric.timestamp)
      if (metric.quality !== quality) this.recorder.take(owner, metric, { ...metric, timestamp, quality })
    }
    this.listener?.changed()
  }

  #find(id: string | undefined): Owner | undefined {
    return id === undefined ? this.node : this.devices.get(id)
  }

  /** Inside the model, metrics have the names that they have on the wire. */
  #named<T extends { name: string }>(given: T): T {
    const name = this.#names.metric(given.name)
    return name === given.name ? given : { ...given, name }
  }

  /** As it is published: with the names of the wire, and with its meaning if births have that. */
  #written(metric: SparkplugMetric): SparkplugMetric {
    const { goesWith, description, ...named } = this.#named(metric)
    return {
      ...named,
      ...(goesWith !== undefined && { goesWith: goesWith.map((name) => this.#names.metric(name)) }),
      ...(description !== undefined && this.#settings.hasDocumentation && { description }),
    }
  }

  /** @returns whether the set of metrics changed */
  #set(owner: Owner, described: readonly SparkplugMetric[]): boolean {
    const given = described.map((metric) => this.#written(metric))
    const before = owner.metrics
    const after = this.#track(owner, given)
    const isReshaped = before.size !== after.size || [...after].some(([name, metric]) => before.get(name) !== metric)
    // All metrics are valid, and nothing has changed yet: the last reports of removed metrics are sent while these are still born.
    if (isReshaped && before.size > 0) this.listener?.reshaping()
    owner.metrics = after
    for (const metric of given) {
      const tracked = after.get(metric.name) as TrackedMetric
      if (before.get(metric.name) !== tracked) {
        // A first value that never went out in a birth would be missing from the history.
        if (tracked.value !== null) this.recorder.record(owner, tracked)
      } else if (metric.timestamp === undefined || metric.timestamp >= tracked.timestamp) {
        // The same description with an older time is not a late value: it says nothing new.
        this.recorder.take(owner, tracked, metric)
      }
    }
    return isReshaped
  }

  /** The metrics as described: those that are known with the same definition, and new ones. @throws TypeError when one is illegal */
  #track({ id, metrics: before }: Owner, given: readonly SparkplugMetric[]): Map<string, TrackedMetric> {
    const after = new Map<string, TrackedMetric>()
    const lowerCaseNames = new Set<string>()
    for (const metric of given) {
      const { name } = metric
      const fault = metricFault(metric) ?? (after.has(name) ? 'occurs twice' : undefined)
      if (fault !== undefined) throw new TypeError(`metric ${name} of ${id ?? 'the node'} ${fault}`)
      const lower = name.toLowerCase()
      // [tck-id-case-sensitivity-metric-names]
      if (lowerCaseNames.has(lower)) this.#warn('case-metric', { device: id, metric: name }, 'two metrics differ only by letter case')
      lowerCaseNames.add(lower)
      const known = before.get(name)
      const alias = this.#settings.hasAliases ? (known?.alias ?? this.#nextAlias) : undefined
      if (alias === this.#nextAlias) this.#nextAlias++
      const isKnown = known !== undefined && isSameDefinition(known, metric)
      after.set(name, isKnown ? known : trackedMetric(metric, alias, this.#parts.clock))
    }
    return after
  }
}
