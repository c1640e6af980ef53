import type { Clock } from '../../shared/clock.ts'
import type { Log } from '../../shared/log.ts'
import type { ChangeBuffer } from './buffer.ts'
import { controls } from './commands.ts'
import type { SparkplugCounters } from './counters.ts'
import { type Datatype, fits, type MetricValue, same } from './datatypes.ts'
import { type Property, type Quality, quality } from './payload.ts'
import { createQuietLog, type QuietLog } from './quiet-log.ts'
import { isReportable } from './report.ts'
import { idFault } from './topics.ts'

/** A metric as whoever measures it describes it. */
export type SparkplugMetric = {
  name: string
  datatype: Datatype
  /** Null while it is unknown. */
  value: MetricValue | null
  /** Unix milliseconds at which the value was acquired; now when left out. */
  timestamp?: number
  /** Good when left out. */
  quality?: Quality
  /** Becomes `engUnit`. */
  unit?: string
  /** The least and the most it can be: `engLow` and `engHigh`. */
  low?: number
  high?: number
  description?: string
  /** Further properties. */
  properties?: Record<string, Property>
  /** A number that differs from the one reported last by no more than this is no change. */
  deadband?: number
  /** A historian should not keep it. */
  isTransient?: boolean
}

/** A new value of a metric that exists. */
export type Sample = { name: string; value: MetricValue | null; timestamp?: number; quality?: Quality }

/** What the edge node publishes, given to it by those who know. The node itself is `undefined` as a device. */
export type EdgeNodeModel = {
  /**
   * The metrics of the node itself. A change of the set is a rebirth.
   * @throws TypeError when a metric does not fit its type, or has a name that is the node's own
   */
  setNode(metrics: readonly SparkplugMetric[]): void
  /**
   * A device and all its metrics: a DBIRTH when it is new or when its set of metrics changed; else its values are updated.
   * `deviceId` of topics.ts makes the id.
   * @throws TypeError when the id is not legal in a topic, or a metric does not fit its type
   */
  setDevice(id: string, metrics: readonly SparkplugMetric[]): void
  /** The device is gone: DDEATH. One that is not there is no error. */
  removeDevice(id: string): void
  /** New values. What does not fit the metric's type, or names none, is dropped, counted, and warned of now and then. */
  update(id: string | undefined, samples: readonly Sample[]): void
  /** Gives all metrics of a device another quality: stale when their source cannot be read. Values stay. */
  setQuality(id: string | undefined, quality: Quality): void
}

/** A metric as it is kept. */
export type TrackedMetric = {
  readonly name: string
  readonly alias: number | undefined
  readonly datatype: Datatype
  readonly isTransient: boolean
  readonly properties: Record<string, Property> | undefined
  readonly deadband: number | undefined
  value: MetricValue | null
  timestamp: number
  quality: Quality
  /** What was put into the buffer last, and the monotonic time of that. */
  reported: { value: MetricValue | null; quality: Quality; timestamp: number; at: number }
  /** Where in the buffer that stands; -1 if it was not kept. */
  changeIndex: number
  /** The change that the birth of the present connection carried. It need not be sent again. */
  carriedIndex: number
}

/** The node (id undefined) or a device, with the metrics that it has now. */
export type Owner = {
  readonly id: string | undefined
  metrics: Map<string, TrackedMetric>
  /** End of the buffer when it was last born on the present connection: changes before that are history. Undefined: not born. */
  bornAt: number | undefined
}

/** The model, and what a session needs of it. */
export type TrackedModel = EdgeNodeModel & {
  readonly node: Owner
  readonly devices: ReadonlyMap<string, Owner>
  /** Told after each change; one listener at a time, the session. */
  listener: ModelListener | undefined
  /** While false, changes are not kept: another replica publishes them. */
  isRecording: boolean
}

/** What a session hears of the model. */
export type ModelListener = {
  /** The set of metrics of an owner is about to become another one. */
  reshaping(): void
  /** The set of metrics of an owner is another one. */
  reshaped(owner: Owner): void
  removed(owner: Owner): void
  /** There is something new in the buffer. */
  changed(): void
}

