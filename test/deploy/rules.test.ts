import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parse } from 'yaml'
import { alerts, rules, runbooks } from './observability.ts'

type PromtoolCase = {
  promql_expr_test?: { expr: string; exp_samples?: unknown[] }[]
  alert_rule_test?: { alertname: string; exp_alerts?: unknown[] }[]
}
const cases = globSync('test/deploy/rules/*.yaml').flatMap((file) => parse(readFileSync(file, 'utf8')).tests as PromtoolCase[])
/** By alert: whether it is to fire, in each case that is only about it. */
const expected = Map.groupBy(
  cases.flatMap(({ promql_expr_test: queries = [], alert_rule_test: asked = [] }) => [
    ...queries.map(({ expr, exp_samples = [] }) => ({ alert: /alertname="(\w+)"/.exec(expr)?.[1], fires: exp_samples.length > 0 })),
    ...asked.map(({ alertname, exp_alerts = [] }) => ({ alert: alertname, fires: exp_alerts.length > 0 })),
  ]),
  ({ alert }) => alert,
)

test('every alert has a case in which it fires, and one in which it does not', () => {
  const known = new Set(alerts.map(({ alert }) => alert))
  assert.equal(known.size, alerts.length, 'no two have the same name')
  for (const name of known) {
    const fires = expected.get(name)?.map((each) => each.fires) ?? []
    assert.ok(fires.includes(true), `${name} has a case in which it fires`)
    assert.ok(fires.includes(false), `${name} has a case in which it does not`)
  }
  for (const name of expected.keys()) assert.ok(name === undefined || known.has(name), `${name} is an alert`)
})

test('every alert waits, and says how bad it is, what is the matter and where to read on', () => {
  for (const { alert, for: wait, labels = {}, annotations = {} } of alerts) {
    assert.match(wait ?? '', /^[1-9]\d*[mh]$/, alert)
    assert.ok(['critical', 'warning', '{{ $labels.severity }}'].includes(labels.severity ?? ''), alert)
    assert.match(annotations.summary ?? '', /\.$/, alert)
    assert.match(annotations.description ?? '', /\.$/, alert)
    assert.equal(annotations.runbook_url, `${runbooks}#${alert.toLowerCase()}`)
  }
})

test('every recording rule is used', () => {
  for (const { record } of rules)
    if (record !== undefined) assert.ok(alerts.filter(({ expr }) => expr.includes(record)).length > 0, `${record} is used by an alert`)
})

test('the runbook has a heading for each alert, and says what it means, what to look at and what to do', () => {
  const page = readFileSync('docs/alerts.md', 'utf8')
  const sections = new Map(
    page
      .split(/^### /m)
      .slice(1)
      .map((section) => [section.split('\n', 1)[0], section] as const),
  )
  assert.deepEqual([...sections.keys()].sort(), alerts.map(({ alert }) => alert).sort())
  for (const [name, text] of sections)
    for (const part of ['**Means**', '**Look at**', '**Do**']) assert.ok(text.includes(`\n- ${part}: `), `${name}: ${part}`)
})
