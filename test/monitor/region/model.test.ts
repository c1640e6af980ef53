import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { MonitorCaches } from '../../../monitor/region/caches.ts'
import { checkNames } from '../../../monitor/region/discovered-checks.ts'
import { RegionModel } from '../../../monitor/region/model.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'
import {
  cachesOn,
  clusterInHand,
  components,
  crateDB,
  deployment,
  edgeNodeInHand,
  node,
  pod,
  proberInHand,
  registration,
  silent,
} from './in-hand.ts'

const good = 192
const stale = 500

/** A region of these objects, told to an edge node that writes down what it hears. `settled` lets changes through. */
async function regionOf(t: TestContext, objects: KubernetesObject[], { withCluster = true, absent = [] as string[] } = {}) {
  const clock = createFakeClock()
  const world = clusterInHand(objects)
  for (const plural of absent) world.absent.add(plural)
  const caches: MonitorCaches | undefined = withCluster ? await cachesOn(t, world, clock) : undefined
  const prober = proberInHand()
  const edgeNode = edgeNodeInHand(clock)
  const facts = { version: '0.1.0', region: 'harbour-1' }
  const model = new RegionModel({ caches, components, prober, edgeNode, facts, clock, log: silent })
  t.after(() => model.stop())
  const settled = async () => {
    edgeNode.calls.length = 0
    await clock.advance(200)
  }
  return { clock, world, prober, edgeNode, settled, start: () => model.start() }
}

test('when it has started, everything that is known is there, before anything was connected', async (t) => {
  const { edgeNode, start, prober } = await regionOf(t, [
    node('pier'),
    crateDB('project-shop', 'orders'),
    deployment('skerry', 'skerry-agent', 'skerry-agent'),
  ])
  prober.add({ name: 'router', group: 'site' })
  await start()
  assert.deepEqual(edgeNode.devices(), ['checks:site', 'component:agent', 'database:shop:orders', 'host:pier'])
  assert.deepEqual(edgeNode.qualities('host:pier'), [good])
  assert.equal(edgeNode.value(undefined, 'Properties/Skerry Version'), '0.1.0')
  assert.equal(edgeNode.value(undefined, 'Properties/Region'), 'harbour-1')
  assert.equal(edgeNode.value(undefined, 'Properties/Kubernetes Version'), 'v1.35.2')
})

test('the node says how its own clock compares, and how often it was set', async (t) => {
  const { clock, edgeNode } = await regionOf(t, [])
  let offset: { offsetMs: number; uncertaintyMs: number } | undefined
  const steps = { count: 0, last: undefined as { at: number; byMs: number } | undefined }
  const clocks = { apiServer: () => offset, steps }
  const model = new RegionModel({ prober: proberInHand(), edgeNode, clocks, facts: { version: '0' }, clock, log: silent })
  t.after(() => model.stop())
  await model.start()
  const shown = () => ['Clock/Offset', 'Clock/Uncertainty', 'Clock/Steps', 'Clock/Last Step'].map((name) => edgeNode.value(undefined, name))
  assert.deepEqual(shown(), [null, null, 0, null])
  offset = { offsetMs: 10_800_000, uncertaintyMs: 40 }
  steps.count = 1
  steps.last = { at: clock.now(), byMs: -10_800_000 }
  await clock.advance(6_000)
  assert.deepEqual(shown(), [10_800_000, 40, 1, -10_800_000])
})

