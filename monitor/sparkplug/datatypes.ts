/** The numbers of Sparkplug's basic types and arrays that this node publishes [tck-id-payloads-metric-datatype-value]. 0 is no type. */
export const datatypes = {
  Int8: 1,
  Int16: 2,
  Int32: 3,
  Int64: 4,
  UInt8: 5,
  UInt16: 6,
  UInt32: 7,
  UInt64: 8,
  Float: 9,
  Double: 10,
  Boolean: 11,
  String: 12,
  DateTime: 13,
  Text: 14,
  UUID: 15,
  Bytes: 17,
  Int8Array: 22,
  Int16Array: 23,
  Int32Array: 24,
  Int64Array: 25,
  UInt8Array: 26,
  UInt16Array: 27,
  UInt32Array: 28,
  UInt64Array: 29,
  FloatArray: 30,
  DoubleArray: 31,
  BooleanArray: 32,
  StringArray: 33,
  DateTimeArray: 34,
} as const

/** A type by its name in the specification. Templates and DataSets are not offered: nothing that Skerry publishes has their shape. */
export type Datatype = keyof typeof datatypes

/**
 * A value of a metric; null is unknown. 64-bit types take bigint as well as whole numbers up to 2^53, DateTime is Unix
 * milliseconds, arrays are arrays of what their elements are, Bytes is a Buffer.
 */
export type MetricValue =
  | number
  | bigint
  | boolean
  | string
  | Uint8Array
  | readonly number[]
  | readonly bigint[]
  | readonly boolean[]
  | readonly string[]

type Range = readonly [low: bigint, high: bigint]
const ranges: Partial<Record<Datatype, Range>> = {
  Int8: [-(2n ** 7n), 2n ** 7n - 1n],
  Int16: [-(2n ** 15n), 2n ** 15n - 1n],
  Int32: [-(2n ** 31n), 2n ** 31n - 1n],
  Int64: [-(2n ** 63n), 2n ** 63n - 1n],
  UInt8: [0n, 2n ** 8n - 1n],
  UInt16: [0n, 2n ** 16n - 1n],
  UInt32: [0n, 2n ** 32n - 1n],
  UInt64: [0n, 2n ** 64n - 1n],
  DateTime: [0n, 2n ** 64n - 1n],
}
const numberRanges = new Map(
  Object.entries(ranges).map(([name, [low, high]]) => [
    name,
    [Math.max(Number(low), Number.MIN_SAFE_INTEGER), Math.min(Number(high), Number.MAX_SAFE_INTEGER)] as const,
  ]),
)

/** Whether a value can be carried by a type without losing anything. Floats may lose precision, and may be NaN or infinite. */
export function fits(datatype: Datatype, value: unknown): value is MetricValue {
  if (datatype.endsWith('Array')) {
    const element = datatype.slice(0, -'Array'.length) as Datatype
    return Array.isArray(value) && value.every((each) => fits(element, each))
  }
  switch (datatype) {
    case 'Float':
    case 'Double':
      return typeof value === 'number'
    case 'Boolean':
      return typeof value === 'boolean'
    case 'String':
    case 'Text':
    case 'UUID':
      return typeof value === 'string'
    case 'Bytes':
      return value instanceof Uint8Array
    default:
      return fitsInteger(datatype, value)
  }
}

function fitsInteger(datatype: Datatype, value: unknown): boolean {
  if (typeof value === 'number') {
    const range = numberRanges.get(datatype)
    return range !== undefined && Number.isInteger(value) && value >= range[0] && value <= range[1]
  }
  const range = ranges[datatype]
  return typeof value === 'bigint' && range !== undefined && value >= range[0] && value <= range[1]
}

/** Whether two values of one metric are the same; arrays and bytes by their elements, NaN is itself. */
export function same(a: MetricValue | null, b: MetricValue | null): boolean {
  if (Object.is(a, b)) return true
  if (typeof a === 'object' && typeof b === 'object' && a !== null && b !== null) {
    return a.length === b.length && (a as readonly unknown[]).every((each, index) => Object.is(each, b[index]))
  }
  // 1 and 1n are the same count, whichever way the source gives it.
  return isInteger(a) && isInteger(b) && BigInt(a) === BigInt(b)
}

function isInteger(value: MetricValue | null): value is number | bigint {
  return typeof value === 'bigint' || Number.isInteger(value)
}
