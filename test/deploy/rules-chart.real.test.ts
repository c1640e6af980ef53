import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { chart, helm, type Manifest, manifestsOf, template } from './helm.ts'
import { runbooks } from './observability.ts'
import { shapes } from './shapes.ts'

const values = {
  ...shapes.default,
  prometheus: { rules: { enabled: true, labels: { release: 'prometheus' } } },
  grafana: { dashboards: { enabled: true, namespace: 'grafana' } },
}
const ofKind = (objects: Manifest[], kind: string) => objects.filter((object) => object.kind === kind)
const dashboardsOf = (objects: Manifest[]) => ofKind(objects, 'ConfigMap').filter(({ metadata }) => metadata.labels.grafana_dashboard)

test('the packaged chart brings every file of rules and every dashboard, as they are', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'skerry-package-'))
  t.after(() => rm(folder, { recursive: true }))
  const { stdout: said } = await helm(['package', chart, '--destination', folder])
  const { stdout, stderr, code } = await helm(['template', 'skerry', said.trim().split(': ')[1] as string], { values })
  assert.equal(code, 0, stderr)
  const objects = manifestsOf(stdout)

  const rules = new Map(ofKind(objects, 'PrometheusRule').map((each) => [each.metadata.name, each]))
  const ruleFiles = globSync('deploy/prometheus/*')
  assert.equal(rules.size, ruleFiles.length)
  for (const file of ruleFiles) {
    const rule = rules.get(`skerry-${basename(file, '.rules.yaml')}`)
    assert.deepEqual(rule?.spec, parse(readFileSync(file, 'utf8')), file)
    assert.equal(rule.metadata.labels.release, 'prometheus')
  }

  const maps = dashboardsOf(objects)
  const dashboardFiles = globSync('deploy/grafana/*')
  assert.equal(maps.length, dashboardFiles.length)
  for (const file of dashboardFiles) {
    const map = maps.find(({ metadata }) => metadata.name === `skerry-dashboard-${basename(file, '.json')}`)
    assert.deepEqual(JSON.parse(map?.data[basename(file)]), JSON.parse(readFileSync(file, 'utf8')), file)
    assert.equal(map.metadata.namespace, 'grafana')
  }
})

test('neither is there unless it is asked for', async () => {
  const objects = await template(shapes.default)
  assert.deepEqual([...ofKind(objects, 'PrometheusRule'), ...dashboardsOf(objects)], [])
})

test('without a monitor no alert misses it', async () => {
  const rules = ofKind(await template({ ...values, monitor: { enabled: false } }), 'PrometheusRule')
  assert.ok(rules.length > 0)
  assert.ok(!JSON.stringify(rules).includes('absent(skerry_monitor'))
})

test('a site without internet has the runbook where it wants', async () => {
  const prometheus = { rules: { enabled: true, runbooks: 'http://intranet.site/skerry/alerts.html' } }
  const text = JSON.stringify(ofKind(await template({ ...values, prometheus }), 'PrometheusRule'))
  assert.ok(text.includes('"http://intranet.site/skerry/alerts.html#skerrycheckdown"'))
  assert.ok(!text.includes(runbooks))
})