test('the node says what the cluster is as a whole', async (t) => {
  const { edgeNode, start, prober } = await regionOf(t, [
    node('pier'),
    node('quay', { ready: false }),
    node('jetty', { spec: { unschedulable: true } }),
    pod('a', 'one', { host: 'pier' }),
    pod('a', 'two', { host: 'quay' }),
    pod('a', 'ended', { host: 'pier', phase: 'Succeeded' }),
    pod('a', 'waiting'),
    crateDB('project-shop', 'orders'),
    crateDB('project-shop', 'carts', { replicas: 0, status: { crateDBStatus: { health: 'SUSPENDED' } } }),
    deployment('skerry', 'skerry-agent', 'skerry-agent'),
    deployment('cert-manager', 'cert-manager', 'cert-manager', { ready: 1 }),
    deployment('web', 'shop', 'shop'),
  ])
  prober.add({ name: 'a' }, { state: 'up' })
  prober.add({ name: 'b' }, { state: 'down' })
  prober.add({ name: 'c' })
  await start()
  const expected: Record<string, unknown> = {
    ...{ 'Cluster/Hosts/Total': 3, 'Cluster/Hosts/Ready': 2, 'Cluster/Hosts/Schedulable': 1 },
    ...{ 'Cluster/Capacity/CPU': 24, 'Cluster/Capacity/Memory': 96 * 2 ** 30, 'Cluster/Capacity/Pods': 330 },
    ...{ 'Cluster/Allocatable/CPU': 7.5, 'Cluster/Requested/CPU': 1, 'Cluster/Requested/Memory': 2 * 2 ** 30 },
    ...{ 'Cluster/Requested/Pods': 2, 'Cluster/Requested/Unplaced Pods': 1 },
    ...{ 'Cluster/Databases/Total': 2, 'Cluster/Databases/Healthy': 1, 'Cluster/Databases/Suspended': 1 },
    ...{ 'Cluster/Databases/Disk Size': 6 * 64 * 2 ** 30, 'Cluster/Components/Total': 2, 'Cluster/Components/Ready': 1 },
    ...{ 'Cluster/Checks/Total': 3, 'Cluster/Checks/Up': 1, 'Cluster/Checks/Down': 1, 'Cluster/Checks/Unknown': 1 },
    ...{ 'Properties/Architectures': 'arm64', 'Properties/Operating Systems': 'linux' },
  }
  for (const [name, value] of Object.entries(expected)) assert.equal(edgeNode.value(undefined, name), value, name)
})

test('the node says what deleted databases still hold, and when the next one goes, as far as their projects tell sense', async (t) => {
  const project = (name: string, retained?: object) => ({
    apiVersion: 'skerry.dev/v1',
    kind: 'Project',
    metadata: { name },
    status: { ...(retained && { retained }) },
  })
  const { edgeNode, start, world, settled } = await regionOf(t, [project('shop')])
  await start()
  const shown = () => ['Kept', 'Disk Size', 'Next Expiry'].map((name) => edgeNode.value(undefined, `Cluster/Deleted Databases/${name}`))
  assert.deepEqual(shown(), [0, 0, null])
  world.set(project('shop', { databases: 2, volumes: 3, storage: '192Gi', nextExpiry: '2026-12-07T10:00:00.000Z' }))
  world.set(project('harbour', { databases: 1, volumes: 1, storage: '8Gi', nextExpiry: '2026-12-05T10:00:00.000Z' }))
  world.set(project('quay', { databases: -7, storage: 'much', nextExpiry: 'soon' }))
  await settled()
  assert.deepEqual(shown(), [3, 200 * 2 ** 30, Date.parse('2026-12-05T10:00:00Z')])
})

test('the node says how the region stands with its cloud, and nothing about it where it has none', async (t) => {
  const { edgeNode, start, world, settled } = await regionOf(t, [node('pier')])
  await start()
  assert.equal(edgeNode.value(undefined, 'Properties/Registration/State'), undefined)
  world.set(registration({ tags: { coast: 'west', berth: '7' }, name: 'Harbour' }))
  await settled()
  const told = (name: string) => edgeNode.value(undefined, `Properties/Registration/${name}`)
  assert.deepEqual(['State', 'Reason', 'Id', 'Cloud', 'Name', 'Tags'].map(told), [
    'Ready',
    'Registered',
    'r-5f3c9a',
    'https://cloud.example.org',
    'Harbour',
    'berth=7,coast=west',
  ])
  world.set(registration({ state: 'Refused', reason: 'Cloned' }))
  await settled()
  assert.deepEqual([told('State'), told('Reason')], ['Refused', 'Cloned'])
})

