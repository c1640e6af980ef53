import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type CheckKindName, checkKinds } from '../../../monitor/checks/index.ts'
import type { Measure } from '../../../monitor/checks/kind.ts'
import { createCheckSeries } from '../../../monitor/metrics/checks.ts'
import type { CheckStatus } from '../../../monitor/prober/check.ts'
import { renderPage } from '../../../shared/prometheus.ts'
import { statusOf } from './endpoint-in-hand.ts'
import { pageTypes, readPage } from './reading.ts'

const series = createCheckSeries()

function read(statuses: CheckStatus[], format: keyof typeof pageTypes = 'text') {
  return readPage(renderPage(series(statuses), pageTypes[format]), format)
}

test('a check has its series before it ran, and none of them claims what is not known', () => {
  const found = read([statusOf()])
  const of = { check: 'shop', kind: 'http', target: 'https://shop.example.com', severity: 'warning' }
  assert.equal(found.value('skerry_check_up', of), 0)
  assert.deepEqual(
    found.all('skerry_check_state', of).map(({ labels, value }) => [labels.state, value]),
    [
      ['up', 0],
      ['degraded', 0],
      ['down', 0],
      ['unknown', 1],
    ],
  )
  assert.equal(found.value('skerry_check_last_finished_timestamp_seconds', of), Number.NaN)
  assert.equal(found.value('skerry_check_last_success_timestamp_seconds', of), Number.NaN)
  assert.equal(found.value('skerry_check_consecutive_failures', of), 0)
  assert.equal(found.value('skerry_check_interval_seconds', of), 30)
  assert.equal(found.value('skerry_check_duration_seconds_count', of), 0)
  assert.deepEqual(found.all('skerry_check_reason'), [])
})

test('a label says what the name of a check and the texts of its target say, and neither breaks the page', () => {
  for (const name of ['Portfolio (LAN)', "Anna's NAS", 'web & api', 'GitHub | API', '"quay" \\ {7}']) {
    const measurements = [{ name: 'skerry_haproxy_backend_up', value: 1, labels: { backend: 'a\u202e"b\n' } }]
    const found = read([statusOf({ name, kind: 'haproxy' }, { measurements })])
    assert.equal(found.value('skerry_check_up', { check: name }), 0)
    assert.equal(found.value('skerry_haproxy_backend_up', { check: name, backend: 'a‹U+202E›"b‹U+000A›' }), 1)
  }
})

const states = [
  { state: 'up', up: 1 },
  { state: 'degraded', up: 1 },
  { state: 'down', up: 0 },
  { state: 'unknown', up: 0 },
] as const
for (const { state, up } of states)
  test(`a check that is ${state} counts as ${up}, and has that state only`, () => {
    const found = read([statusOf({}, { state, ...(state !== 'up' && { reason: 'timeout' }) })])
    assert.equal(found.value('skerry_check_up'), up)
    const held = found.all('skerry_check_state').filter(({ value }) => value === 1)
    assert.deepEqual(
      held.map(({ labels }) => labels.state),
      [state],
    )
    assert.deepEqual(
      found.all('skerry_check_reason').map(({ labels }) => labels.reason),
      state === 'up' ? [] : ['timeout'],
    )
  })

test('how long runs took is a histogram: cumulated, and the last bucket holds all', () => {
  const buckets = Uint32Array.from([1, 0, 2, 0, 0, 3, 0, 0, 4])
  const found = read([statusOf({}, { durations: { buckets, sum: 412.5, count: 10 } })])
  const counts = found.all('skerry_check_duration_seconds_bucket').map(({ labels, value }) => [labels.le, value])
  assert.deepEqual(counts, [
    ['0.001', 1],
    ['0.005', 1],
    ['0.025', 3],
    ['0.1', 3],
    ['0.5', 3],
    ['2.5', 6],
    ['10.0', 6],
    ['60.0', 6],
    ['+Inf', 10],
  ])
  assert.equal(found.value('skerry_check_duration_seconds_sum'), 412.5)
  assert.equal(found.value('skerry_check_duration_seconds_count'), 10)
})

test('times are seconds since 1970', () => {
  const found = read([statusOf({}, { finishedAt: 1_767_225_600_250, lastSuccessAt: 1_767_225_570_000, consecutiveFailures: 3 })])
  assert.equal(found.value('skerry_check_last_finished_timestamp_seconds'), 1_767_225_600.25)
  assert.equal(found.value('skerry_check_last_success_timestamp_seconds'), 1_767_225_570)
  assert.equal(found.value('skerry_check_consecutive_failures'), 3)
})

test('what a kind measured is shown with the labels of the check and its own, with type and help from its table', () => {
  const measurements = [
    { name: 'skerry_http_status_code', value: 503 },
    { name: 'skerry_http_phase_duration_seconds', labels: { phase: 'tls' }, value: 0.25 },
  ]
  const found = read([statusOf({ labels: { team: 'harbour' } }, { measurements })])
  assert.equal(found.value('skerry_http_status_code', { check: 'shop', team: 'harbour' }), 503)
  assert.equal(found.value('skerry_http_phase_duration_seconds', { check: 'shop', phase: 'tls' }), 0.25)
  assert.equal(found.families.get('skerry_http_status_code')?.type, 'gauge')
  assert.equal(found.families.get('skerry_http_status_code')?.help, checkKinds.http.measures.skerry_http_status_code?.help)
})