/** A model without devices. Aliases, if asked for, are unique over the node and all its devices [tck-id-payloads-alias-uniqueness]. */
export function createModel(
  { maxSilenceMs, hasAliases }: { maxSilenceMs: number; hasAliases: boolean },
  { buffer, counters, clock, log }: { buffer: ChangeBuffer; counters: SparkplugCounters; clock: Clock; log: Log },
): TrackedModel {
  const node: Owner = { id: undefined, metrics: new Map(), bornAt: undefined }
  const devices = new Map<string, Owner>()
  const lowerCaseIds = new Map<string, string>()
  const warn: QuietLog = createQuietLog({ log, clock })
  let nextAlias = 1

  /** Puts the present value of a metric into the buffer. */
  function record(owner: Owner, metric: TrackedMetric): void {
    const { name, value, timestamp, quality: code } = metric
    metric.reported = { value, quality: code, timestamp, at: clock.monotonic() }
    metric.changeIndex = -1
    if (!model.isRecording) return
    metric.changeIndex = buffer.append({ device: owner.id, name, value, timestamp, quality: code })
    count()
  }

  function count(): void {
    counters.buffer.length = buffer.end - buffer.start
    counters.buffer.dropped = buffer.dropped
  }

  function set(owner: Owner, given: readonly SparkplugMetric[]): { isReshaped: boolean } {
    const before = owner.metrics
    const after = new Map<string, TrackedMetric>()
    let isReshaped = before.size !== given.length
    const lowerCaseNames = new Set<string>()
    for (const metric of given) {
      const fault = metricFault(metric) ?? (after.has(metric.name) ? 'is there twice' : undefined)
      if (fault !== undefined) throw new TypeError(`metric ${metric.name} of ${owner.id ?? 'the node'} ${fault}`)
      const lower = metric.name.toLowerCase()
      // [tck-id-case-sensitivity-metric-names]
      if (lowerCaseNames.has(lower))
        warn('case-metric', { device: owner.id, metric: metric.name }, 'two metrics differ only by letter case')
      lowerCaseNames.add(lower)
      const known = before.get(metric.name)
      if (known !== undefined && isSameDefinition(known, metric)) after.set(metric.name, known)
      else {
        isReshaped = true
        after.set(metric.name, track(metric, known))
      }
    }
    // All are checked before anything is changed, and what a metric that goes reported last is sent while it is still born.
    if (isReshaped && before.size > 0) model.listener?.reshaping()
    owner.metrics = after
    for (const metric of given) {
      const tracked = after.get(metric.name) as TrackedMetric
      if (before.get(metric.name) !== tracked) {
        // A first value that never went out in a birth would be missing from the history.
        if (tracked.value !== null) record(owner, tracked)
      } else if (metric.timestamp === undefined || metric.timestamp >= tracked.timestamp) {
        // A description given again with an old time says nothing new.
        apply(owner, tracked, metric)
      }
    }
    return { isReshaped }
  }

  function track(given: SparkplugMetric, known: TrackedMetric | undefined): TrackedMetric {
    const { name, datatype, value, deadband, timestamp = clock.now(), quality: code = quality.good } = given
    return {
      name,
      alias: hasAliases ? (known?.alias ?? nextAlias++) : undefined,
      datatype,
      isTransient: given.isTransient ?? false,
      properties: propertiesOf(given),
      deadband,
      value,
      timestamp,
      quality: code,
      reported: { value, quality: code, timestamp, at: clock.monotonic() },
      changeIndex: -1,
      carriedIndex: -1,
    }
  }

  /** Takes a sample over, and into the buffer if it is a change. */
  function apply(owner: Owner, metric: TrackedMetric, { value, timestamp: given, quality: code = quality.good }: Sample): void {
    // A clock that is set back must not turn all that comes into history.
    const timestamp = given ?? Math.max(clock.now(), metric.timestamp)
    if (timestamp < metric.timestamp) {
      // It came late: history, not the present value. Of a metric that is unknown so far it says nothing about now either.
      if (!model.isRecording) return
      buffer.append({ device: owner.id, name: metric.name, value, timestamp, quality: code, isLate: true })
      count()
      return
    }
    metric.value = value
    metric.timestamp = timestamp
    metric.quality = code
    if (isReportable(metric, { maxSilenceMs, now: clock.monotonic() })) record(owner, metric)
  }

  function find(id: string | undefined): Owner | undefined {
    return id === undefined ? node : devices.get(id)
  }

  const model: TrackedModel = {
    node,
    devices,
    listener: undefined,
    isRecording: true,

    setNode(metrics) {
      if (set(node, metrics).isReshaped) model.listener?.reshaped(node)
      model.listener?.changed()
    },

    setDevice(id, metrics) {
      const fault = idFault(id)
      if (fault !== undefined) throw new TypeError(`device id ${JSON.stringify(id)} ${fault}`)
      const lower = id.toLowerCase()
      const twin = lowerCaseIds.get(lower)
      // [tck-id-case-sensitivity-sparkplug-ids]
      if (twin !== undefined && twin !== id) warn('case-device', { device: id, other: twin }, 'two devices differ only by letter case')
      const owner = devices.get(id) ?? { id, metrics: new Map(), bornAt: undefined }
      const isNew = !devices.has(id)
      const { isReshaped } = set(owner, metrics)
      lowerCaseIds.set(lower, id)
      devices.set(id, owner)
      if (isNew || isReshaped) model.listener?.reshaped(owner)
      model.listener?.changed()
    },

    removeDevice(id) {
      const owner = devices.get(id)
      if (owner === undefined) return
      // Told first: what the device reported last is sent before its death.
      model.listener?.removed(owner)
      owner.bornAt = undefined
      devices.delete(id)
      if (lowerCaseIds.get(id.toLowerCase()) === id) lowerCaseIds.delete(id.toLowerCase())
    },

    update(id, samples) {
      const owner = find(id)
      for (const sample of samples) {
        const metric = owner?.metrics.get(sample.name)
        const reason = metric === undefined ? 'unknown' : sampleFault(metric.datatype, sample)
        if (owner === undefined || metric === undefined || reason !== undefined) {
          counters.refusedSamples++
          warn('sample', { device: id, metric: sample.name, fault: reason }, 'sample refused')
        } else apply(owner, metric, sample)
      }
      model.listener?.changed()
    },

    setQuality(id, code) {
      const owner = find(id)
      if (owner === undefined) return
      const timestamp = clock.now()
      for (const metric of owner.metrics.values()) {
        if (metric.quality !== code) apply(owner, metric, { ...metric, timestamp: Math.max(timestamp, metric.timestamp), quality: code })
      }
      model.listener?.changed()
    },
  }
  return model
}