test('quantities that no metric can carry, or whose sum none can, are told as the largest that one can', async (t) => {
  const most = Number.MAX_SAFE_INTEGER
  const vast = (name: string) => {
    const host = node(name)
    const resources = { cpu: '8', memory: '9E', pods: '9E', 'ephemeral-storage': '9E' }
    return { ...host, status: { ...host.status, capacity: resources, allocatable: resources } }
  }
  const { edgeNode, start, settled, clock, world } = await regionOf(t, [vast('pier'), vast('quay')])
  await start()
  assert.equal(edgeNode.value(undefined, 'Cluster/Capacity/Memory'), most)
  assert.equal(edgeNode.value(undefined, 'Cluster/Capacity/Pods'), 2 ** 31 - 1)
  assert.equal(edgeNode.value('host:pier', 'Capacity/Pods'), 2 ** 31 - 1)
  world.remove(vast('quay'))
  await settled()
  assert.equal(edgeNode.value(undefined, 'Cluster/Hosts/Total'), 1)
  await clock.advance(5_000)
  assert.equal(edgeNode.value(undefined, 'Cluster/Capacity/Memory'), most)
})

test('what cannot be told once is told when it can be, at the start as later', async (t) => {
  const { edgeNode, start, clock, prober } = await regionOf(t, [node('pier')])
  const { setNode, setQuality } = edgeNode
  const broken = () => {
    throw new TypeError('broken')
  }
  edgeNode.setNode = broken
  await start()
  assert.deepEqual([edgeNode.devices(), edgeNode.value(undefined, 'Cluster/Hosts/Total')], [['host:pier'], undefined])
  edgeNode.setNode = setNode
  await clock.advance(5_000)
  assert.equal(edgeNode.value(undefined, 'Cluster/Hosts/Total'), 1)

  prober.add({ name: 'router', group: 'site' })
  await clock.advance(200)
  edgeNode.setQuality = broken
  prober.stalled = 'it is late'
  await clock.advance(5_000)
  edgeNode.setQuality = setQuality
  prober.stalled = undefined
  await clock.advance(5_000)
  prober.stalled = 'it is late'
  await clock.advance(5_000)
  assert.deepEqual(edgeNode.qualities('checks:site'), [stale])
})

test('with a thousand databases a change of one touches one device', async (t) => {
  const many = Array.from({ length: 1_000 }, (_, index) => crateDB('project-shop', `db-${index}`))
  const { edgeNode, start, settled, world } = await regionOf(t, many)
  await start()
  assert.equal(edgeNode.devices().length, 1_000)
  world.set(crateDB('project-shop', 'db-7', { status: { crateDBStatus: { health: 'RED' } } }))
  await settled()
  assert.deepEqual(edgeNode.calls, ['set database:shop:db-7'])
  assert.equal(edgeNode.value('database:shop:db-7', 'Health'), 'RED')
  assert.equal(edgeNode.value(undefined, 'Cluster/Databases/Healthy'), 999)
})

test('a pod that becomes ready four times over touches its host and its database once', async (t) => {
  const { edgeNode, start, settled, world } = await regionOf(t, [node('pier'), node('quay'), crateDB('project-shop', 'orders')])
  await start()
  const given = { host: 'pier', database: 'orders' }
  world.set(pod('project-shop', 'orders-0', { database: 'orders' }))
  world.set(pod('project-shop', 'orders-0', given))
  world.set(pod('project-shop', 'orders-0', { ...given, ready: true }))
  world.set(pod('project-shop', 'orders-1', { ...given, ready: false }))
  await settled()
  assert.deepEqual(edgeNode.calls.toSorted(), ['set database:shop:orders', 'set host:pier'])
  assert.equal(edgeNode.value('database:shop:orders', 'Nodes/Ready'), 1)
  assert.equal(edgeNode.value('host:pier', 'Requested/Pods'), 2)
  assert.equal(edgeNode.value('host:pier', 'Requested/CPU'), 1)

  world.remove(pod('project-shop', 'orders-0'))
  await settled()
  assert.equal(edgeNode.value('database:shop:orders', 'Nodes/Ready'), 0)
  assert.equal(edgeNode.value('host:pier', 'Requested/CPU'), 0.5)
})

