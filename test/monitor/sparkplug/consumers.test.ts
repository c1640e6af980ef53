import assert from 'node:assert/strict'
import { test } from 'node:test'
import { get } from 'sparkplug-payload'
import { type Datatype, datatypes, type MetricValue } from '../../../monitor/sparkplug/datatypes.ts'
import { encodeBirth, encodeData } from '../../../monitor/sparkplug/payload.ts'
import { startBroker } from './broker.ts'
import { metric, nodeInHand } from './node-in-hand.ts'
import { carriedValue, type DecodedMetric, decode } from './schema.ts'

type Read = (payload: Buffer) => unknown[]

const seconds = 1_700_000_000_000
/** The extremes of every type that is published, and null. */
const values: Record<Datatype, MetricValue[]> = {
  Int8: [-128, -1, 127],
  Int16: [-(2 ** 15), -1, 2 ** 15 - 1],
  Int32: [-(2 ** 31), -1, 0, 2 ** 31 - 1],
  Int64: [-(2n ** 63n), -1, 0, 2 ** 53 - 1, 2n ** 63n - 1n],
  UInt8: [0, 127],
  UInt16: [0, 2 ** 15 - 1],
  Float: [0.5, -1],
  Double: [0.1, -1e300, 0],
  Boolean: [true, false],
  String: ['', 'up', 'Überlauf'],
  DateTime: [0, seconds],
  Text: ['a\nb'],
  UUID: ['9f3c'],
}

/**
 * The library that most consumers in JavaScript and Node-RED read with. Its 64-bit values are Longs, which it makes signed itself if it has
 * the same `long` as protobufjs: so it is with the versions that it asks for, but not with the newer protobufjs that is installed here.
 */
const sparkplugPayload: Read = (payload) => (get('spBv1.0')?.decodePayload(payload).metrics ?? []).map(({ value }) => bare(value))

/** Plain protobuf by the published schema: the value is in the one field that is set. */
const protobuf: Read = (payload) => decode(payload).metrics.map((each) => signed(each, carriedValue(each)))

/**
 * The fields that Eclipse Tahu's Java library reads by the datatype of the metric itself, as SparkplugBPayloadDecoder.java has them
 * (`getMetricValue`). A metric without a datatype is null as a whole, unless the caller kept the types of the births.
 */
const tahu: Read = (payload) =>
  decode(payload).metrics.map((each) => {
    const { datatype = 0, intValue = 0, longValue = 0n, floatValue = 0, doubleValue = 0, booleanValue = false, stringValue = '' } = each
    if (datatype === 0) return 'no metric'
    if (each.isNull) return null
    if (datatype === 1) return (intValue << 24) >> 24
    if ([2, 5].includes(datatype)) return (intValue << 16) >> 16
    if ([3, 6].includes(datatype)) return intValue | 0
    if ([4, 13].includes(datatype)) return BigInt.asIntN(64, longValue)
    if (datatype === 9) return floatValue
    if (datatype === 10) return doubleValue
    if (datatype === 11) return booleanValue
    return [12, 14, 15].includes(datatype) ? stringValue : 'no such type'
  })

function bare(value: unknown): unknown {
  const isLong = typeof value === 'object' && value !== null && 'unsigned' in value
  return isLong ? BigInt.asIntN(64, BigInt(String(value))) : value
}

function signed({ datatype }: DecodedMetric, value: unknown): unknown {
  if (typeof value === 'bigint') return BigInt.asIntN(64, value)
  return datatype !== undefined && datatype <= 3 && typeof value === 'number' ? value | 0 : value
}

/** Whole numbers alike, whichever type of JavaScript they have. */
const plain = (value: unknown) => (typeof value === 'bigint' ? String(value) : Number.isInteger(value) ? String(value) : value)

const readers: Record<string, Read> = {
  'sparkplug-payload of npm': sparkplugPayload,
  'plain protobuf': protobuf,
  "Tahu's Java library": tahu,
}
const everything = Object.entries(values).flatMap(([datatype, all]) =>
  [...all, null].map((value) => ({ name: 'A', datatype: datatype as Datatype, value, timestamp: seconds })),
)

for (const [reader, read] of Object.entries(readers)) {
  test(`${reader} reads every value of a birth and of data`, () => {
    const given = everything.map(({ value }) => plain(value))
    assert.deepEqual(Object.keys(values).sort(), Object.keys(datatypes).sort())
    for (const payload of [encodeBirth(everything, { timestamp: 1, seq: 0 }), encodeData(everything, { timestamp: 1, seq: 1 })])
      assert.deepEqual(read(payload).map(plain), given)
  })
}

test('data without types costs two bytes less for each value', () => {
  const all = encodeData(everything, { timestamp: 1, seq: 1 })
  const few = encodeData(everything, { timestamp: 1, seq: 1 }, { hasDatatypes: false })
  assert.equal(all.length - few.length, 2 * everything.length)
})

test('a running node is read by sparkplug-payload: its births and its data, history too', async (t) => {
  const broker = await startBroker(t)
  const { node } = nodeInHand(t, [broker.url])
  node.setNode([metric('Cluster/Hosts/Total', 3, { datatype: 'Int32' })])
  node.setDevice('host:a', [metric('Load', 0.5), metric('Memory', 2 ** 40, { datatype: 'Int64', unit: 'B', low: 0 })])
  await node.start(new AbortController().signal)
  await broker.heard(({ verb }) => verb === 'DBIRTH')
  node.update('host:a', [{ name: 'Load', value: 1.5 }])
  await broker.heard(({ verb }) => verb === 'DDATA')
  broker.cut()
  // The last one is in the birth, and the one before it is history.
  for (const value of [2.5, 3.5]) node.update('host:a', [{ name: 'Load', value }])
  await broker.heard(({ verb, payload }) => verb === 'DDATA' && payload.metrics.some(({ isHistorical }) => isHistorical))
  for (const { verb, raw } of broker.messages) {
    const metrics = get('spBv1.0')?.decodePayload(raw).metrics ?? []
    for (const { name, value, type } of metrics) assert.ok(value !== null && value !== undefined && type !== undefined, `${verb} ${name}`)
  }
})