test('new measurements take the place of the old ones', () => {
  const status = statusOf({}, { measurements: [{ name: 'skerry_http_status_code', value: 200 }] })
  assert.equal(read([status]).value('skerry_http_status_code'), 200)
  status.measurements = [{ name: 'skerry_http_version', value: 1.1 }]
  assert.equal(read([status]).value('skerry_http_status_code'), undefined)
})

test('a measurement that is in no table, and a series that came before, are left out', () => {
  const measurements = [
    { name: 'skerry_unheard_of', value: 1 },
    { name: 'toString', value: 1 },
    { name: 'skerry_http_status_code', value: 200 },
    { name: 'skerry_http_status_code', value: 404 },
  ]
  const found = read([statusOf({}, { measurements })])
  assert.equal(found.value('skerry_http_status_code'), 200)
  assert.ok([...found.families.keys()].every((name) => name.startsWith('skerry_check_') || name === 'skerry_http_status_code'))
})

test("a measurement's own label takes the place of one that the check was given under the same name", () => {
  const measurements = [{ name: 'skerry_cratedb_failed_checks', labels: { level: '3' }, value: 2 }]
  const found = read([statusOf({ kind: 'cratedb', labels: { level: 'quay' } }, { measurements })])
  assert.equal(found.all('skerry_cratedb_failed_checks')[0]?.labels.level, '3')
  assert.equal(found.value('skerry_check_up', { level: 'quay' }), 0)
})

test('no target can make more than two thousand series of one check', () => {
  const measurements = Array.from({ length: 5_000 }, (_, index) => ({
    name: 'skerry_http_phase_duration_seconds',
    labels: { phase: `${index}` },
    value: 1,
  }))
  assert.equal(read([statusOf({}, { measurements })]).all('skerry_http_phase_duration_seconds').length, 2_000)
})

test('no target can make a label of more than two hundred characters, nor two series that are the same once cut', () => {
  const long = 'x'.repeat(199)
  const phases = [`${long}🚢 one`, `${long}🚢 two`, 'half \ud800', 'half \ud801', long]
  const measurements = phases.map((phase, value) => ({ name: 'skerry_http_phase_duration_seconds', labels: { phase }, value }))
  const found = read([statusOf({}, { measurements })]).all('skerry_http_phase_duration_seconds')
  assert.deepEqual(
    found.map(({ labels, value }) => [labels.phase, value]),
    [
      [`${long}\ufffd`, 0],
      ['half \ufffd', 2],
      [long, 4],
    ],
  )
})

const hostile = [
  'say "hello"',
  'two\nlines',
  'back\\slash',
  'ends with \\',
  'München 🚢',
  '{}=,',
  '# HELP skerry_check_up no',
  '',
  'cr\rlf\tte',
]
for (const value of hostile)
  test(`a label value arrives as it was: ${JSON.stringify(value)}`, () => {
    const found = read([statusOf({ name: value, target: value, labels: { note: value } })], 'openmetrics')
    assert.deepEqual(found.all('skerry_check_up')[0]?.labels, {
      check: value,
      kind: 'http',
      target: value,
      severity: 'warning',
      note: value,
    })
  })

test('what no page can hold is replaced: NUL, at which Prometheus stops reading, and halves of a character', () => {
  const found = read([statusOf({ name: 'a\0b\ud800c' })])
  assert.equal(found.all('skerry_check_up')[0]?.labels.check, 'a\ufffdb\ufffdc')
})

test('labels that nobody can have, or that are the own ones of checks, are left out', () => {
  const labels = { le: '1', state: 'up', check: 'other', 'not-a-name': '1', __name__: 'x', '9lives': '1', ok: 'yes' }
  const found = read([statusOf({ labels })])
  assert.deepEqual(Object.keys(found.all('skerry_check_up')[0]?.labels ?? {}).sort(), ['check', 'kind', 'ok', 'severity', 'target'])
})

test('numbers that are none are written as both formats have them', () => {
  const measurements = [
    { name: 'skerry_http_status_code', value: Number.POSITIVE_INFINITY },
    { name: 'skerry_http_version', value: Number.NaN },
    { name: 'skerry_http_redirects', value: 1e21 },
  ]
  const found = read([statusOf({}, { measurements })])
  assert.equal(found.value('skerry_http_status_code'), Number.POSITIVE_INFINITY)
  assert.equal(found.value('skerry_http_version'), Number.NaN)
  assert.equal(found.value('skerry_http_redirects'), 1e21)
})

test('every measure of every kind can be told in both formats, under a name that no other kind uses otherwise', () => {
  const known = new Map<string, Measure>()
  const statuses: CheckStatus[] = []
  for (const [kind, { measures }] of Object.entries(checkKinds)) {
    const table = Object.entries(measures as Record<string, Measure>)
    for (const [name, measure] of table) {
      assert.match(name, /^skerry_[a-z][a-z0-9_]*$/)
      assert.equal(measure.type === 'counter', name.endsWith('_total'), name)
      assert.match(measure.help, /^[^"\\\n]+$/)
      assert.deepEqual(known.get(name) ?? measure, measure, `${name} means the same everywhere`)
      known.set(name, measure)
    }
    const measurements = table.map(([name, { labels = [] }]) => ({
      name,
      value: 1,
      labels: Object.fromEntries(labels.map((label) => [label, 'x'])),
    }))
    statuses.push(statusOf({ name: kind, kind: kind as CheckKindName }, { measurements }))
  }
  for (const format of ['text', 'openmetrics'] as const) {
    const found = read(statuses, format)
    for (const name of known.keys()) assert.ok(found.all(name).length > 0, name)
  }
})
