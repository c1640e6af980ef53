import type { Clock } from '../../shared/clock.ts'
import { controls } from './commands.ts'
import { type Datatype, fits, type MetricValue, same } from './datatypes.ts'
import type { MetricClass } from './deadbands.ts'
import { type Property, type Quality, quality } from './payload.ts'

/** A metric, as described by the part of the monitor that measures it. */
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
  /** The least and the greatest possible value: `engLow` and `engHigh`. */
  low?: number
  high?: number
  /** What it means: `documentation`, as Ignition calls it. */
  description?: string
  /** Further properties. */
  properties?: Record<string, Property>
  /** A number that differs from the last reported one by no more than this is not a change. */
  deadband?: number
  /** What it measures, if its changes have a deadband that can be configured. */
  class?: MetricClass
  /** Names of metrics whose changes it goes with: then it is sent however short the time since its last change. */
  goesWith?: readonly string[]
}

/** A new value of a metric that exists. */
export type Sample = { name: string; value: MetricValue | null; timestamp?: number; quality?: Quality }

/** A metric of the model: its definition, its present value, and what was reported of it. */
export type TrackedMetric = {
  readonly name: string
  readonly alias: number | undefined
  readonly datatype: Datatype
  readonly properties: Record<string, Property> | undefined
  readonly deadband: number | undefined
  readonly class: MetricClass | undefined
  readonly goesWith: readonly string[] | undefined
  value: MetricValue | null
  timestamp: number
  quality: Quality
  /** What was last put into the buffer, and when by the monotonic clock. */
  reported: { value: MetricValue | null; quality: Quality; timestamp: number; at: number }
  /** Its index in the buffer; -1 if it was not kept. */
  changeIndex: number
  /** Index of the change that the birth on the present connection carried. It need not be sent again. */
  carriedIndex: number
}

/** The node (id undefined) or a device, with its present metrics. */
export type Owner = {
  readonly id: string | undefined
  metrics: Map<string, TrackedMetric>
  /** End of the buffer at its last birth on the present connection: earlier changes are history. Undefined: not born. */
  bornAt: number | undefined
  /** Metrics that its last birth left out because of the size that the server takes: nothing can be sent of them. */
  leftOut: ReadonlySet<string>
  /** Index in the buffer of its last change; -1 if none was kept. */
  lastIndex: number
}

/** The node, or a device, before its first birth. */
export function newOwner(id: string | undefined): Owner {
  return { id, metrics: new Map(), bornAt: undefined, leftOut: new Set(), lastIndex: -1 }
}

/** A metric as it is described, with nothing reported of it yet. */
export function trackedMetric(given: SparkplugMetric, alias: number | undefined, clock: Pick<Clock, 'now' | 'monotonic'>): TrackedMetric {
  const { name, datatype, value, deadband, goesWith, timestamp = clock.now(), quality: code = quality.good } = given
  return {
    ...{ name, alias, datatype, deadband, class: given.class, goesWith, value, timestamp, quality: code },
    properties: propertiesOf(given),
    reported: { value, quality: code, timestamp, at: clock.monotonic() },
    changeIndex: -1,
    carriedIndex: -1,
  }
}

/** Whether a metric is still described as it was, its value apart. */
export function isSameDefinition(known: TrackedMetric, given: SparkplugMetric): boolean {
  return (
    known.datatype === given.datatype &&
    known.deadband === given.deadband &&
    known.class === given.class &&
    JSON.stringify(known.goesWith) === JSON.stringify(given.goesWith) &&
    JSON.stringify(known.properties) === JSON.stringify(propertiesOf(given))
  )
}

/**
 * The index of the change that a birth carries when it gives the present value; -1 if that value is newer than the last change. A value
 * that was confirmed since, or that moved within its deadband, is born with its present time, and only the buffer says since when it holds.
 */
export function carriedIndexOf({ value, quality: code, timestamp, reported, changeIndex }: TrackedMetric): number {
  const isSaid = same(value, reported.value) && code === reported.quality && timestamp === reported.timestamp
  return isSaid ? changeIndex : -1
}

/** Names what a birth had to leave out. Only such births have it. */
export const leftOutName = 'Birth/Left Out'

const ownNames = new Set<string>(['bdSeq', leftOutName, ...Object.values(controls)].map((name) => name.toLowerCase()))

/** Why a description cannot be published, as a predicate; undefined when it can. */
export function metricFault(metric: SparkplugMetric): string | undefined {
  if (metric.name === '') return 'has no name'
  if (ownNames.has(metric.name.toLowerCase())) return 'has a name that the node keeps for itself'
  return sampleFault(metric.datatype, metric)
}

/** Why a sample does not fit its metric, as a predicate; undefined when it does. */
export function sampleFault(datatype: Datatype, { value, timestamp, quality: code }: Omit<Sample, 'name'>): string | undefined {
  if (value !== null && !fits(datatype, value)) return `has a value that is not a valid ${datatype}`
  if (timestamp !== undefined && !(Number.isSafeInteger(timestamp) && timestamp >= 0)) return 'has an invalid timestamp'
  if (code !== undefined && !Object.values(quality).includes(code)) return 'has an invalid quality'
  return undefined
}

function propertiesOf({ unit, low, high, description, properties }: SparkplugMetric): Record<string, Property> | undefined {
  const all: Record<string, Property> = {
    ...(unit === undefined ? {} : { engUnit: { type: 'String', value: unit } }),
    ...(low === undefined ? {} : { engLow: { type: 'Double', value: low } }),
    ...(high === undefined ? {} : { engHigh: { type: 'Double', value: high } }),
    ...(description === undefined ? {} : { documentation: { type: 'String', value: description } }),
    ...properties,
  }
  return Object.keys(all).length === 0 ? undefined : all
}
