/** How a type is carried: by its number in births, in which field of a metric, and for integers within which range. */
type Carried = { number: number; field: 'int' | 'long' | 'float' | 'double' | 'boolean' | 'string'; low?: bigint; high?: bigint }

const signed = (bits: bigint) => ({ low: -(2n ** (bits - 1n)), high: 2n ** (bits - 1n) - 1n })
const unsigned = (bits: bigint) => ({ low: 0n, high: 2n ** bits - 1n })

/**
 * Sparkplug's scalar types, by their names in the specification [tck-id-payloads-metric-datatype-value]. There are no bytes, arrays,
 * templates and DataSets: Skerry publishes nothing of their shape.
 *
 * UInt32 and UInt64 are left out, since decoders disagree about them. The specification puts UInt32 into int_value. Eclipse Tahu's Java
 * library reads it there and in long_value, but sparkplug-payload of npm only in long_value (lib/sparkplugbpayload.js, `getValue`), and
 * gives null. A UInt64 becomes a BigInteger in Tahu's Java library, and Ignition's tags have no such type. Int32 and Int64 are read alike.
 */
export const datatypes = {
  Int8: { number: 1, field: 'int', ...signed(8n) },
  Int16: { number: 2, field: 'int', ...signed(16n) },
  Int32: { number: 3, field: 'int', ...signed(32n) },
  Int64: { number: 4, field: 'long', ...signed(64n) },
  UInt8: { number: 5, field: 'int', ...unsigned(8n) },
  UInt16: { number: 6, field: 'int', ...unsigned(16n) },
  Float: { number: 9, field: 'float' },
  Double: { number: 10, field: 'double' },
  Boolean: { number: 11, field: 'boolean' },
  String: { number: 12, field: 'string' },
  DateTime: { number: 13, field: 'long', ...unsigned(64n) },
  Text: { number: 14, field: 'string' },
  UUID: { number: 15, field: 'string' },
} as const satisfies Record<string, Carried>

/** The name of a type. */
export type Datatype = keyof typeof datatypes

/** A value of a metric. 64-bit types take bigint as well as whole numbers up to 2^53; DateTime is Unix milliseconds. */
export type MetricValue = number | bigint | boolean | string

/** Whether a type can carry a value without losing anything. Floats may lose precision, and may be NaN or infinite. */
export function fits(datatype: Datatype, value: unknown): value is MetricValue {
  const { field, low, high }: Carried = datatypes[datatype]
  if (low === undefined || high === undefined) return typeof value === (field === 'boolean' || field === 'string' ? field : 'number')
  return (Number.isSafeInteger(value) || typeof value === 'bigint') && (value as bigint) >= low && (value as bigint) <= high
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
