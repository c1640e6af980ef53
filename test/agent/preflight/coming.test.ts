import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Component, componentsToCome, ownComponents } from '../../../agent/preflight/components.ts'
import type { ChartSeen, Evidence, Reached } from '../../../agent/preflight/evidence.ts'
import { stackNeeds } from '../../../agent/preflight/stack.ts'
import { assertExplained, definition, deployment, findings, fine, levelOf, namespace, node, storageClass, trouble } from './samples.ts'

// What is to come: which components, whether the cluster is new enough for them, and whether they can be had.

const reached = (given: Partial<Reached>): Reached[] => [
  { host: 'ghcr.io', port: 443, neededFor: 'images', vital: false, proxy: undefined, outcome: 'reached', detail: '', ...given },
]
const charted = (given: Partial<ChartSeen>): ChartSeen => ({
  ...{ component: 'loki', needed: false, chart: 'loki', version: '18.11.0', repository: 'https://charts.example' },
  ...{ outcome: 'no-repository', detail: 'the repository is gone or has moved (404)', ...given },
})
const operatorChart = { component: 'crate-operator', needed: true, chart: 'crate-operator', repository: 'https://operator.example' }
const only = (...names: string[]) => ({ components: componentsToCome(ownComponents, names) })
const deleted = { deletionTimestamp: '2026-01-31T11:00:00Z' }
const three = (given: Parameters<typeof node>[1]) => ['a', 'b', 'c'].map((name) => node(name, given))
const local = storageClass('crate-local')

const cases: { name: string; given: Partial<Evidence>; expect: string[] }[] = [
  {
    name: 'asks for no version for what is left out',
    given: { kubernetes: 'v1.24.3', nodes: three({ kubelet: 'v1.24.3' }), ...only('cert-manager', 'crate-operator', 'skerry') },
    expect: ['warn kubernetes-version'],
  },
  {
    name: 'says nothing of versions of what runs already to the agent',
    given: { audience: 'agent', kubernetes: 'v1.30.0', nodes: three({ kubelet: 'v1.30.0' }) },
    expect: [],
  },
  {
    name: 'asks for less where less is to come',
    given: { nodes: three({ cpu: '1500m', memory: '2Gi' }), ...only('cert-manager', 'crate-operator') },
    expect: ['warn cpu'],
  },
  {
    name: 'asks for no default class where nothing that takes it is to come',
    given: { storageClasses: [storageClass('crate-premium'), local], ...only('cert-manager', 'crate-operator', 'skerry') },
    expect: [],
  },
  {
    name: 'leaves what is not to come alone',
    given: {
      namespaces: [namespace('cert-manager', deleted)],
      definitions: [definition('certificates.cert-manager.io', deleted)],
      deployments: [deployment('flux-system', 'helm-controller')],
      ...only('crate-operator', 'skerry'),
    },
    expect: [],
  },
  {
    name: 'warns of a host that is not reached',
    given: { reached: reached({ outcome: 'silent', detail: 'no answer' }) },
    expect: ['warn outbound/ghcr.io:443'],
  },
  {
    name: 'warns once when no host is reached for one and the same reason',
    given: { reached: ['ghcr.io', 'quay.io'].flatMap((host) => reached({ host, outcome: 'unresolved', detail: 'not resolved' })) },
    expect: ['warn outbound'],
  },
  {
    name: 'warns of each host when they are not reached for reasons of their own',
    given: {
      reached: [
        ...reached({ outcome: 'silent', detail: 'no answer' }),
        ...reached({ host: 'quay.io', outcome: 'refused', detail: 'closed' }),
      ],
    },
    expect: ['warn outbound/ghcr.io:443', 'warn outbound/quay.io:443'],
  },
  {
    name: 'fails once where no host is reached and charts cannot be fetched without which no database runs',
    given: {
      reached: ['crate.github.io', 'quay.io'].flatMap((host) =>
        reached({ host, vital: host === 'crate.github.io', outcome: 'unresolved', detail: 'not resolved' }),
      ),
    },
    expect: ['fail outbound'],
  },
  {
    name: 'warns once of a proxy, and of the host that is tried without it',
    given: {
      reached: [
        ...['ghcr.io', 'quay.io'].flatMap((host) => reached({ host, proxy: 'proxy.site:3128', outcome: 'proxy-unreachable', detail: 'x' })),
        ...reached({ host: 'tunnel.example', port: 7844, outcome: 'unresolved', detail: 'x' }),
      ],
    },
    expect: ['warn outbound/proxy.site:3128', 'warn outbound/tunnel.example:7844'],
  },
  {
    name: 'warns of a chart that is not where it was, which is left out',
    given: { charts: [charted({}), charted({ ...operatorChart, outcome: 'there', detail: '' })] },
    expect: ['warn chart-repository/https://charts.example'],
  },
  {
    name: 'fails on one without which no database runs',
    given: { charts: [charted({ ...operatorChart, outcome: 'no-version', detail: 'no version 1' }), charted({ outcome: 'there' })] },
    expect: ['fail chart/crate-operator'],
  },
  {
    name: 'only warns of that one too when nothing follows from the answer',
    given: { charts: [charted({ ...operatorChart, outcome: 'unclear', detail: 'it answers 503' }), charted({ outcome: 'there' })] },
    expect: ['warn chart-repository/https://operator.example'],
  },
  {
    name: 'warns once of a repository that is gone with several charts, and of each chart that alone is missing',
    given: {
      charts: [
        ...[charted({}), charted({ component: 'grafana', chart: 'grafana' })],
        ...['flux', 'alloy'].map((component) =>
          charted({ component, repository: 'https://others.example', outcome: 'no-version', detail: `no version of ${component}` }),
        ),
      ],
    },
    expect: ['warn chart-repository/https://charts.example', 'warn chart/flux', 'warn chart/alloy'],
  },
  {
    name: 'fails once where something in between answers for all repositories',
    given: { charts: [charted({}), charted(operatorChart)].map((each) => ({ ...each, outcome: 'no-index' as const, detail: 'no list' })) },
    expect: ['fail charts'],
  },
  { name: 'says nothing of charts that nobody asked for', given: { charts: undefined }, expect: [] },
  { name: 'says nothing of hosts when offline', given: { reached: undefined }, expect: [] },
]
for (const { name, given, expect } of cases) test(`preflight ${name}`, () => assert.deepEqual(trouble(given), expect))

