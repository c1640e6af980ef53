import { type BirthMetric, encodeBirth, type Head } from './payload.ts'
import { leftOutName } from './tracked-metric.ts'

/** A birth that fits. */
export type FittedBirth = {
  payload: Buffer
  /** The bytes of the payload with nothing left out. */
  wholeBytes: number
  /** Names of the metrics that it does not have. */
  leftOut: ReadonlySet<string>
  /** What is left out, for people; undefined if nothing is. */
  said: string | undefined
}

/** The metrics of a birth. `metrics` in the order of their importance: the last are left out first. */
export type BirthParts = { controls: readonly BirthMetric[]; metrics: readonly BirthMetric[] }

/** The longest list of left-out metrics, in bytes, and the shortest. */
const list = { most: 4_000, least: 60 }

/**
 * Encodes a birth within `room` bytes. What a consumer can best do without goes first: descriptions, then the other properties, then whole
 * metrics. Which those are is said in a metric of the birth. A metric that alone is too large does not take smaller ones with it.
 * @returns undefined if the controls alone are too large
 */
export function fitBirth({ controls, metrics }: BirthParts, head: Head, room: number): FittedBirth | undefined {
  const encoded = (inner: readonly BirthMetric[], said?: string) => {
    const marker = said === undefined ? [] : [leftOutMetric(said, controls, head)]
    return encodeBirth([...controls, ...marker, ...oldestFirst(inner)], head)
  }
  const whole = encoded(metrics)
  if (whole.length <= room) return { payload: whole, wholeBytes: whole.length, leftOut: new Set(), said: undefined }
  for (const { said, strip } of reductions) {
    const payload = encoded(metrics.map(strip), said)
    if (payload.length <= room) return { payload, wholeBytes: whole.length, leftOut: new Set(), said }
  }
  const bare = metrics.map(withoutProperties)
  const space = Math.min(list.most, Math.max(list.least, Math.floor(room / 8)))
  const headBytes = encodeBirth([], head).length
  const sizeOf = (metric: BirthMetric) => encodeBirth([metric], head).length - headBytes
  let left = room - encoded([], 'x'.repeat(space)).length
  if (left < 0) return undefined
  const kept: BirthMetric[] = []
  const leftOut: string[] = []
  for (const metric of bare) {
    const size = sizeOf(metric)
    if (size <= left) {
      left -= size
      kept.push(metric)
    } else leftOut.push(metric.name)
  }
  const said = saidOf(leftOut, metrics.length, space)
  return { payload: encoded(kept, said), wholeBytes: whole.length, leftOut: new Set(leftOut), said }
}

/** The order that the specification asks of live metrics [tck-id-operational-behavior-data-publish-nbirth-order]. */
function oldestFirst(metrics: readonly BirthMetric[]): readonly BirthMetric[] {
  return metrics.toSorted((a, b) => a.timestamp - b.timestamp)
}

/** It has no alias, and stands among the controls, which have none either. */
function leftOutMetric(value: string, controls: readonly BirthMetric[], { timestamp }: Head): BirthMetric {
  return { name: leftOutName, datatype: 'String', value, timestamp: controls[0]?.timestamp ?? timestamp }
}

/** Which metrics are left out, in at most `space` bytes: `properties, and 3 of 40 metrics: a, b and 1 more`. */
function saidOf(names: readonly string[], total: number, space: number): string {
  let text = `properties, and ${names.length} of ${total} metrics`
  for (const [index, name] of names.entries()) {
    const more = `${text}${index === 0 ? ': ' : ', '}${name}`
    if (Buffer.byteLength(more) > space - ' and 10000 more'.length) return index === 0 ? text : `${text} and ${names.length - index} more`
    text = more
  }
  return text
}

const reductions: { said: string; strip: (metric: BirthMetric) => BirthMetric }[] = [
  { said: 'descriptions', strip: withoutDocumentation },
  { said: 'properties', strip: withoutProperties },
]

function withoutDocumentation(metric: BirthMetric): BirthMetric {
  const { documentation, ...properties } = metric.properties ?? {}
  if (documentation === undefined) return metric
  return { ...metric, properties: Object.keys(properties).length === 0 ? undefined : properties }
}

function withoutProperties(metric: BirthMetric): BirthMetric {
  return { ...metric, properties: undefined }
}
