import assert from 'node:assert/strict'
import { test } from 'node:test'
import { componentsConfig, discoveryConfig } from '../../../monitor/region/config.ts'
import { discoveredChecks, mayBeDiscovered, mergeChecks, type RegionView } from '../../../monitor/region/discovered-checks.ts'
import { Discovery } from '../../../monitor/region/discovery.ts'
import { databaseView, hostView, serviceView } from '../../../monitor/region/views.ts'
import { sparkplugNodeView } from '../../../monitor/sparkplug/sparkplug-node.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'
import { logLines } from '../prober/scene.ts'
import { cachesOn, clusterInHand, components, crateDB, node, service, silent, sparkplugNode } from './in-hand.ts'

const settings = (given: object = {}) => ({ discovery: discoveryConfig.parse(given), components })
const view = (given: Partial<RegionView> = {}): RegionView => ({ hosts: [], databases: [], services: [], sparkplugNodes: [], ...given })
const orders = databaseView(crateDB('project-shop', 'orders'))
const agentService = serviceView(
  service('skerry', 'skerry-agent', 'skerry-agent', [
    { name: 'https', port: 8443 },
    { name: 'admin', port: 9808 },
  ]),
)
const everything = view({
  hosts: [hostView(node('pier'))],
  databases: [orders],
  services: [agentService],
  sparkplugNodes: [sparkplugNodeView(sparkplugNode('site', 'crane'))],
})
const names = (checks: { name: string }[]) => checks.map(({ name }) => name)

test('an empty configuration checks what stands in the cluster', () => {
  assert.deepEqual(names(discoveredChecks(everything, settings())), [
    'component/agent/skerry/skerry-agent',
    'database/shop/orders',
    'kubernetes',
    'sparkplug-node/site/crane',
    'volume/shop/orders',
  ])
})

const switches: [setting: string, gone: string[]][] = [
  ['kubernetes', ['kubernetes']],
  ['databases', ['database/shop/orders']],
  ['volumes', ['volume/shop/orders']],
  ['components', ['component/agent/skerry/skerry-agent']],
  ['sparkplugNodes', ['sparkplug-node/site/crane']],
]
for (const [setting, gone] of switches)
  test(`discovery.${setting}: false leaves out ${gone}`, () => {
    const all = names(discoveredChecks(everything, settings()))
    assert.deepEqual(
      names(discoveredChecks(everything, settings({ [setting]: false }))),
      all.filter((name) => !gone.includes(name)),
    )
  })

test('kubelets are checked when asked for', () => {
  const check = discoveredChecks(everything, settings({ kubelets: true })).find(({ name }) => name === 'kubelet/pier')
  assert.deepEqual([check?.kind, check?.target, check?.dependsOn], ['kubelet', 'pier', ['kubernetes']])
})

test('a database is asked as its user system, and depends on the API server', () => {
  const check = discoveredChecks(view({ databases: [orders] }), settings()).find(({ kind }) => kind === 'cratedb')
  assert.equal(check?.target, 'http://crate-discovery-orders.project-shop.svc.cluster.local:4200/_sql')
  assert.deepEqual(check?.dependsOn, ['kubernetes'])
  assert.deepEqual(check?.labels, { project: 'shop', database: 'orders' })
  const options = check?.options as Record<string, unknown>
  assert.deepEqual(
    [options.username, options.passwordSecret, options.expectNodes],
    ['system', { namespace: 'project-shop', name: 'user-system-orders', key: 'password' }, 3],
  )
})

test('a database with a certificate is asked by https', () => {
  const secure = databaseView(crateDB('project-shop', 'orders', { spec: { ssl: {} } }))
  const check = discoveredChecks(view({ databases: [secure] }), settings()).find(({ kind }) => kind === 'cratedb')
  assert.match(check?.target ?? '', /^https:/)
})

test('a database that is suspended or being deleted is not checked', () => {
  const suspended = databaseView(crateDB('project-shop', 'orders', { replicas: 0 }))
  assert.deepEqual(names(discoveredChecks(view({ databases: [suspended, { ...orders, deleting: true }] }), settings())), ['kubernetes'])
})

test('databases of the same name in a project and in a namespace of that name have checks of their own', () => {
  const other = databaseView(crateDB('shop', 'orders'))
  assert.deepEqual(names(discoveredChecks(view({ databases: [orders, other] }), settings({ volumes: false }))), [
    'database/namespace.shop/orders',
    'database/shop/orders',
    'kubernetes',
  ])
})

test('a Service without a port to ask is not checked, and that of another component neither', () => {
  const services = [
    serviceView(service('skerry', 'skerry-agent', 'skerry-agent', [{ name: 'https', port: 8443 }])),
    serviceView(service('web', 'shop', 'shop', [{ name: 'http', port: 80 }])),
    serviceView(service('cert-manager', 'cert-manager', 'cert-manager', [{ name: 'http', port: 9402 }])),
  ]
  assert.deepEqual(names(discoveredChecks(view({ services }), settings())), ['kubernetes'])
})

