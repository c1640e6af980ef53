import assert from 'node:assert/strict'
import { test } from 'node:test'
import { namedIn } from './promql.ts'

const cases = [
  { of: 'up', selectors: ['up'], groupings: [] },
  { of: 'sum by (le, job) (rate(a_bucket{x="}",y=~"a|b"}[5m])) / 2e3', selectors: ['a_bucket{x="}",y=~"a|b"}'], groupings: ['le', 'job'] },
  {
    of: 'a:b:max{s!="d"} == 1 unless on (check) c > 0 and time() - d offset 1h > 5',
    selectors: ['a:b:max{s!="d"}', 'c', 'd'],
    groupings: ['check'],
  },
  { of: 'a * on (i) group_left (v) b{}', selectors: ['a', 'b'], groupings: ['i', 'v'] },
]
for (const { of, selectors, groupings } of cases)
  test(`series and labels are found in ${of}`, () => {
    const found = namedIn(of)
    const text = ({ name, matchers }: (typeof found.selectors)[number]) =>
      matchers.length === 0 ? name : `${name}{${matchers.map(({ label, op, value }) => `${label}${op}"${value}"`)}}`
    assert.deepEqual(found.selectors.map(text), selectors)
    assert.deepEqual(found.groupings, groupings)
  })

test('series without a name are refused, since nothing can be said of them', () => {
  assert.throws(() => namedIn('sum({job="a"})'), /without a name/)
})
