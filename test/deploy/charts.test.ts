import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parse } from 'yaml'
import type { Component } from '../../agent/preflight/components.ts'
import { type Contract, differences, under } from '../../deploy/bootstrap/chart-contract.ts'
import type { ChartFacts } from '../../deploy/bootstrap/chart-facts.ts'
import { faultsOf, type Stack, serviceFaults, type Text } from '../../deploy/bootstrap/chart-faults.ts'
import type { Values } from '../../deploy/bootstrap/chart-values.ts'
import { bootstrap, readComponents } from './bootstrap.ts'
import { readContract } from './charts.ts'

// The charts cannot be fetched here, and are not copied. What they render is a fact, and what is written here is held against it.

const contract = await readContract()
const components = await readComponents()

function valuesOf(name: string): Values {
  const file = `${bootstrap}/values/${name}.yaml`
  return existsSync(file) ? parse(readFileSync(file, 'utf8')) : {}
}

/** A list of components, and charts with these values, and with what else is changed in one of them. */
function stackOf(list: Component[] = components, { charts, beyond }: Contract = contract, values = valuesOf): Stack {
  const pinned = Object.entries(charts).map(([name, chart]): [string, ChartFacts] => [name, under(chart.pinned, values(name))])
  return { components: list, charts: Object.fromEntries(pinned), beyond }
}

const texts = (): Text[] =>
  [...globSync('docs/**/*.md'), ...globSync(`${bootstrap}/values/*.yaml`), ...globSync('deploy/{grafana,prometheus}/**/*'), 'README.md']
    .concat('deploy/chart/values.yaml')
    .filter((where) => /\.(md|yaml|json)$/.test(where))
    .map((where) => ({ where, text: readFileSync(where, 'utf8') }))

test('the contract says what it is of, and knows each component that is brought', () => {
  assert.match(contract.about, /nothing copied/)
  assert.match(contract.date, /^20\d\d-\d\d-\d\d$/)
  const known = components.map(({ name }) => name).filter((name) => name !== 'skerry')
  assert.deepEqual(Object.keys(contract.charts), known)
  for (const [name, { pinned, before }] of Object.entries(contract.charts)) assert.notEqual(pinned.version, before.version, name)
})

test('the list of components agrees with the charts', () => {
  assert.deepEqual(faultsOf(stackOf()), [])
})

test('the Services that texts and values name are there', () => {
  const all = texts()
  assert.ok(all.some(({ text }) => text.includes('loki.monitoring.svc')))
  assert.deepEqual(serviceFaults(all, stackOf()), [])
})

