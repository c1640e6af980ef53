import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { alerts, dashboards, rules } from './observability.ts'
import { startObservedRegion } from './observed-region.ts'
import { namedIn, type Selector } from './promql.ts'

type Labels = Record<string, string>
type Question = { where: string; expr: string; legend?: string | undefined; isSilent?: boolean }

const began = Date.now() / 1000
const patienceMs = 120_000

test('every query of every dashboard and every rule names series and labels that the programs export, and is answered', async (t) => {
  const { prometheus, instances, withoutBroker, withoutApiServer } = await startObservedRegion(t)
  const ask = createAsker(prometheus.url)
  const isThere = async (selector: string) => (await ask.series(selector)).length > 0
  const until = async (selectors: string[]) => {
    const deadline = Date.now() + patienceMs
    for (;;) {
      const found = await Promise.all(selectors.map(isThere))
      if (found.every(Boolean)) return
      assert.ok(Date.now() < deadline, `seen within ${patienceMs} ms: ${selectors.filter((_, index) => !found[index])}`)
      await sleep(250)
    }
  }
  const filled = (text: string) =>
    text
      .replaceAll('$__rate_interval', '20s')
      .replaceAll('$agent', instances.agent)
      .replaceAll('$monitor', instances.monitor)
      .replaceAll(/\$(kind|check|project|database)\b/g, '.*')
  const questions: Question[] = [
    ...dashboards.flatMap(({ file, panels }) =>
      panels.flatMap(({ title, targets = [] }) =>
        targets.map(({ expr, legendFormat }) => ({ where: `${file}: ${title}`, expr: filled(expr), legend: legendFormat })),
      ),
    ),
    ...rules.map(({ alert, record, expr }) => ({ where: alert ?? record ?? '', expr, isSilent: alert !== undefined })),
  ]
  const recorded = new Set(rules.map(({ record }) => record))
  const isExported = ({ name }: Selector) => !recorded.has(name) && name !== 'up'

  await until(whileWell)
  // Of the pages as they are now: Prometheus forgets what it does not see any more.
  const exported = questions.flatMap(({ expr }) => namedIn(expr).selectors).filter(isExported)
  const metadata = await ask.metadataOf(exported.map(({ name }) => name))
  await withoutBroker(() => until(whileUnheard))
  await withoutApiServer(() => until(whileAway))

  for (const question of questions)
    await t.test(`${question.where}: ${question.expr}`, async () => {
      const { selectors, groupings } = namedIn(question.expr)
      const known = new Map<Selector, Labels[]>()
      for (const selector of selectors) {
        const series = await ask.series(selector.name)
        known.set(selector, series)
        assert.ok(series.length > 0, `there is a series ${selector.name}`)
        if (isExported(selector)) assert.ok(metadata[familyOf(selector.name, metadata)], `${selector.name} is described by the page`)
        for (const { label, op, value } of selector.matchers) {
          const values = series.flatMap((labels) => labels[label] ?? [])
          assert.ok(values.length > 0, `${selector.name} has the label ${label}`)
          const matches = op === '=' ? values.includes(value) : values.some((each) => new RegExp(`^(?:${value})$`).test(each))
          assert.ok(matches || op.startsWith('!'), `${selector.name} is there with ${label}${op}${value}`)
        }
      }
      const labels = new Set([...known.values()].flat().flatMap(Object.keys))
      for (const grouping of groupings) assert.ok(labels.has(grouping), `${grouping} is a label of one of them`)
      for (const [, name = ''] of question.expr.matchAll(/(?:rate|increase)\((\w+)/g))
        assert.match(metadata[familyOf(name, metadata)]?.[0]?.type ?? '', /counter|histogram/, `${name} only grows`)

      const results = await ask.range(question.expr)
      if (question.isSilent) return
      assert.ok(results.length > 0, 'it has a result')
      for (const [, label = ''] of question.legend?.matchAll(/\{\{(\w+)\}\}/g) ?? [])
        assert.ok(
          results.some((each) => each[label] !== undefined),
          `its results have the label ${label} of the legend`,
        )
    })

  for (const { file, templating } of dashboards)
    for (const { name, query } of templating.list.slice(1))
      await t.test(`${file}: the variable ${name} has values`, async () => {
        const [, expr = '', label = ''] = /^label_values\((.*), (\w+)\)$/.exec(filled(query)) ?? []
        assert.ok(
          (await ask.series(expr)).some((labels) => labels[label] !== undefined),
          query,
        )
      })

  for (const { alert, expr, annotations = {} } of alerts)
    await t.test(`${alert}: its words name labels and series that there are`, async () => {
      const text = Object.values(annotations).join('\n')
      const series = (await Promise.all(namedIn(expr).selectors.map(({ name }) => ask.series(name)))).flat()
      for (const [, label = ''] of text.matchAll(/\$labels\.(\w+)/g))
        assert.ok(
          series.some((labels) => labels[label] !== undefined),
          label,
        )
      for (const [name] of text.matchAll(/\bskerry_\w+/g)) assert.ok(await isThere(name), name)
    })

  await t.test('Prometheus itself evaluates every rule without an error', async () => {
    const found = await ask.rules()
    assert.equal(found.length, rules.length)
    for (const { name, health, lastError } of found) assert.equal(health, 'ok', `${name}: ${lastError}`)
  })
})

/** Seen while all is there: the last things to come. */
const whileWell = [
  'skerry_volume_size_bytes{check="volume/harbour/tidal-gauge"}',
  'skerry_cratedb_tables{database="tidal-gauge"}',
  'skerry_sparkplug_node_last_seen_timestamp_seconds',
  'skerry_sparkplug_node_rebirth_requests_total',
  'skerry_sparkplug_server_info',
  'skerry_check_reason{reason="limit",kind="volume"}',
  'skerry_check_reason{reason="expiring"}',
  'skerry_check_reason{check="closed"}',
  'skerry_cloudflared_ready_connections',
  'skerry_agent_operation_duration_seconds_count{outcome="Succeeded"}',
  'skerry_agent_ledger_hole_timestamp_seconds',
  'skerry_agent_registration_heard_age_seconds',
  'skerry_agent_retained_next_expiry_timestamp_seconds',
  // A node is compared after its third renewal.
  'skerry_agent_clock_offset_seconds{to="node"}',
  'skerry_host_filesystem_size_bytes',
]
/** Seen while the MQTT server is away. */
const whileUnheard = ['skerry_check_reason{kind="sparkplug-node",reason="monitor_disconnected"}']
/** Seen while the API server is away. */
const whileAway = [
  'skerry_check_reason{reason="dependency",kind="cratedb"}',
  'skerry_agent_http_request_duration_seconds_count{status="5xx"}',
  'skerry_agent_kubernetes_request_duration_seconds_count{status="0"}',
]

type Metadata = Record<string, { type: string }[]>

/** The family that a series belongs to: Prometheus describes a histogram, and in OpenMetrics a counter, by a shorter name. */
function familyOf(series: string, metadata: Metadata): string {
  const shorter = [series, series.replace(/_(bucket|sum|count)$/, ''), series.replace(/_total$/, '')]
  return shorter.find((name) => metadata[name] !== undefined) ?? series
}

/** Asks Prometheus for what it has seen since this file began. @throws Error with what it says when it does not understand */
function createAsker(url: string) {
  const get = async <T>(path: string, query: Record<string, string> = {}): Promise<T> => {
    const response = await fetch(`${url}/api/v1/${path}?${new URLSearchParams(query)}`)
    const { status, data, error } = (await response.json()) as { status: string; data: T; error?: string }
    if (status !== 'success') throw new Error(error)
    return data
  }
  const since = () => ({ start: String(began), end: String(Date.now() / 1000) })
  return {
    series: (selector: string) => get<Labels[]>('series', { 'match[]': selector, ...since() }),
    /** Labels of each series of the result, at any time: as often as Prometheus scrapes, since some are there for a moment only. */
    range: async (query: string) =>
      (await get<{ result: { metric: Labels }[] }>('query_range', { query, step: '0.25', ...since() })).result.map(({ metric }) => metric),
    /** With all of these series, or without those that are still not described when patience has run out. */
    async metadataOf(series: string[]): Promise<Metadata> {
      for (const deadline = Date.now() + patienceMs; ; await sleep(250)) {
        const metadata = await get<Metadata>('metadata')
        if (series.every((name) => metadata[familyOf(name, metadata)]) || Date.now() > deadline) return metadata
      }
    },
    rules: async () =>
      (await get<{ groups: { rules: { name: string; health: string; lastError?: string }[] }[] }>('rules')).groups.flatMap(
        (group) => group.rules,
      ),
  }
}