test('what appears becomes a device, and what goes is one no longer', async (t) => {
  const { edgeNode, start, settled, world } = await regionOf(t, [node('pier')])
  await start()
  world.set(node('quay'))
  world.set(crateDB('project-shop', 'orders'))
  world.set(deployment('cloudflared', 'cloudflared', 'cloudflared'))
  await settled()
  assert.deepEqual(edgeNode.devices(), ['component:cloudflared', 'database:shop:orders', 'host:pier', 'host:quay'])
  world.remove(node('pier'))
  world.remove(crateDB('project-shop', 'orders'))
  world.remove(deployment('cloudflared', 'cloudflared', 'cloudflared'))
  await settled()
  assert.deepEqual(edgeNode.devices(), ['host:quay'])
})

test('every device id and metric name of a region is a legal name in Ignition, whatever its hosts, groups and checks are called', async (t) => {
  const host = node('pier.example.com')
  const condition = { type: 'example.com/Frozen=Disk', status: 'False' }
  const odd = { ...host, status: { ...host.status, conditions: [...host.status.conditions, condition] } }
  const { edgeNode, start, prober } = await regionOf(t, [odd, crateDB('shore', 'orders.eu'), deployment('a', 'traefik', 'traefik')])
  prober.add({ name: 'crane@quay.example.com:443 100%/ & more', group: 'databases.shore=west' })
  await start()
  const devices = edgeNode.devices()
  assert.equal(devices.length, 4)
  for (const id of devices)
    for (const level of [id, ...edgeNode.names(id).flatMap((name) => name.split('/'))])
      assert.match(level, /^[\p{L}0-9_][\p{L}0-9_ '():-]*$/u)
})

for (const [namespace, name, device] of [
  ['project-shop', 'orders', 'shop:orders'],
  ['project-shop', 'orders.eu', 'shop:orders:eu'],
  ['project-namespace', 'default.orders', 'namespace:project-namespace:default:orders'],
  ['default', 'orders', 'namespace:default:orders'],
  ['default', 'orders.eu', 'namespace:default:orders:eu'],
] as const)
  test(`the database ${namespace}/${name} is the device database:${device}, and is found by it`, async (t) => {
    const { edgeNode, start, settled, world, prober } = await regionOf(t, [crateDB(namespace, name)])
    await start()
    assert.deepEqual(edgeNode.devices(), [`database:${device}`])
    const measurements = [{ name: 'skerry_cratedb_disk_used_bytes', value: 7e9 }]
    prober.add({ name: checkNames.database(namespace, name), group: 'databases' }, { measurements })
    await settled()
    assert.equal(edgeNode.value(`database:${device}`, 'Disks/Used'), 7e9)
    world.remove(crateDB(namespace, name))
    await settled()
    assert.equal(edgeNode.devices().includes(`database:${device}`), false)
  })

test('a component of two Deployments is there until both are gone', async (t) => {
  const two = [deployment('a', 'one', 'traefik'), deployment('b', 'two', 'traefik', { replicas: 1, ready: 0 })]
  const { edgeNode, start, settled, world } = await regionOf(t, two)
  await start()
  assert.equal(edgeNode.value('component:traefik', 'Replicas/Desired'), 3)
  assert.equal(edgeNode.value('component:traefik', 'Ready'), false)
  world.remove(two[1] as KubernetesObject)
  await settled()
  assert.equal(edgeNode.value('component:traefik', 'Ready'), true)
  world.remove(two[0] as KubernetesObject)
  await settled()
  assert.deepEqual(edgeNode.devices(), [])
})

test('a kind that is not installed is no trouble, and is noticed when it comes', async (t) => {
  const absent = ['cratedbs', 'projects', 'sparkplugnodes']
  const { edgeNode, start, world, clock } = await regionOf(t, [node('pier')], { absent })
  await start()
  assert.equal(edgeNode.value(undefined, 'Cluster/Databases/Total'), 0)
  assert.deepEqual(edgeNode.qualities(undefined), [good])
  world.absent.clear()
  world.set(crateDB('project-shop', 'orders'))
  await clock.advance(11_000)
  assert.deepEqual(edgeNode.devices(), ['database:shop:orders', 'host:pier'])
})

test('a cluster that was never seen is unknown, not empty', async (t) => {
  const clock = createFakeClock()
  const world = clusterInHand([node('pier')])
  world.setAway(true)
  const starting = cachesOn(t, world, clock)
  await clock.advance(6_000)
  const caches = await starting
  const prober = proberInHand()
  const edgeNode = edgeNodeInHand(clock)
  const model = new RegionModel({ caches, components, prober, edgeNode, facts: { version: '0' }, clock, log: silent })
  await model.start()
  t.after(() => model.stop())
  assert.equal(edgeNode.value(undefined, 'Cluster/Hosts/Total'), null)
  assert.deepEqual(edgeNode.qualities(undefined).toSorted(), [good, stale])

  world.setAway(false)
  await clock.advance(20_000)
  assert.equal(edgeNode.value(undefined, 'Cluster/Hosts/Total'), 1)
  assert.deepEqual(edgeNode.qualities(undefined), [good])
  assert.deepEqual(edgeNode.qualities('host:pier'), [good])
})

test('what comes from the API server is stale when nothing is heard from it, values kept, and good again after', async (t) => {
  const { edgeNode, start, world, clock, prober } = await regionOf(t, [node('pier'), crateDB('project-shop', 'orders')])
  prober.add({ name: 'router' })
  await start()
  world.setAway(true)
  await clock.advance(60_000)
  assert.deepEqual(edgeNode.qualities('host:pier'), [good], 'a short silence is none')
  await clock.advance(40_000)
  assert.deepEqual(edgeNode.qualities('host:pier'), [stale])
  assert.deepEqual(edgeNode.qualities('database:shop:orders'), [stale])
  assert.deepEqual(edgeNode.qualities('checks:site'), [good])
  assert.equal(edgeNode.value('host:pier', 'Ready'), true)
  assert.equal(edgeNode.value(undefined, 'Cluster/Hosts/Total'), 1)
  assert.deepEqual(edgeNode.qualities(undefined).toSorted(), [good, stale])

  world.setAway(false)
  await clock.advance(10_000)
  world.bookmark()
  await clock.advance(6_000)
  assert.deepEqual(edgeNode.qualities('host:pier'), [good])
  assert.deepEqual(edgeNode.qualities('database:shop:orders'), [good])
  assert.deepEqual(edgeNode.qualities(undefined), [good])
})

test('checks are stale while the prober stalls, and what runs then is stale too', async (t) => {
  const { edgeNode, start, clock, prober } = await regionOf(t, [node('pier')])
  prober.add({ name: 'router' }, { state: 'up' })
  await start()
  prober.stalled = 'the scheduler is late'
  await clock.advance(6_000)
  assert.deepEqual(edgeNode.qualities('checks:site'), [stale])
  assert.deepEqual(edgeNode.qualities('host:pier'), [good])
  prober.see('router', { state: 'down' })
  await clock.advance(200)
  assert.deepEqual([edgeNode.value('checks:site', 'router/State'), edgeNode.qualities('checks:site')], ['down', [stale]])
  prober.stalled = undefined
  await clock.advance(6_000)
  assert.deepEqual(edgeNode.qualities('checks:site'), [good])
})

test('a run of a check updates its own metrics and the summary of its group', async (t) => {
  const { edgeNode, start, settled, prober } = await regionOf(t, [])
  for (let index = 0; index < 1_000; index++) prober.add({ name: `check-${index}`, group: index < 500 ? 'a' : 'b' })
  await start()
  prober.see('check-7', { state: 'down', reason: 'timeout', detail: 'No answer.', since: 42, lastDuration: 0.25 })
  await settled()
  assert.deepEqual(edgeNode.calls, ['update checks:a 11'])
  const values = ['State', 'Up', 'Since', 'Reason', 'Detail', 'Duration'].map((name) => edgeNode.value('checks:a', `check-7/${name}`))
  assert.deepEqual(values, ['down', false, 42, 'timeout', 'No answer.', 0.25])
  assert.equal(edgeNode.value('checks:a', 'Summary/Down'), 1)
})

const ups: [state: 'up' | 'degraded' | 'down' | 'unknown', up: boolean | null][] = [
  ['up', true],
  ['degraded', true],
  ['down', false],
  ['unknown', null],
]
for (const [state, up] of ups)
  test(`a check that is ${state} has Up ${up}`, async (t) => {
    const { edgeNode, start, prober } = await regionOf(t, [])
    prober.add({ name: 'router' }, { state })
    await start()
    assert.equal(edgeNode.value('checks:site', 'router/Up'), up)
  })

test('a check that comes, goes or moves makes its group another one, and an empty group is gone', async (t) => {
  const { edgeNode, start, settled, prober } = await regionOf(t, [])
  prober.add({ name: 'router', group: 'site' })
  await start()
  prober.add({ name: 'switch', group: 'site' })
  await settled()
  assert.ok(edgeNode.names('checks:site').includes('switch/State'))
  prober.add({ name: 'switch', group: 'cabin' })
  await settled()
  assert.deepEqual(edgeNode.devices(), ['checks:cabin', 'checks:site'])
  assert.equal(edgeNode.names('checks:site').includes('switch/State'), false)
  prober.remove('router')
  await settled()
  assert.deepEqual(edgeNode.devices(), ['checks:cabin'])
})

test('how full a database is comes from its checks', async (t) => {
  const { edgeNode, start, settled, prober } = await regionOf(t, [crateDB('project-shop', 'orders')])
  prober.add({ name: 'database/shop/orders' })
  prober.add({ name: 'volume/shop/orders' })
  await start()
  assert.equal(edgeNode.value('database:shop:orders', 'Disks/Used'), null)
  const used = (name: string, value: number) => ({ name, value, labels: {} })
  prober.see('database/shop/orders', {
    measurements: [used('skerry_cratedb_disk_used_bytes', 5e9), used('skerry_cratedb_disk_used_bytes', 6e9)],
  })
  await settled()
  assert.equal(edgeNode.value('database:shop:orders', 'Disks/Used'), 11e9)
  prober.see('volume/shop/orders', { measurements: [used('skerry_volume_used_bytes', 7e9)] })
  await settled()
  assert.equal(edgeNode.value('database:shop:orders', 'Disks/Used'), 7e9)
})

test('without a cluster only the checks are published', async (t) => {
  const { edgeNode, start, prober } = await regionOf(t, [], { withCluster: false })
  prober.add({ name: 'router' }, { state: 'up' })
  await start()
  assert.deepEqual(edgeNode.devices(), ['checks:site'])
  assert.equal(edgeNode.value(undefined, 'Cluster/Checks/Up'), 1)
  assert.equal(edgeNode.value(undefined, 'Cluster/Hosts/Total'), undefined)
})

test('a thing that no metric fits harms no other', async (t) => {
  const { edgeNode, start, settled, prober } = await regionOf(t, [node('pier')])
  prober.add({ name: 'router' })
  await start()
  prober.see('router', { since: Number.NaN })
  prober.add({ name: 'broken', group: 'broken' }, { since: Number.NaN })
  prober.add({ name: 'sound', group: 'sound' })
  await settled()
  assert.deepEqual(edgeNode.devices(), ['checks:site', 'checks:sound', 'host:pier'])
})

test('after its end nothing is told any more', async (t) => {
  const clock = createFakeClock()
  const world = clusterInHand([node('pier')])
  const caches = await cachesOn(t, world, clock)
  const edgeNode = edgeNodeInHand(clock)
  const model = new RegionModel({ caches, prober: proberInHand(), edgeNode, facts: { version: '0' }, clock, log: silent })
  await model.start()
  world.set(node('quay'))
  await model.stop()
  await clock.advance(10_000)
  assert.deepEqual(edgeNode.devices(), ['host:pier'])
})