/**
 * Where in the buffer stands what a birth says of the metric now; -1 if it says something newer. A value that was confirmed since, or
 * that moved within its deadband, is told with its present time, and when it became what it is stands in the buffer alone.
 */
export function carriedIndexOf({ value, quality: code, timestamp, reported, changeIndex }: TrackedMetric): number {
  const isSaid = same(value, reported.value) && code === reported.quality && timestamp === reported.timestamp
  return isSaid ? changeIndex : -1
}

function propertiesOf({ unit, low, high, description, properties }: SparkplugMetric): Record<string, Property> | undefined {
  const all: Record<string, Property> = {
    ...(unit === undefined ? {} : { engUnit: { type: 'String', value: unit } }),
    ...(low === undefined ? {} : { engLow: { type: 'Double', value: low } }),
    ...(high === undefined ? {} : { engHigh: { type: 'Double', value: high } }),
    ...(description === undefined ? {} : { description: { type: 'String', value: description } }),
    ...properties,
  }
  return Object.keys(all).length === 0 ? undefined : all
}

const ownNames = new Set<string>(['bdSeq', ...Object.values(controls)].map((name) => name.toLowerCase()))

function metricFault(metric: SparkplugMetric): string | undefined {
  if (metric.name === '') return 'has no name'
  if (ownNames.has(metric.name.toLowerCase())) return 'has a name that the node keeps for itself'
  return sampleFault(metric.datatype, metric)
}

function sampleFault(datatype: Datatype, { value, timestamp, quality: code }: Omit<Sample, 'name'>): string | undefined {
  if (value !== null && !fits(datatype, value)) return `has a value that is no ${datatype}`
  if (timestamp !== undefined && !(Number.isSafeInteger(timestamp) && timestamp >= 0)) return 'has a timestamp that is none'
  if (code !== undefined && !Object.values(quality).includes(code)) return 'has a quality that is none'
  return undefined
}

function isSameDefinition(known: TrackedMetric, given: SparkplugMetric): boolean {
  return (
    known.datatype === given.datatype &&
    known.deadband === given.deadband &&
    known.isTransient === (given.isTransient ?? false) &&
    JSON.stringify(known.properties) === JSON.stringify(propertiesOf(given))
  )
}
