import protobuf from 'protobufjs/light.js'

/**
 * A decoder of Sparkplug B payloads that shares nothing with the monitor: the published schema (proto2), field by field, read by plain
 * protobuf. What is not on the wire is undefined, so that a test sees whether something was left out.
 */
const types = protobuf.Root.fromJSON({
  nested: {
    PropertyValue: message({
      type: [1, 'uint32'],
      isNull: [2, 'bool'],
      intValue: [3, 'uint32'],
      longValue: [4, 'uint64'],
      floatValue: [5, 'float'],
      doubleValue: [6, 'double'],
      booleanValue: [7, 'bool'],
      stringValue: [8, 'string'],
    }),
    PropertySet: message({ keys: [1, 'string', 'repeated'], values: [2, 'PropertyValue', 'repeated'] }),
    Metric: message({
      name: [1, 'string'],
      alias: [2, 'uint64'],
      timestamp: [3, 'uint64'],
      datatype: [4, 'uint32'],
      isHistorical: [5, 'bool'],
      isTransient: [6, 'bool'],
      isNull: [7, 'bool'],
      metadata: [8, 'bytes'],
      properties: [9, 'PropertySet'],
      intValue: [10, 'uint32'],
      longValue: [11, 'uint64'],
      floatValue: [12, 'float'],
      doubleValue: [13, 'double'],
      booleanValue: [14, 'bool'],
      stringValue: [15, 'string'],
      bytesValue: [16, 'bytes'],
      datasetValue: [17, 'bytes'],
      templateValue: [18, 'bytes'],
      extensionValue: [19, 'bytes'],
    }),
    Payload: message({
      timestamp: [1, 'uint64'],
      metrics: [2, 'Metric', 'repeated'],
      seq: [3, 'uint64'],
      uuid: [4, 'string'],
      body: [5, 'bytes'],
    }),
  },
})

function message(fields: Record<string, [id: number, type: string, rule?: string]>): protobuf.IType {
  return {
    // Without it, a field that is on the wire with the default of its type would count as absent.
    edition: 'proto2',
    fields: Object.fromEntries(Object.entries(fields).map(([name, [id, type, rule]]) => [name, { id, type, ...(rule ? { rule } : {}) }])),
  }
}

const PayloadType = types.lookupType('Payload')

/** The fields of a metric that carry a value. */
export const valueFields = [
  'intValue',
  'longValue',
  'floatValue',
  'doubleValue',
  'booleanValue',
  'stringValue',
  'bytesValue',
  'datasetValue',
  'templateValue',
  'extensionValue',
] as const

export type DecodedProperty = {
  type?: number
  isNull?: boolean
  intValue?: number
  doubleValue?: number
  stringValue?: string
  booleanValue?: boolean
}
export type DecodedMetric = {
  name?: string
  alias?: bigint
  timestamp?: number
  datatype?: number
  isHistorical?: boolean
  isTransient?: boolean
  isNull?: boolean
  properties?: { keys: string[]; values: DecodedProperty[] }
  intValue?: number
  longValue?: bigint
  floatValue?: number
  doubleValue?: number
  booleanValue?: boolean
  stringValue?: string
  bytesValue?: Buffer
}
export type DecodedPayload = { timestamp?: number; seq?: number; uuid?: string; body?: Buffer; metrics: DecodedMetric[] }

/** Decodes a payload, 64-bit values as bigint. */
export function decode(payload: Uint8Array): DecodedPayload {
  const plain = PayloadType.toObject(PayloadType.decode(payload), { longs: String, arrays: true })
  return {
    ...plain,
    ...('timestamp' in plain ? { timestamp: Number(plain.timestamp) } : {}),
    ...('seq' in plain ? { seq: Number(plain.seq) } : {}),
    metrics: plain.metrics.map((metric: Record<string, unknown>) => ({
      ...metric,
      ...('timestamp' in metric ? { timestamp: Number(metric.timestamp) } : {}),
      ...('alias' in metric ? { alias: BigInt(metric.alias as string) } : {}),
      ...('longValue' in metric ? { longValue: BigInt(metric.longValue as string) } : {}),
    })),
  }
}

/** Encodes what a host would send. */
export function encode(payload: { timestamp?: number; seq?: number; metrics?: Record<string, unknown>[] }): Buffer {
  return Buffer.from(PayloadType.encode(PayloadType.fromObject(payload)).finish())
}

/** The value of a metric, whatever its type; null if it says so. */
export function carriedValue(metric: DecodedMetric): unknown {
  if (metric.isNull) return null
  const field = valueFields.find((name) => name in metric)
  return field === undefined ? undefined : (metric as Record<string, unknown>)[field]
}

/** The properties of a metric by their keys. */
export function propertiesOf(metric: DecodedMetric | undefined): Record<string, DecodedProperty> {
  const { keys = [], values = [] } = metric?.properties ?? {}
  return Object.fromEntries(keys.map((key, index) => [key, values[index] as DecodedProperty]))
}
