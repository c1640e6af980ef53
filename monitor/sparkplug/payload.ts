// The only file that knows sparkplug-payload. Of that library the generated protobuf code is used, not its wrapper: the wrapper of
// 1.0.3 puts UInt32 into long_value, writes `datatype` into all data, and hands 64-bit values through numbers.
import proto from 'sparkplug-payload/lib/sparkplugPayloadProto.js'
import { type Datatype, datatypes, type MetricValue } from './datatypes.ts'

const { Payload } = proto.org.eclipse.tahu.protobuf
const { PropertySet } = Payload
type WireMetric = InstanceType<typeof Payload.Metric>
type WireFields = { -readonly [Key in keyof WireMetric]?: unknown }

/** 192 good, 500 stale (it was good, and cannot be read now), 0 bad [tck-id-payloads-propertyset-quality-value-value]. */
export const quality = { good: 192, stale: 500, bad: 0 } as const
export type Quality = (typeof quality)[keyof typeof quality]

/** A property of a metric: a unit, a limit, a description, or the quality. */
export type Property = { type: 'String' | 'Double' | 'Int32' | 'Boolean'; value: string | number | boolean | null }

/** The fields of a metric that births and data share. */
type Metric = {
  datatype: Datatype
  /** Null is unknown. */
  value: MetricValue | null
  /** Unix milliseconds at which the value was acquired. */
  timestamp: number
  /** Good when left out. */
  quality?: Quality | undefined
}

/** A metric of a birth: name, alias and type, which data refers to [tck-id-payloads-alias-birth-requirement]. */
export type BirthMetric = Metric & { name: string; alias?: number | undefined; properties?: Readonly<Record<string, Property>> | undefined }

/** A metric of a data message: by alias or by name, never both [tck-id-payloads-alias-data-cmd-requirement]. */
export type DataMetric = Metric & { name?: string | undefined; alias?: number | undefined; isHistorical?: boolean | undefined }

/** 64 bits as protobufjs takes them without passing through a floating number; negative ones in two's complement. */
function longOf(value: number | bigint): number | { low: number; high: number; unsigned: boolean } {
  if (typeof value === 'number' && value >= 0) return value
  const bits = BigInt.asUintN(64, BigInt(value))
  return { low: Number(bits & 0xffff_ffffn), high: Number(bits >> 32n), unsigned: true }
}

/** Puts a value into the field that its type asks for, or sets is_null: never both, never neither. */
function setValue(fields: WireFields, datatype: Datatype, value: MetricValue | null): void {
  if (value === null) {
    fields.isNull = true
    return
  }
  switch (datatypes[datatype].field) {
    case 'int':
      fields.intValue = Number(value) >>> 0 // 32-bit two's complement
      break
    case 'long':
      fields.longValue = longOf(value as number | bigint)
      break
    case 'float':
      fields.floatValue = value
      break
    case 'double':
      fields.doubleValue = value
      break
    case 'boolean':
      fields.booleanValue = value
      break
    case 'string':
      fields.stringValue = (value as string).toWellFormed() // the library writes half of a pair as bytes that are not UTF-8
      break
  }
}

function propertySet(properties: Readonly<Record<string, Property>>): InstanceType<typeof PropertySet> {
  const keys = Object.keys(properties)
  const values = keys.map((key) => {
    const { type, value } = properties[key] as Property
    const fields: WireFields & { type: number } = { type: datatypes[type].number }
    setValue(fields, type, value)
    return fields
  })
  // keys and values are of equal length [tck-id-payloads-propertyset-keys-array-size] [tck-id-payloads-propertyset-values-array-size]
  return { keys, values } as never
}

/** When a message is sent, and its number. A command and an NDEATH have no `seq`. */
export type Head = { timestamp: number; seq?: number }

/** Encodes a message for the moment at which it is sent, or gives up when that is larger than `room`: the bytes that the server takes. */
export type Encode = (head: Required<Head>, room: number) => Buffer | undefined

/** An NBIRTH, a DBIRTH or an NDEATH. The metrics keep their order. */
export function encodeBirth(metrics: readonly BirthMetric[], head: Head): Buffer {
  return encode(head, metrics, (metric) => {
    const fields = fieldsOf(metric, metric.properties)
    fields.name = metric.name
    fields.datatype = datatypes[metric.datatype].number
    if (metric.alias !== undefined) fields.alias = metric.alias
    return fields
  })
}

/**
 * An NDATA or a DDATA, or a command for another node.
 *
 * The specification advises to leave the datatype out, since the birth has fixed it [tck-id-payloads-metric-datatype-not-req]. Two decoders
 * then lose the value: sparkplug-payload of npm gives null, and the Java library of Eclipse Tahu null in place of the metric unless its caller
 * passes the types of the births.
 */
