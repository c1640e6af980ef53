import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cpuQuantity, memoryQuantity, storageQuantity } from '../../../agent/resources/quantity.ts'
import { parseWith } from '../../../shared/faults.ts'
import { compareBytes, describeBytes, formatBytes, parseBytes, parseMillicores } from '../../../shared/kubernetes/quantity.ts'
import { anyText, fc } from '../../shared/property.ts'

const bytes: [string, bigint | undefined][] = [
  ['0', 0n],
  ['1073741824', 1073741824n],
  ['4Gi', 4n << 30n],
  ['128GiB', 128n << 30n],
  ['128GB', 128_000_000_000n],
  ['1.5Ti', 3n << 39n],
  ['500M', 500_000_000n],
  ['2k', 2000n],
  ['1e9', 1_000_000_000n],
  ['1E3', 1000n],
  ['1E', 10n ** 18n],
  ['15e-1', 2n], // Kubernetes rounds up
  ['1500m', 2n],
  ['0.1', 1n],
  ['', undefined],
  ['-1', undefined],
  ['+1', undefined],
  ['4gi', undefined],
  ['4K', undefined],
  ['4 Gi', undefined],
  ['4Gi\n', undefined],
  ['.5Gi', undefined],
  ['5B', undefined],
  ['5mB', undefined],
  ['1e999', undefined],
  ['٤Gi', undefined],
  ['9'.repeat(33), undefined],
]
for (const [text, expected] of bytes) {
  test(`${JSON.stringify(text)} is ${expected === undefined ? 'no quantity' : `${expected} bytes`}`, () =>
    assert.equal(parseBytes(text), expected))
}

const millicores: [string | number, number | undefined][] = [
  [2, 2000],
  [0.5, 500],
  [0.1, 100],
  ['500m', 500],
  ['2', 2000],
  ['1e-1', 100],
  ['100u', 1],
  [Number.NaN, undefined],
  [Number.POSITIVE_INFINITY, undefined],
  [-1, undefined],
  ['2GB', undefined],
  ['two', undefined],
]
for (const [given, expected] of millicores) {
  test(`${JSON.stringify(given)} is ${expected === undefined ? 'no amount of processor' : `${expected} millicores`}`, () =>
    assert.equal(parseMillicores(given), expected))
}

test('what formatBytes writes is the same number of bytes, and written the same again', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 1n << 64n }), (amount) => {
      const text = formatBytes(amount)
      assert.equal(parseBytes(text), amount)
      assert.equal(formatBytes(parseBytes(text) ?? -1n), text)
    }),
  )
})

test('any text is a quantity or none, and never an error', () => {
  fc.assert(
    fc.property(fc.oneof(anyText(), fc.stringMatching(/^[0-9.eEkKMGTPimunB+-]{0,12}$/)), (text) => {
      const parsed = parseBytes(text)
      assert.ok(parsed === undefined || parsed >= 0n)
    }),
  )
})

test('compares by amount, not by spelling', () => {
  assert.equal(compareBytes('64GiB', '64Gi'), 0)
  assert.equal(compareBytes('64G', '64Gi'), -1)
  assert.equal(compareBytes('1Ti', '1023Gi'), 1)
  assert.equal(compareBytes('much', '1Gi'), undefined)
})

const words: [bigint, string][] = [
  [64n << 30n, '64 GiB'],
  [3n << 39n, '1.5 TiB'],
  [700n, '700 bytes'],
  [(1n << 30n) + 1n, '1 GiB'],
]
for (const [amount, expected] of words) test(`${amount} bytes are called ${expected}`, () => assert.equal(describeBytes(amount), expected))

const given = [
  { schema: memoryQuantity, value: '4GiB', is: '4Gi' },
  { schema: memoryQuantity, value: '4', message: 'must be at least 256Mi: CrateDB does not start with less. Is the suffix missing?' },
  { schema: memoryQuantity, value: 'lots', message: 'must be a quantity of bytes such as "4Gi", "64GiB" or "500M"' },
  { schema: memoryQuantity, value: 4, message: 'must be a quantity of bytes as text, such as "4Gi"' },
  { schema: memoryQuantity, value: undefined, message: 'is required' },
  {
    schema: storageQuantity,
    value: '100M',
    message: 'must be at least 1Gi: no smaller volume is of use to CrateDB. Is the suffix missing?',
  },
  { schema: storageQuantity, value: '2Ei', message: 'must be at most 1Ei' },
  { schema: cpuQuantity, value: '500m', is: 0.5 },
  { schema: cpuQuantity, value: '1.5', is: 1.5 },
  { schema: cpuQuantity, value: 0, message: 'must be more than 0' },
  { schema: cpuQuantity, value: 1001, message: 'must be at most 1000 cores' },
  { schema: cpuQuantity, value: 'half', message: 'must be a number of cores such as 2 or 0.5, or text such as "500m"' },
  { schema: cpuQuantity, value: true, message: 'must be a number of cores such as 2 or 0.5, or text such as "500m"' },
]
for (const { schema, value, is, message } of given) {
  test(`a quantity given as ${JSON.stringify(value)} ${message === undefined ? `becomes ${is}` : 'is refused in words'}`, () => {
    const parsed = parseWith(schema, value)
    if (parsed.ok) assert.equal(parsed.value, is)
    else
      assert.deepEqual(
        parsed.faults.map((fault) => fault.message),
        [message],
      )
  })
}
