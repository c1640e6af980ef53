/** The numbers of Sparkplug's scalar types [tck-id-payloads-metric-datatype-value]. 0 is no type. */
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
} as const

/** A type by its name in the specification. There are no bytes, arrays, templates and DataSets: Skerry publishes nothing of their shape. */
export type Datatype = keyof typeof datatypes

/** A value of a metric. 64-bit types take bigint as well as whole numbers up to 2^53; DateTime is Unix milliseconds. */
export type MetricValue = number | bigint | boolean | string

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

/** Whether two values of one metric are the same; NaN is itself. */
export function same(a: MetricValue | null, b: MetricValue | null): boolean {
  if (Object.is(a, b)) return true
  // 1 and 1n are the same count, whichever way the source gives it.
  return isInteger(a) && isInteger(b) && BigInt(a) === BigInt(b)
}

function isInteger(value: MetricValue | null): value is number | bigint {
  return typeof value === 'bigint' || Number.isInteger(value)
}
