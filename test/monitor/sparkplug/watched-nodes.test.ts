import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { parse } from 'yaml'
import type { Guest } from '../../../monitor/sparkplug/guests.ts'
import { createNames } from '../../../monitor/sparkplug/names.ts'
import {
  type SecretView,
  type SparkplugNode,
  secretView,
  sparkplugNodeKind,
  sparkplugNodeView,
} from '../../../monitor/sparkplug/sparkplug-node.ts'

import type { SparkplugMetric } from '../../../monitor/sparkplug/tracked-metric.ts'
import { WatchedNodes } from '../../../monitor/sparkplug/watched-nodes.ts'
import { systemClock } from '../../../shared/clock.ts'
import type { Change } from '../../../shared/kubernetes/cache.ts'
import { createCache } from '../../../shared/kubernetes/cache.ts'
import { startCluster } from '../../cluster/index.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'
import { connectTo, install } from '../../shared/kubernetes/connected.ts'
import { startBroker } from './broker.ts'
import { logInHand, metric, nodeInHand } from './node-in-hand.ts'
import { decode, encode } from './schema.ts'

const object = (name: string, spec: Record<string, unknown>, kind = 'SparkplugNode') => ({
  apiVersion: 'skerry.dev/v1',
  kind,
  metadata: { name, namespace: 'site', resourceVersion: '1' },
  spec,
})
const secret = (name: string, text: string) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace: 'site' },
  data: { key: text },
})

/** The watch with a model and a connection that write down what they are told, at the time of a clock that stands still. */
async function watchInHand(t: { after(end: () => unknown): void }, specs: [name: string, spec: Record<string, unknown>][]) {
  const clock = createFakeClock()
  const nodes = new Map(specs.map(([name, spec]) => [`site/${name}`, sparkplugNodeView(object(name, spec))]))
  const listeners = { nodes: new Set<(change: Change<SparkplugNode>) => void>(), secrets: new Set<(change: Change<SecretView>) => void>() }
  const devices = new Map<string, Map<string, SparkplugMetric['value']>>()
  const commands: {
    at: number
    topic: string
    name: string | undefined
    seq: number | undefined
    datatype: number | undefined
    hasTime: boolean
  }[] = []
  const filters = new Set<string>()
  let guest: Guest | undefined
  const watched = new WatchedNodes({
    nodes: {
      values: () => nodes.values(),
      subscribe: (listener) => {
        listeners.nodes.add(listener)
        return () => listeners.nodes.delete(listener)
      },
    },
    secrets: {
      subscribe: (listener) => {
        listeners.secrets.add(listener)
        return () => listeners.secrets.delete(listener)
      },
    },
    edgeNode: {
      deviceId: createNames('portable').device,
      attach(given) {
        guest = given
        return () => {}
      },
      setDevice: (id, metrics) => void devices.set(id, new Map(metrics.map(({ name, value }) => [name, value]))),
      removeDevice: (id) => void devices.delete(id),
      update: (id, samples) => {
        for (const { name, value } of samples) devices.get(id as string)?.set(name, value)
      },
    },
    clock,
    log: logInHand().log,
    random: () => 0.5,
  })
  await watched.start()
  t.after(() => watched.stop())
  const start = clock.monotonic()
  const online = () =>
    guest?.online({
      subscribe: (given) => {
        for (const filter of given) filters.add(filter)
      },
      unsubscribe: (given) => {
        for (const filter of given) filters.delete(filter)
      },
      sendCommand({ group, node }, payload) {
        const { metrics, seq, timestamp } = decode(payload)
        commands.push({
          at: clock.monotonic() - start,
          topic: `${group}/${node}`,
          name: metrics[0]?.name,
          seq,
          // Without the type, an edge node that reads with sparkplug-payload takes the request for null.
          datatype: metrics[0]?.datatype,
          hasTime: timestamp === clock.now(),
        })
        return true
      },
    })
  return {
    clock,
    watched,
    devices,
    commands,
    filters,
    listeners,
    online,
    offline: () => guest?.offline(),
    hear: (topic: string, payload: Buffer = Buffer.alloc(0), isRetained = false) => guest?.message(topic, payload, isRetained),
    alert: (name: string) => devices.get(`sparkplug-node:site:${name}`)?.get('Alerts/Offline'),
  }
}

const plc = { address: { group: 'Mill', node: 'PLC-1' }, interval: 10 }