test('a component is asked at the port that its Service has, under the path that its kind needs', () => {
  const grafana = serviceView(service('monitoring', 'grafana', 'grafana', [{ name: 'service', port: 80 }]))
  const [check] = discoveredChecks(view({ services: [grafana] }), settings({ clusterDomain: 'region.example' }))
  assert.deepEqual([check?.kind, check?.target], ['http', 'http://grafana.monitoring.svc.region.example/api/health'])
})

test('a configured check takes the place of the discovered one of its name', () => {
  const discovered = discoveredChecks(everything, settings())
  const mine = { ...(discovered[2] as (typeof discovered)[0]), target: 'mine' }
  const merged = mergeChecks([mine], discovered)
  assert.equal(merged.length, discovered.length)
  assert.deepEqual(
    merged.filter(({ name }) => name === 'kubernetes').map(({ target }) => target),
    ['mine'],
  )
})

test('a database does not depend on a check of the API server that was turned off', () => {
  const merged = mergeChecks([], discoveredChecks(everything, settings({ kubernetes: false })))
  assert.deepEqual(merged.find(({ kind }) => kind === 'cratedb')?.dependsOn, [])
})

const faults: [name: string, parse: () => { error?: { issues: { message: string }[] } | undefined }, message: string][] = [
  [
    'an address without a database',
    () => discoveryConfig.safeParse({ databaseUrl: 'http://{namespace}/' }),
    'must contain {namespace} and {database}',
  ],
  [
    'an address that is none',
    () => discoveryConfig.safeParse({ databaseUrl: '{namespace} {database}' }),
    'must be an http or https URL without a user',
  ],
  ['a domain that is none', () => discoveryConfig.safeParse({ clusterDomain: 'a b' }), 'must be a domain, such as cluster.local'],
  [
    'a path that no URL can have',
    () => componentsConfig.safeParse([{ name: 'a', check: { kind: 'http', ports: [80], path: '/ #' } }]),
    'must start with / and contain neither spaces nor #',
  ],
  ['two components of one name', () => componentsConfig.safeParse([{ name: 'a' }, { name: 'a' }]), 'must not contain two of the same name'],
]
for (const [name, parse, message] of faults)
  test(`the configuration refuses ${name}`, () => assert.equal(parse().error?.issues[0]?.message, message))

test('checks come and go with what they check, and of what makes no difference nobody is told', async (t) => {
  const clock = createFakeClock()
  const world = clusterInHand([node('pier'), crateDB('project-shop', 'orders')])
  const caches = await cachesOn(t, world, clock)
  const discovery = new Discovery(settings({ volumes: false }), { caches, clock, log: silent })
  await discovery.start()
  t.after(() => discovery.stop())
  const told: string[][] = []
  discovery.subscribe((checks) => told.push(names([...checks])))
  assert.deepEqual(names([...discovery.checks()]), ['database/shop/orders', 'kubernetes'])

  world.set(crateDB('project-shop', 'orders', { status: { crateDBStatus: { health: 'RED' } } }))
  await clock.advance(1_000)
  assert.deepEqual(told, [])

  world.set(crateDB('project-shop', 'carts'))
  world.set(crateDB('project-shop', 'stock'))
  await clock.advance(1_000)
  assert.deepEqual(told, [['database/shop/carts', 'database/shop/orders', 'database/shop/stock', 'kubernetes']])

  world.set(crateDB('project-shop', 'carts', { replicas: 0 }))
  world.remove(crateDB('project-shop', 'stock'))
  await clock.advance(1_000)
  assert.deepEqual(told.slice(1), [['database/shop/orders', 'kubernetes']])
})

test('a database that cannot be checked is left out and said once, whether it is there at the start or comes later', async (t) => {
  const clock = createFakeClock()
  const odd = 'a'.repeat(253)
  const world = clusterInHand([crateDB('project-shop', odd), crateDB('project-shop', 'orders')])
  const { log, lines } = logLines()
  const caches = await cachesOn(t, world, clock)
  const discovery = new Discovery(settings({ volumes: false }), { caches, clock, log })
  await discovery.start()
  t.after(() => discovery.stop())
  assert.deepEqual(names([...discovery.checks()]), ['database/shop/orders', 'kubernetes'])

  world.set(crateDB('project-shop', 'b'.repeat(242)))
  world.set(crateDB('project-shop', 'c'.repeat(241)))
  await clock.advance(1_000)
  assert.deepEqual(names([...discovery.checks()]), [`database/shop/${'c'.repeat(241)}`, 'database/shop/orders', 'kubernetes'])
  world.set(crateDB('project-shop', 'stock'))
  await clock.advance(1_000)
  assert.equal(discovery.checks().length, 4)
  assert.deepEqual(
    lines.filter(({ level }) => level === 'warn').map(({ object }) => object),
    [`CrateDB project-shop/${odd}`, `CrateDB project-shop/${'b'.repeat(242)}`],
  )
})

test('a check of the file may depend on one that the cluster brings, and on nothing else', () => {
  for (const name of ['kubernetes', 'kubelet/node-1', 'database/shop/orders', 'component/grafana/monitoring/grafana'])
    assert.equal(mayBeDiscovered(name), true, name)
  for (const name of ['kubernetess', 'kubelet', 'database/', 'gateway']) assert.equal(mayBeDiscovered(name), false, name)
})