test('all that is said of what is to come is said in full', () => {
  for (const { given } of cases) assertExplained(findings(given))
})

test('an image host outside that cannot be reached is never a failure, and one of charts that databases need always is', () => {
  for (const outcome of ['unresolved', 'refused', 'silent', 'proxy-unreachable', 'proxy-refused', 'untrusted'] as const)
    for (const vital of [false, true]) assert.equal(levelOf({ reached: reached({ outcome, detail: 'x', vital }) }), vital ? 'fail' : 'warn')
})

test('a cluster that is too old for components is told with each that it is too old for, and what it needs', () => {
  const list = {
    harbour: ['needed', '1.21'],
    tide: ['usual', '1.25'],
    ebb: ['usual', '1.25'],
    neap: ['usual', '1.33'],
    quay: ['usual', '1.20'],
  }
  const components = Object.entries(list).map(
    ([name, [role, kubernetes]]) => ({ ...fine.components[0], name, role, kubernetes }) as Component,
  )
  const found = findings({ kubernetes: 'v1.20.15', components }).filter(({ id }) => id.startsWith('component-version/'))
  assert.deepEqual(
    found.map(({ what }) => what),
    [
      'Kubernetes v1.20.15 is too old for what databases need: harbour (1.21)',
      'Kubernetes v1.20.15 is too old for tide and ebb (1.25) and neap (1.33)',
    ],
  )
  assert.match(found[0]?.action ?? '', /^Upgrade the cluster to 1\.21 or newer\. .* --skip harbour$/)
  assert.match(found[1]?.action ?? '', /^Upgrade the cluster to 1\.33 or newer/)
  assert.match(found[1]?.why ?? '', /leaves them out/)
})

test('a share of what the stack takes is known of each component, and the whole is what the pages say', () => {
  for (const { name } of fine.components) {
    const { usual } = stackNeeds(componentsToCome(ownComponents, [name]))
    // Definitions alone take nothing.
    assert.equal(usual.millicores > 0 && usual.bytes > 0n, name !== 'crate-operator-crds', name)
  }
  const { least, usual } = stackNeeds(fine.components)
  assert.deepEqual(
    [least, usual],
    [
      { millicores: 2_000, bytes: 4n << 30n },
      { millicores: 3_000, bytes: 6n << 30n },
    ],
  )
})
