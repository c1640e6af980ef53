import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Datatype, datatypes, fits, type MetricValue } from '../../../monitor/sparkplug/datatypes.ts'
import { decodeMetrics, encodeBirth, encodeData, UndecodableError } from '../../../monitor/sparkplug/payload.ts'
import { fc } from '../../shared/property.ts'
import { fieldOf } from './rules.ts'
import { carriedValue, decode, encode } from './schema.ts'

const bytes = (...given: number[]) => Buffer.from(given)
const cases: [Datatype, MetricValue, unknown][] = [
  ['Int8', -1, 0xffff_ffff],
  ['Int32', -(2 ** 31), 0x8000_0000],
  ['UInt16', 2 ** 16 - 1, 2 ** 16 - 1],
  ['Int64', -1n, 2n ** 64n - 1n],
  ['Int64', -5, 2n ** 64n - 5n],
  ['Int64', 2n ** 53n + 1n, 2n ** 53n + 1n],
  ['DateTime', 2n ** 64n - 1n, 2n ** 64n - 1n],
  ['Int64', 2 ** 53 - 1, 2n ** 53n - 1n],
  ['DateTime', 1_700_000_000_000, 1_700_000_000_000n],
  ['Float', 0.5, 0.5],
  ['Double', Number.NaN, Number.NaN],
  ['Double', -0.1, -0.1],
  ['Boolean', false, false],
  ['String', '', ''],
  ['UUID', '9f3c', '9f3c'],
  // Half of a character has no UTF-8, which is all that a protobuf string may hold.
  ['String', 'a\ud800', 'a\ufffd'],
  ['Text', '\udc00b', '\ufffdb'],
  ['UUID', '9f\ud83d', '9f\ufffd'],
]

for (const [datatype, value, carried] of cases) {
  test(`${datatype} ${value} goes into ${fieldOf(datatypes[datatype].number)}, in a birth and in data`, () => {
    assert.ok(fits(datatype, value))
    const birth = decode(encodeBirth([{ name: 'A', datatype, value, timestamp: 5 }], { timestamp: 7, seq: 3 }))
    const data = decode(encodeData([{ name: 'A', datatype, value, timestamp: 5 }], { timestamp: 7, seq: 3 }))
    for (const { metrics, timestamp, seq } of [birth, data]) {
      assert.deepEqual([timestamp, seq, metrics.length, metrics[0]?.name, metrics[0]?.timestamp], [7, 3, 1, 'A', 5])
      assert.deepEqual(carriedValue(metrics[0] as never), carried)
      assert.ok(fieldOf(datatypes[datatype].number) in (metrics[0] as object))
    }
    const { number } = datatypes[datatype]
    assert.deepEqual([birth.metrics[0]?.datatype, data.metrics[0]?.datatype], [number, number])
  })
}

test('a birth and data carry the same values, in the order given, however many they are', () => {
  const value = fc.oneof(
    fc.tuple(fc.constant('DateTime' as const), fc.maxSafeNat()),
    fc.tuple(fc.constant('Int64' as const), fc.maxSafeInteger()),
    fc.tuple(fc.constant('Int32' as const), fc.integer()),
    fc.tuple(fc.constant('Double' as const), fc.double()),
    fc.tuple(fc.constant('String' as const), fc.string()),
    fc.tuple(fc.constant('Boolean' as const), fc.option(fc.boolean())),
  )
  fc.assert(
    fc.property(
      fc.array(fc.tuple(value, fc.maxSafeNat(), fc.string({ minLength: 1, maxLength: 20 })), { maxLength: 300, size: 'max' }),
      (given) => {
        const metrics = given.map(([[datatype, value], timestamp, name]) => ({ datatype, value, timestamp, name }))
        const birth = decode(encodeBirth(metrics, { timestamp: 1, seq: 0 }))
        const data = decode(encodeData(metrics, { timestamp: 1, seq: 0 }))
        assert.deepEqual(birth.metrics, data.metrics)
        assert.deepEqual(
          birth.metrics.map(({ name }) => name),
          metrics.map(({ name }) => name),
        )
      },
    ),
  )
})

const misfits: [Datatype, unknown][] = [
  ['Int8', 128],
  ['UInt8', -1],
  ['Int32', 1.5],
  ['DateTime', -1n],
  ['Int32', 2 ** 31],
  ['Int64', 2 ** 60],
  ['Boolean', 1],
  ['String', 1],
  ['Double', '1'],
]
for (const [datatype, value] of misfits) {
  test(`${String(value)} (${typeof value}) is no ${datatype}`, () => assert.equal(fits(datatype, value), false))
}

const limits = { maxBytes: 65_536, maxMetrics: 100 }
const nested = (depth: number): Buffer => {
  let inner = Buffer.alloc(0)
  const wrap = (tag: number[], body: Buffer) => {
    const length: number[] = []
    for (let left = body.length; ; left >>>= 7) {
      if (left <= 0x7f) {
        length.push(left)
        break
      }
      length.push((left & 0x7f) | 0x80)
    }
    return Buffer.concat([Buffer.from([...tag, ...length]), body])
  }
  for (let level = 0; level < depth; level++) inner = wrap([0x12], wrap([0x92, 0x01], inner))
  return inner
}
const hostile: [name: string, payload: Buffer, reason: string][] = [
  ['a payload larger than any command', Buffer.alloc(65_537), 'too-large'],
  ['a length that goes beyond the end', bytes(0x12, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x0a), 'malformed'],
  ['a varint without end', Buffer.alloc(60_000, 0xff), 'malformed'],
  ['text', Buffer.from('{"rebirth": true}'), 'malformed'],
  ['more metrics than a command has', Buffer.from(Array.from({ length: 60_000 }, (_, index) => (index % 2 ? 0 : 0x12))), 'too-many'],
  ['groups within groups', Buffer.alloc(60_000, 0x33), 'malformed'],
  ['templates within templates', nested(9_000).subarray(0, 65_000), 'malformed'],
  [
    'truncated protobuf',
    encode({ timestamp: 5, metrics: [{ name: 'Node Control/Rebirth', booleanValue: true }] }).subarray(0, 20),
    'malformed',
  ],
]
for (const [name, payload, reason] of hostile) {
  test(`does not decode ${name}`, () => {
    assert.throws(
      () => decodeMetrics(payload, limits),
      (error) => error instanceof UndecodableError && error.reason === reason,
    )
  })
}

test('whatever the bytes are, decoding ends with metrics or with an UndecodableError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (given) => {
      try {
        for (const { name, value } of decodeMetrics(given, limits)) assert.ok(name === undefined || typeof name === 'string' || value)
      } catch (error) {
        assert.ok(error instanceof UndecodableError)
      }
    }),
    { numRuns: 2_000 },
  )
})

test('names that are keys of every object do no harm', () => {
  const [metric] = decodeMetrics(encode({ metrics: [{ name: '__proto__', longValue: '18446744073709551615' }] }), limits)
  assert.deepEqual([metric?.name, metric?.value], ['__proto__', 2n ** 64n - 1n])
})
