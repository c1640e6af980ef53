import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parse } from 'yaml'
import { databaseLabels } from '../../agent/resources/database-secrets.ts'
import { parseBytes } from '../../shared/kubernetes/quantity.ts'
import { bootstrap, readComponents } from './bootstrap.ts'
import { labelsByRules } from './relabel.ts'

// That the values of deploy/bootstrap mean what they are to mean, as far as that can be told without the charts.

const valuesOf = (name: string) => parse(readFileSync(`${bootstrap}/values/${name}.yaml`, 'utf8'))
const ours = parse(readFileSync('deploy/chart/values.yaml', 'utf8'))

test('values are for components that are brought', async () => {
  const names = (await readComponents()).map(({ name }) => name)
  for (const file of readdirSync(`${bootstrap}/values`)) assert.ok(names.includes(file.replace('.yaml', '')), file)
})

test('Loki’s volume holds what may come in, for as long as it is kept', () => {
  const { loki, singleBinary } = valuesOf('loki')
  const { retention_period: kept, ingestion_rate_mb: rate, ingestion_burst_size_mb: burst } = loki.limits_config
  const days = Number(/^(\d+)h$/.exec(kept)?.[1]) / 24 + 1
  const comesIn = days * 86_400 * rate * 2 ** 20
  const onDisk = comesIn / 5 + 2 * 2 ** 30
  const volume = Number(parseBytes(singleBinary.persistence.size))
  assert.ok(onDisk <= volume, `${onDisk / 2 ** 30} GiB`)
  assert.ok(onDisk >= 0.8 * volume, 'the volume is larger than need be')
  // Alloy sends up to 1 MiB at once, and what is larger than the burst never gets through.
  assert.ok(burst > 1)
  assert.equal(loki.compactor.retention_enabled, true)
  assert.equal(loki.compactor.delete_request_store, loki.schemaConfig.configs[0].object_store)
})

test('what brings logs, what keeps them and what shows them mean the same Loki', () => {
  const [, push] = /url = "(.*)"/.exec(valuesOf('alloy').alloy.configMap.content) ?? []
  const sources = valuesOf('grafana').datasources['datasources.yaml'].datasources
  const shown = sources.find(({ type }: { type: string }) => type === 'loki').url
  assert.equal(push, `${shown}/loki/api/v1/push`)
})

test('Grafana looks for the label that the chart gives to its dashboards, in all namespaces', () => {
  const { label, searchNamespace } = valuesOf('grafana').sidecar.dashboards
  assert.deepEqual([label, searchNamespace], [Object.keys(ours.grafana.dashboards.labels)[0], 'ALL'])
})

test('Grafana and Prometheus are where the chart’s tunnel and network policies expect them', async () => {
  const components = await readComponents()
  const at = (name: string) => components.find((component) => component.name === name)?.namespace
  assert.equal(ours.cloudflared.grafana.service.namespace, at('grafana'))
  assert.equal(ours.cloudflared.prometheus.service.namespace, at('prometheus'))
  assert.deepEqual(ours.prometheus.namespaces, [at('prometheus')])
})

test('Prometheus takes whatever asks to be scraped, probed or judged', () => {
  const spec = valuesOf('prometheus').prometheus.prometheusSpec
  for (const kind of ['podMonitor', 'serviceMonitor', 'probe', 'scrapeConfig', 'rule'])
    assert.equal(spec[`${kind}SelectorNilUsesHelmValues`], false, kind)
})

test('nothing calls home', () => {
  const { analytics, news, security } = valuesOf('grafana')['grafana.ini']
  assert.deepEqual([...Object.values(analytics), news.news_feed_enabled], [false, false, false, false])
  assert.equal(security.disable_gravatar, true)
  assert.equal(valuesOf('loki').loki.analytics.reporting_enabled, false)
  assert.equal(valuesOf('alloy').alloy.enableReporting, false)
})