export function encodeData(metrics: readonly DataMetric[], head: Head, { hasDatatypes = true } = {}): Buffer {
  return encode(head, metrics, (metric) => {
    const fields = fieldsOf(metric)
    if (hasDatatypes) fields.datatype = datatypes[metric.datatype].number
    if (metric.alias === undefined) fields.name = metric.name
    else fields.alias = metric.alias
    if (metric.isHistorical) fields.isHistorical = true
    return fields
  })
}

/** Quality may be omitted if it is good, and is required otherwise [tck-id-payloads-propertyset-quality-value-type]. */
function fieldsOf({ datatype, value, timestamp, quality: code }: Metric, properties?: BirthMetric['properties']): WireFields {
  const fields: WireFields = { timestamp }
  if (code !== undefined && code !== quality.good)
    fields.properties = propertySet({ ...properties, Quality: { type: 'Int32', value: code } })
  else if (properties !== undefined) fields.properties = propertySet(properties)
  setValue(fields, datatype, value)
  return fields
}

/**
 * The number of metrics that are encoded together. Concatenated protobuf messages are one message. The library keeps several objects for
 * each field until a message ends: with pieces, they are collected while they are young.
 */
const piece = 100

function encode<M>(head: Head, metrics: readonly M[], fieldsOf: (metric: M) => WireFields): Buffer {
  const pieces: Uint8Array[] = [Payload.encode(head).finish()]
  for (let at = 0; at < metrics.length; at += piece)
    pieces.push(Payload.encode({ metrics: metrics.slice(at, at + piece).map(fieldsOf) as never }).finish())
  return Buffer.concat(pieces)
}

/** A metric of a message from outside. Its value is undefined if it is not a scalar. */
export type ReceivedMetric = {
  name?: string
  alias?: bigint
  value: number | bigint | boolean | string | null | undefined
}

/** Limits of decoding. A command has a handful of metrics; a birth of a watched node may have thousands. */
export type DecodeLimits = { maxBytes: number; maxMetrics: number }

/** A message that is not decoded, and why: `too-large`, `malformed` or `too-many`. */
export class UndecodableError extends Error {
  override readonly name = 'UndecodableError'
  readonly reason: 'too-large' | 'malformed' | 'too-many'

  constructor(reason: 'too-large' | 'malformed' | 'too-many', options?: ErrorOptions) {
    super(`undecodable payload: ${reason}`, options)
    this.reason = reason
  }
}

/**
 * Decodes the payload of a message from outside. Whatever its bytes are, the memory used is in proportion to `maxBytes` only.
 * @throws UndecodableError
 */
export function decodeMetrics(bytes: Uint8Array, { maxBytes, maxMetrics }: DecodeLimits): ReceivedMetric[] {
  if (bytes.length > maxBytes) throw new UndecodableError('too-large')
  let metrics: readonly WireMetric[]
  try {
    // Endless nesting becomes a RangeError of the stack, a length beyond the end a RangeError of the reader: both are caught here.
    metrics = Payload.decode(bytes).metrics as never
  } catch (error) {
    throw new UndecodableError('malformed', { cause: error })
  }
  if (metrics.length > maxMetrics) throw new UndecodableError('too-many')
  return metrics.map((metric) => ({
    ...(has(metric, 'name') ? { name: String(metric.name) } : {}),
    ...(has(metric, 'alias') ? { alias: bigintOf(metric.alias) } : {}),
    value: receivedValue(metric),
  }))
}

function receivedValue(metric: WireMetric): ReceivedMetric['value'] {
  if (metric.isNull === true) return null
  if (has(metric, 'booleanValue')) return metric.booleanValue as boolean
  if (has(metric, 'intValue')) return metric.intValue as number
  if (has(metric, 'longValue')) return bigintOf(metric.longValue)
  if (has(metric, 'floatValue')) return metric.floatValue as number
  if (has(metric, 'doubleValue')) return metric.doubleValue as number
  if (has(metric, 'stringValue')) return metric.stringValue as string
  return undefined
}

function has(metric: object, field: string): boolean {
  return Object.hasOwn(metric, field)
}

/** The library gives 64 bits as a number or as two halves, depending on whether another library is installed. */
function bigintOf(value: unknown): bigint {
  if (typeof value === 'number') return BigInt(Math.trunc(value))
  const { low, high } = value as { low: number; high: number }
  return BigInt.asUintN(64, (BigInt(high) << 32n) | BigInt(low >>> 0))
}