test('silence for the interval asks for a rebirth with jitter, for three raises the alert, and a word clears it [tck-id-topics-ncmd-mqtt] [tck-id-topics-ncmd-timestamp] [tck-id-payloads-ncmd-timestamp] [tck-id-payloads-ncmd-seq] [tck-id-payloads-ncmd-qos] [tck-id-payloads-ncmd-retain]', async (t) => {
  const hand = await watchInHand(t, [['plc', plc]])
  hand.online()
  assert.deepEqual([...hand.filters], ['spBv1.0/Mill/+/PLC-1', 'spBv1.0/Mill/+/PLC-1/+'])
  assert.deepEqual([hand.alert('plc'), hand.watched.state('site/plc')?.liveness], [null, 'unknown'])
  hand.hear('spBv1.0/Mill/NDATA/PLC-1')
  assert.deepEqual([hand.alert('plc'), hand.watched.state('site/plc')?.liveness], [false, 'alive'])
  await hand.clock.advance(10_000)
  assert.deepEqual([hand.watched.state('site/plc')?.liveness, hand.commands], ['silent', []])
  await hand.clock.advance(3_000)
  assert.deepEqual(hand.commands, [
    { at: 13_000, topic: 'Mill/PLC-1', name: 'Node Control/Rebirth', seq: undefined, datatype: 11, hasTime: true },
  ])
  await hand.clock.advance(16_000)
  assert.equal(hand.alert('plc'), false)
  await hand.clock.advance(1_000)
  assert.deepEqual([hand.alert('plc'), hand.watched.state('site/plc')?.liveness], [true, 'offline'])
  hand.hear('spBv1.0/Mill/DDATA/PLC-1/Pump')
  assert.deepEqual([hand.alert('plc'), hand.watched.state('site/plc')?.liveness], [false, 'alive'])
})

test('its death, commands to it, what a server kept, and words of others are no signs of life', async (t) => {
  const hand = await watchInHand(t, [['plc', plc]])
  hand.online()
  for (const topic of ['spBv1.0/Mill/NDEATH/PLC-1', 'spBv1.0/Mill/NCMD/PLC-1', 'spBv1.0/Mill/NDATA/PLC-2', 'spBv1.0/STATE/PLC-1', 'x'])
    hand.hear(topic)
  hand.hear('spBv1.0/Mill/NBIRTH/PLC-1', undefined, true)
  assert.deepEqual([hand.watched.state('site/plc')?.liveness, hand.watched.state('site/plc')?.isDead], ['unknown', true])
})

test('a death of an earlier session that comes late is none of the present one', async (t) => {
  const hand = await watchInHand(t, [['plc', plc]])
  const say = (verb: 'NBIRTH' | 'NDEATH', bdSeq: number) =>
    hand.hear(`spBv1.0/Mill/${verb}/PLC-1`, encode({ metrics: [{ name: 'bdSeq', longValue: bdSeq }] }))
  const isDead = () => hand.watched.state('site/plc')?.isDead
  hand.online()
  say('NBIRTH', 7)
  say('NBIRTH', 8)
  say('NDEATH', 7)
  assert.equal(isDead(), false)
  say('NDEATH', 8)
  assert.equal(isDead(), true)
  say('NBIRTH', 9)
  assert.equal(isDead(), false)
  // While nobody listened it may have been born again.
  hand.offline()
  hand.online()
  say('NDEATH', 10)
  assert.equal(isDead(), true)
})

test('while the monitor has no connection it knows nothing, and holds no silence against anybody', async (t) => {
  const hand = await watchInHand(t, [['plc', plc]])
  hand.online()
  hand.hear('spBv1.0/Mill/NDATA/PLC-1')
  hand.offline()
  await hand.clock.advance(3_600_000)
  assert.deepEqual([hand.watched.state('site/plc')?.liveness, hand.alert('plc'), hand.commands], ['unknown', false, []])
  hand.online()
  await hand.clock.advance(9_000)
  assert.deepEqual([hand.alert('plc'), hand.commands], [false, []])
  await hand.clock.advance(22_000)
  assert.equal(hand.alert('plc'), true)
})

test('a node known by its UUID is found by its birth', async (t) => {
  const uuid = '11111111-2222-3333-4444-555555555555'
  const hand = await watchInHand(t, [['gw', { uuid: uuid.toUpperCase(), interval: 10 }]])
  hand.online()
  assert.deepEqual([...hand.filters], ['spBv1.0/+/NBIRTH/+'])
  hand.hear('spBv1.0/Mill/NBIRTH/Other', encode({ metrics: [{ name: 'Instance_UUID', stringValue: 'else' }] }))
  hand.hear('spBv1.0/Mill/NBIRTH/Bad', Buffer.from([0x12, 0xff]))
  hand.hear('spBv1.0/Mill/NBIRTH/GW', encode({ metrics: [{ name: 'Instance_UUID', stringValue: uuid }] }))
  assert.deepEqual(hand.watched.state('site/gw')?.address, { group: 'Mill', node: 'GW' })
  assert.ok(hand.filters.has('spBv1.0/Mill/+/GW'))
  assert.equal(hand.alert('gw'), false)
})