test('what is kept has an annotation that helm obeys', () => {
  assert.deepEqual(valuesOf('flux').crds.annotations, { 'helm.sh/resource-policy': 'keep' })
  assert.equal(valuesOf('cert-manager').crds.keep, true)
  assert.equal(valuesOf('grafana').persistence.annotations['helm.sh/resource-policy'], 'keep')
})

test('what brings logs may see pods and change nothing, and is wherever a pod may be', () => {
  const { rbac, controller, alloy } = valuesOf('alloy')
  for (const rule of [...rbac.rules, ...rbac.clusterRules]) {
    assert.deepEqual([rule.apiGroups, rule.resources], [[''], ['pods']])
    for (const verb of rule.verbs) assert.ok(['get', 'list', 'watch'].includes(verb), verb)
  }
  assert.deepEqual(controller.tolerations, [{ operator: 'Exists' }])
  const positions = controller.volumes.extra.find(({ name }: { name: string }) => name === 'positions')
  assert.equal(positions.hostPath.type, 'DirectoryOrCreate')
  assert.equal(alloy.mounts.extra.find(({ name }: { name: string }) => name === 'positions').mountPath, alloy.storagePath)
})

/** A pod's container as Alloy's discovery describes it. */
function discovered(namespace: string, labels: Record<string, string>, annotations: Record<string, string> = {}): Record<string, string> {
  const named = (kind: string, [key, value]: [string, string]) => [
    `__meta_kubernetes_pod_${kind}_${key.replaceAll(/[^a-z0-9]/gi, '_')}`,
    value,
  ]
  return {
    __meta_kubernetes_namespace: namespace,
    __meta_kubernetes_pod_uid: 'u-1',
    __meta_kubernetes_pod_name: 'pod-0',
    __meta_kubernetes_pod_container_name: 'crate',
    ...Object.fromEntries(Object.entries(labels).map((entry) => named('label', entry))),
    ...Object.fromEntries(Object.entries(annotations).map((entry) => named('annotation', entry))),
    ...Object.fromEntries(Object.keys(annotations).map((key) => named('annotationpresent', [key, 'true']))),
  }
}
const logLabels = (target: Record<string, string>) => labelsByRules(valuesOf('alloy').alloy.configMap.content, target)

test('a log of a database bears its project and its name', () => {
  const own = databaseLabels({ kind: 'database', project: 'harbour', database: 'tide' })
  // As the operator copies them, and what it adds (section 5 of its facts).
  const operators = { 'managed-by': 'crate-operator', 'part-of': 'cratedb', name: 'tide', component: 'cratedb' }
  const added = Object.fromEntries(Object.entries(operators).map(([key, value]) => [`app.kubernetes.io/${key}`, value]))
  assert.deepEqual(logLabels(discovered('harbour', { ...own, ...added })), {
    __path__: '/var/log/pods/*u-1/crate/*.log',
    namespace: 'harbour',
    pod: 'pod-0',
    container: 'crate',
    app: 'tide',
    component: 'cratedb',
    project: 'harbour',
    database: 'tide',
  })
  const { project, ...others } = logLabels(discovered('mine', added))
  assert.equal(project, undefined, 'one that Skerry did not make has no project')
  assert.equal(others.database, 'tide')
})

test('a log of anything else bears no database', () => {
  const operator = {
    'app.kubernetes.io/name': 'crate-operator',
    'app.kubernetes.io/part-of': 'cratedb',
    'app.kubernetes.io/managed-by': 'Helm',
  }
  const labels = logLabels(discovered('crate-operator', operator))
  assert.deepEqual([labels.app, labels.database, labels.project, labels.component], ['crate-operator', undefined, undefined, undefined])
})

test('a pod that its node runs by itself is found by its hash', () => {
  const target = discovered('kube-system', {}, { 'kubernetes.io/config.hash': 'h-1' })
  assert.equal(logLabels(target).__path__, '/var/log/pods/*h-1/crate/*.log')
})
