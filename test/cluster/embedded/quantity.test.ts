import assert from 'node:assert/strict'
import { test } from 'node:test'
import { canonicalQuantities, formatQuantity, parseQuantity } from './quantity.ts'

for (const [given, number, canonical] of [
  ['0.5', 0.5, '500m'],
  ['500m', 0.5, '500m'],
  ['1000m', 1, '1'],
  ['1500', 1500, '1500'],
  ['2000', 2000, '2k'],
  ['1e3', 1000, '1k'],
  ['1024Mi', 2 ** 30, '1Gi'],
  ['1.5Gi', 1.5 * 2 ** 30, '1536Mi'],
  ['0.5Gi', 2 ** 29, '512Mi'],
  ['512', 512, '512'],
  ['1Ki', 1024, '1Ki'],
  ['0Gi', 0, '0'],
  ['100M', 1e8, '100M'],
  ['0.57', 0.57, '570m'],
  ['0.0000000001', 1e-9, '1n'],
  [2, 2, '2'],
] as const) {
  test(`the quantity ${given} is ${number} and is written ${canonical}`, () => {
    assert.equal(parseQuantity(given), number)
    const quota = { spec: { hard: { cpu: given as unknown } } }
    canonicalQuantities('ResourceQuota', quota)
    assert.equal(quota.spec.hard.cpu, canonical)
  })
}

for (const text of ['much', '1 Gi', '10GB', '', '1.2.3', '1e', null, {}]) {
  test(`${JSON.stringify(text)} is no quantity`, () => {
    assert.equal(parseQuantity(text), undefined)
    assert.throws(() => canonicalQuantities('ResourceQuota', { spec: { hard: { cpu: text } } }), { code: 400 })
  })
}

test('a sum is written in the family of suffixes of its limit', () => {
  assert.deepEqual([formatQuantity(1.5 * 2 ** 30, '2Gi'), formatQuantity(0.6, '1'), formatQuantity(5, '8')], ['1536Mi', '600m', '5'])
})