test('a change of a Secret that it names asks it to reload, once it can be asked; another Secret, or none of what it says, does not', async (t) => {
  const hand = await watchInHand(t, [['plc', { ...plc, secrets: ['keys'] }]])
  const tell = (before: ReturnType<typeof secret>, after: ReturnType<typeof secret>) => {
    for (const listener of hand.listeners.secrets)
      listener({ type: 'changed', key: `site/${after.metadata.name}`, object: secretView(after), previous: secretView(before) })
  }
  tell(secret('keys', 'a'), secret('keys', 'a'))
  tell(secret('others', 'a'), secret('others', 'b'))
  hand.online()
  await hand.clock.advance(2_000)
  assert.deepEqual(hand.commands, [])
  hand.offline()
  tell(secret('keys', 'a'), secret('keys', 'b'))
  tell(secret('keys', 'b'), secret('keys', 'c'))
  await hand.clock.advance(2_000)
  hand.online()
  await hand.clock.advance(2_000)
  assert.deepEqual(
    hand.commands.map(({ name }) => name),
    ['Node Control/Reload Edge Agent Config'],
  )
})

test('a resource that goes takes its device along, one that changes is watched anew', async (t) => {
  const hand = await watchInHand(t, [['plc', plc]])
  hand.online()
  const changed = sparkplugNodeView(object('plc', { ...plc, address: { group: 'Mill', node: 'PLC-9' } }))
  for (const listener of hand.listeners.nodes) listener({ type: 'changed', key: 'site/plc', object: changed, previous: changed })
  assert.deepEqual([...hand.filters], ['spBv1.0/Mill/+/PLC-9', 'spBv1.0/Mill/+/PLC-9/+'])
  for (const listener of hand.listeners.nodes) listener({ type: 'removed', key: 'site/plc', object: changed })
  assert.deepEqual([hand.filters.size, hand.devices.size, hand.watched.state('site/plc')], [0, 0, undefined])
})

test('the definition of SparkplugNode is served, refuses what it must, and a resource becomes a device that lives', async (t) => {
  const cluster = await startCluster()
  t.after(() => cluster.stop())
  const admin = connectTo(cluster)
  t.after(() => admin.close())
  await install(admin, ['deploy/crds/sparkplugnodes.yaml'])
  await admin.request({
    method: 'POST',
    path: '/api/v1/namespaces',
    body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'site' } },
  })
  const post = (name: string, spec: Record<string, unknown>) =>
    admin.request({
      method: 'POST',
      path: '/apis/skerry.dev/v1/namespaces/site/sparkplugnodes',
      body: { apiVersion: 'skerry.dev/v1', kind: 'SparkplugNode', metadata: { name }, spec },
    })
  for (const bad of [{}, { address: { group: 'a/b', node: 'c' } }, { uuid: 'x' }, { address: plc.address, interval: 0 }])
    await assert.rejects(post('bad', bad), (error: { type?: string }) => error.type === 'rejected-by-cluster', JSON.stringify(bad))
  await post('plc', { address: { group: 'Mill', node: 'PLC-1' } })
  const { log } = logInHand()
  const nodes = createCache({ kind: sparkplugNodeKind, view: sparkplugNodeView }, { cluster: admin, clock: systemClock, log })
  await nodes.start(new AbortController().signal)
  t.after(() => nodes.stop(0))
  const broker = await startBroker(t)
  const { node } = nodeInHand(t, [broker.url])
  const watched = new WatchedNodes({ nodes, edgeNode: node, clock: systemClock, log })
  await watched.start()
  t.after(() => watched.stop())
  await node.start(new AbortController().signal)
  const plcNode = nodeInHand(t, [broker.url], { group: 'Mill', node: 'PLC-1', clientId: 'plc' }).node
  plcNode.setNode([metric('Speed', 1)])
  await broker.until(() => broker.subscriptions.some(({ topic }) => topic === 'spBv1.0/Mill/+/PLC-1'), 'listening')
  await plcNode.start(new AbortController().signal)
  await broker.heard(
    ({ device, payload }) =>
      device === 'sparkplug-node:site:plc' &&
      payload.metrics.some(({ name, booleanValue }) => name === 'Alerts/Offline' && booleanValue === false),
  )
  assert.equal(watched.state('site/plc')?.liveness, 'alive')
  await plcNode.stop(0)
  const text = await readFile('deploy/crds/sparkplugnodes.yaml', 'utf8')
  assert.equal(parse(text).spec.names.kind, sparkplugNodeKind.kind)
})