const changed = (name: string, change: Partial<Component>) => components.map((each) => (each.name === name ? { ...each, ...change } : each))
const without = (name: string) => (asked: string) => (asked === name ? {} : valuesOf(asked))
const faulty: { name: string; stack: Stack; faults: RegExp[] }[] = [
  {
    name: 'a version that is not that of the facts',
    stack: stackOf(changed('loki', { version: '6.46.0' })),
    faults: [/^loki: version 6\.46\.0: the known facts are of 18/],
  },
  {
    name: 'a chart by another name',
    stack: stackOf(changed('flux', { chart: 'flux' })),
    faults: [/^flux: chart flux: it is called flux2$/],
  },
  {
    name: 'a wait for a workload of another kind',
    stack: stackOf(changed('alloy', { wait: ['deployment/alloy'] })),
    faults: [/^alloy: wait deployment\/alloy: the chart has no such workload$/],
  },
  {
    name: 'a wait for what need not exist, and never does',
    stack: stackOf(changed('flux', { wait: ['deployment/flux?'] })),
    faults: [/^flux: wait deployment\/flux\?/],
  },
  {
    name: 'a wait for a hook, which is over by then',
    stack: stackOf(changed('flux', { wait: ['job/flux-flux-check'] })),
    faults: [/^flux: wait job\/flux-flux-check/],
  },
  {
    name: 'a wait for a definition that the chart does not have',
    stack: stackOf(changed('loki', { wait: ['crd/lokis.example'] })),
    faults: [/^loki: wait crd\/lokis\.example: the chart has no such definition$/],
  },
  {
    name: 'a selector that does not find the own',
    stack: stackOf(changed('sealed-secrets', { present: ['deployments:name=sealed-secrets-controller'] })),
    faults: [/^sealed-secrets: present .*: it does not find the chart's own$/],
  },
  {
    name: 'a selector that finds another component too',
    stack: stackOf(
      changed('loki', { present: ['statefulsets:app.kubernetes.io/name=loki', 'deployments:app.kubernetes.io/part-of=flux'] }),
    ),
    faults: [/^loki: present deployments:app\.kubernetes\.io\/part-of=flux: it finds flux too$/],
  },
  {
    name: 'a definition that no chart has',
    stack: stackOf(changed('flux', { definition: 'helmreleases.fluxcd.io' })),
    faults: [/^flux: definition helmreleases\.fluxcd\.io: no chart has it$/],
  },
  {
    name: 'definitions that go, for want of the value that keeps them',
    stack: stackOf(components, contract, without('flux')),
    faults: Array.from({ length: 14 }, () => /^flux: definition \S+\.toolkit\.fluxcd\.io is deleted with the chart, with all its objects/),
  },
  {
    name: 'definitions that go, for a value that does not keep them',
    stack: stackOf(components, contract, (name) => (name === 'cert-manager' ? { crds: { enabled: true, keep: false } } : valuesOf(name))),
    faults: Array.from({ length: 6 }, () => /^cert-manager: definition \S+ is deleted with the chart/),
  },
  {
    name: 'definitions that go, with nothing in the list about it',
    stack: stackOf(changed('crate-operator-crds', { keep: undefined as never })),
    faults: [/^crate-operator-crds: definition cratedbs\.cloud\.crate\.io is deleted with the chart/],
  },
  {
    name: 'definitions of which the list says that they go, and which stay',
    stack: stackOf(changed('cert-manager', { keep: 'definitions' })),
    faults: [/^cert-manager: keep definitions: no CRD would be deleted with the chart$/],
  },
  {
    name: 'a volume for one pod, and two of them at each upgrade',
    stack: stackOf(components, contract, without('grafana')),
    faults: [/^grafana: deployment\/grafana: its strategy has to be Recreate/],
  },
  {
    name: 'a Kubernetes that is too old for the chart',
    stack: stackOf(changed('prometheus', { kubernetes: '1.24' })),
    faults: [/^prometheus: kubernetes 1\.24: the chart requires 1\.25$/],
  },
  {
    name: 'a Kubernetes that is too old for its hook',
    stack: stackOf(changed('flux', { kubernetes: '1.32' })),
    faults: [/^flux: kubernetes 1\.32: its hook requires 1\.33$/],
  },
  {
    name: 'a Secret that nobody makes again',
    stack: stackOf(changed('sealed-secrets', { remade: ['sealed-secrets-key'] })),
    faults: [/^sealed-secrets: remade sealed-secrets-key: neither the chart nor its programs create it$/],
  },
]

for (const { name, stack, faults } of faulty)
  test(`the guard sees ${name}`, () => {
    const found = faultsOf(stack)
    assert.equal(found.length, faults.length, found.join('\n'))
    for (const [index, fault] of faults.entries()) assert.match(found[index] ?? '', fault)
  })

const services: { name: string; where?: string; text: string; faults: string[] }[] = [
  { name: 'a Service of a chart', text: 'http://loki.monitoring.svc:3100/ready', faults: [] },
  { name: 'a Service that an operator makes', text: 'http://prometheus-operated.monitoring.svc.cluster.local:9090', faults: [] },
  { name: 'a Service of somebody else', text: 'http://crate-tide.project-harbour.svc:4200', faults: [] },
  {
    name: 'one that no chart has',
    text: 'at prometheus.monitoring.svc',
    faults: ['a.md: no chart has the Service prometheus in monitoring'],
  },
  {
    name: 'another port',
    text: 'http://grafana.monitoring.svc:3000',
    faults: ['a.md: no chart has the Service grafana in monitoring with port 3000'],
  },
  {
    name: 'one in values',
    where: 'a.yaml',
    text: 'service: { name: loki-gateway, namespace: monitoring, port: 80 }',
    faults: ['a.yaml: no chart has the Service loki-gateway in monitoring with port 80'],
  },
]
for (const { name, where = 'a.md', text, faults } of services)
  test(`of Services, ${name} is ${faults.length > 0 ? 'a fault' : 'none'}`, () => {
    assert.deepEqual(serviceFaults([{ where, text }], stackOf()), faults)
  })

test('what has changed in a chart is told by its place', () => {
  const was = contract.charts.prometheus?.pinned as ChartFacts
  assert.deepEqual(differences(was, was), [])
  const [node, ...others] = was.workloads
  assert.ok(node)
  const is: ChartFacts = {
    ...was,
    kubeVersion: '>=1.30.0-0',
    workloads: [{ ...node, labels: { ...node.labels, release: 'other' }, strategy: 'OnDelete' }, ...others.slice(1)],
    services: was.services.map((each) => (each.name === 'prometheus-operator' ? { ...each, ports: ['https:8443'] } : each)),
    definitions: was.definitions.map((each, index) => (index === 0 ? { ...each, from: 'templates', versions: ['v1'] } : each)),
    customs: was.customs.map((each) => (each.kind === 'Alertmanager' ? { ...each, fields: [...each.fields, 'tide'] } : each)),
    secrets: [],
    unknownValues: ['tide.high'],
  }
  assert.deepEqual(differences(was, is), [
    'CustomResourceDefinition/alertmanagerconfigs.monitoring.coreos.com is among the templates, not kept, and was in the folder crds/',
    'CustomResourceDefinition/alertmanagerconfigs.monitoring.coreos.com versions is v1, and was v1alpha1',
    'DaemonSet/prometheus-prometheus-node-exporter label release is other, and was prometheus',
    'DaemonSet/prometheus-prometheus-node-exporter strategy is OnDelete, and was RollingUpdate',
    'Deployment/prometheus-kube-state-metrics is gone',
    'Secret/alertmanager-prometheus-alertmanager is gone',
    'Service/prometheus-operator in monitoring is https:8443, and was https:443',
    'field tide of Alertmanager is new',
    'image registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.20.0 is gone',
    'our value tide.high, which the chart does not list, is new',
    'the condition on Kubernetes is >=1.30.0-0, and was >=1.25.0-0',
  ])
})
