import assert from 'node:assert/strict'
import { test } from 'node:test'
import { familiesOf, family, formatFor, page } from '../../../monitor/metrics/exposition.ts'
import { readPage } from './reading.ts'

const offers = [
  {
    name: 'what Prometheus asks for by default',
    accept:
      'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1',
    format: 'openmetrics',
  },
  { name: 'a browser', accept: 'text/html,application/xhtml+xml,*/*;q=0.8', format: 'text' },
  { name: 'nothing said', accept: undefined, format: 'text' },
  { name: 'text preferred', accept: 'application/openmetrics-text;q=0.3,text/plain;q=0.9', format: 'text' },
  { name: 'OpenMetrics refused', accept: 'application/openmetrics-text;q=0', format: 'text' },
  { name: 'OpenMetrics alone', accept: 'Application/OpenMetrics-Text', format: 'openmetrics' },
] as const
for (const { name, accept, format } of offers) test(`${name} gets ${format}`, () => assert.equal(formatFor(accept), format))

test('a counter is called with _total in the text format, and its family without it in OpenMetrics', () => {
  const families = [family('counter', 'x_total', 'Things.', 3)]
  assert.equal(page(families, 'text').toString(), '# HELP x_total Things.\n# TYPE x_total counter\nx_total 3\n')
  assert.equal(page(families, 'openmetrics').toString(), '# HELP x Things.\n# TYPE x counter\nx_total 3\n# EOF\n')
})

test('families are sorted, and one without samples is left out', () => {
  const families = [
    family('gauge', 'b', 'B.', 1),
    family('gauge', 'c', 'C.', []),
    family('gauge', 'a', 'A.', 2),
    family('gauge', 'd', 'D.', undefined),
  ]
  assert.deepEqual([...readPage(page(families, 'text').toString()).families.keys()], ['a', 'b'])
})

test('help is escaped, quotes too where the format wants it', () => {
  const families = [family('gauge', 'a', 'Back\\slash, "quotes",\nlines.', 1)]
  assert.match(page(families, 'text').toString(), /^# HELP a Back\\\\slash, "quotes",\\nlines\.\n/)
  assert.match(page(families, 'openmetrics').toString(), /^# HELP a Back\\\\slash, \\"quotes\\",\\nlines\.\n/)
})

test('pages of prom-client are taken over: families whole, bounds of buckets as OpenMetrics has them', () => {
  const text =
    '# HELP h A \\\\ help.\n# TYPE h histogram\nh_bucket{le="0.5"} 1\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 2\nh_sum 1\nh_count 2\n\n# HELP g G.\n# TYPE g gauge\ng Nan\n'
  const found = readPage(page(familiesOf(text), 'openmetrics').toString(), 'openmetrics')
  assert.deepEqual([...found.families.keys()], ['g', 'h'])
  assert.deepEqual(
    found.all('h_bucket').map(({ labels }) => labels.le),
    ['0.5', '1.0', '+Inf'],
  )
  assert.equal(found.value('g'), Number.NaN)
  assert.equal(found.families.get('h')?.help, 'A \\\\ help.')
})
