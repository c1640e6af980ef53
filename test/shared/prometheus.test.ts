import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Counter, Histogram, Registry } from 'prom-client'
import { type Family, familiesOf, family, pageTypeFor, renderPage } from '../../shared/prometheus.ts'
import { pageTypes, readPage } from '../monitor/metrics/reading.ts'

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
for (const { name, accept, format } of offers) test(`${name} gets ${format}`, () => assert.equal(pageTypeFor(accept), pageTypes[format]))

test('a counter is called with _total in the text format, and its family without it in OpenMetrics', () => {
  const families = [family('counter', 'x_total', 'Things.', 3)]
  assert.equal([...renderPage(families, pageTypes.text)].join(''), '# HELP x_total Things.\n# TYPE x_total counter\nx_total 3\n')
  assert.equal([...renderPage(families, pageTypes.openmetrics)].join(''), '# HELP x Things.\n# TYPE x counter\nx_total 3\n# EOF\n')
})

test('a family without samples is left out', () => {
  const families = [family('gauge', 'b', 'B.', 1), family('gauge', 'c', 'C.', []), family('gauge', 'd', 'D.', undefined)]
  assert.deepEqual([...readPage(renderPage(families, pageTypes.text)).families.keys()], ['b'])
})

test('a sample has its own labels and the shared ones', () => {
  const sharedLabels = { check: 'say "hello"\nback\\slash' }
  const families: Family[] = [
    { name: 'a', type: 'gauge', help: 'A.', values: ['x', 'y'].map((phase, value) => ({ value, labels: { phase }, sharedLabels })) },
  ]
  assert.deepEqual(
    readPage(renderPage(families, pageTypes.text))
      .all('a')
      .map(({ labels, value }) => [labels, value]),
    [
      [{ phase: 'x', ...sharedLabels }, 0],
      [{ phase: 'y', ...sharedLabels }, 1],
    ],
  )
})

test('the metrics of a registry are told in either format, whichever came before', async () => {
  const registry = new Registry()
  const registers = [registry]
  new Counter({ name: 'c_total', help: 'C.', labelNames: ['to'], registers }).inc({ to: 'here' }, 2)
  new Histogram({ name: 'h', help: 'H.', buckets: [0.5], registers }).observe(0.25)
  for (const format of ['openmetrics', 'text', 'openmetrics'] as const) {
    const found = readPage(renderPage(await familiesOf(registry), pageTypes[format]), format)
    assert.equal(found.value('c_total', { to: 'here' }), 2)
    assert.equal(found.value('h_bucket', { le: '0.5' }), 1)
    assert.equal(found.value('h_count'), 1)
  }
})
