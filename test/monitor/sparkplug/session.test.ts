import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { createWebSocketStream, WebSocketServer } from 'ws'
import { createMemoryBuffer } from '../../../monitor/sparkplug/buffer.ts'
import type { GuestSession } from '../../../monitor/sparkplug/guests.ts'
import { type Heard, startBroker } from './broker.ts'
import { metric, nodeInHand } from './node-in-hand.ts'
import { carriedValue, encode } from './schema.ts'

const signal = new AbortController().signal
const primaryHost = { id: 'scada', giveUpMs: 200 }
const state = (online: boolean, timestamp = Date.now()) => JSON.stringify({ online, timestamp })
const stateTopic = 'spBv1.0/STATE/scada'
const isBirth = ({ verb }: Heard) => verb === 'NBIRTH'
const loads = (messages: Heard[]) =>
  messages.flatMap(({ verb, payload }) =>
    payload.metrics.filter(({ name }) => name === 'Load').map((each) => [verb, each.isHistorical ?? false, carriedValue(each)]),
  )

test('waits for the primary host, its own id alone, before any birth [tck-id-message-flow-edge-node-birth-publish-phid-wait] [tck-id-message-flow-edge-node-birth-publish-phid-wait-id] [tck-id-operational-behavior-edge-node-birth-sequence-wait] [tck-id-operational-behavior-primary-application-state-with-multiple-servers-state-subs] [tck-id-host-topic-phid-birth-topic] [tck-id-host-topic-phid-birth-qos] [tck-id-host-topic-phid-birth-retain]', async (t) => {
  const broker = await startBroker(t)
  await broker.publish('spBv1.0/STATE/other', state(true), { qos: 1, retain: true })
  await broker.publish(stateTopic, 'ONLINE', { qos: 1, retain: true })
  const { node } = nodeInHand(t, [broker.url], { primaryHost })
  node.setDevice('host:a', [metric('Load', 1)])
  await node.start(signal)
  await broker.until(() => node.observe().dropped['invalid-state'] === 1, 'the old word')
  assert.ok(broker.subscriptions.some(({ topic, qos }) => topic === stateTopic && qos === 1))
  node.update('host:a', [{ name: 'Load', value: 2 }])
  await broker.publish(stateTopic, state(false), { qos: 1 })
  assert.deepEqual(broker.messages, [])
  await broker.publish(stateTopic, state(true), { qos: 1 })
  await broker.until(() => broker.messages.length === 3, 'the births and what was kept')
  // Kept while the host was away: history, but for the change that the birth carries.
  assert.deepEqual(loads(broker.messages), [
    ['DBIRTH', false, 2],
    ['DDATA', true, 1],
  ])
})

test('a primary host that goes offline: NDEATH, disconnect, next server; an old offline changes nothing [tck-id-message-flow-edge-node-birth-publish-phid-offline] [tck-id-operational-behavior-edge-node-termination-host-offline] [tck-id-operational-behavior-edge-node-termination-host-offline-reconnect] [tck-id-operational-behavior-primary-application-state-with-multiple-servers-walk]', async (t) => {
  const [a, b] = [await startBroker(t), await startBroker(t)]
  const time = Date.now()
  await a.publish(stateTopic, state(true, time), { qos: 1, retain: true })
  await b.publish(stateTopic, state(true, time), { qos: 1, retain: true })
  // The host is online on both: the node has no reason to give up on either, however long the machine takes.
  const { node } = nodeInHand(t, [a.url, b.url], { primaryHost: { ...primaryHost, giveUpMs: 60_000 } })
  await node.start(signal)
  await a.heard(isBirth)
  await a.publish(stateTopic, state(false, time - 1), { qos: 1 })
  node.setDevice('host:a', [metric('Load', 1)])
  await a.heard(({ verb }) => verb === 'DBIRTH')
  await a.publish(stateTopic, state(false, time), { qos: 1, retain: true })
  await b.heard(isBirth)
  assert.deepEqual(
    a.messages.slice(-1).map(({ verb, client }) => [verb, client]),
    [['NDEATH', 'skerry-shore-skerry']],
  )
  assert.deepEqual(a.clients(), [])
})

test('gives up on a server without any STATE when there is another one', async (t) => {
  const [a, b] = [await startBroker(t), await startBroker(t)]
  await b.publish(stateTopic, state(true), { qos: 1, retain: true })
  const { node } = nodeInHand(t, [a.url, b.url], { primaryHost })
  await node.start(signal)
  await b.heard(isBirth)
  assert.equal(a.messages.some(isBirth), false)
})

test('Next Server, offered only where there is one, moves on', async (t) => {
  const [a, b] = [await startBroker(t), await startBroker(t)]
  const { node } = nodeInHand(t, [a.url, b.url])
  await node.start(signal)
  const born = await a.heard(isBirth)
  assert.ok(born.payload.metrics.some(({ name, booleanValue }) => name === 'Node Control/Next Server' && booleanValue === false))
  await a.publish('spBv1.0/shore/NCMD/skerry', encode({ metrics: [{ name: 'Node Control/Next Server', booleanValue: true }] }))
  await b.heard(isBirth)
  assert.equal(a.messages.at(-1)?.verb, 'NDEATH')
})

test('what happened while nothing was connected comes as history, in order and before what is live', async (t) => {
  const broker = await startBroker(t)
  const { node } = nodeInHand(
    t,
    [broker.url],
    { maxMetricsPerMessage: 10, maxUnproven: 15, reconnect: { baseMs: 300, capMs: 300 } },
    { random: () => 0.9 },
  )
  node.setDevice('host:a', [metric('Load', 0)])
  await node.start(signal)
  await broker.heard(({ verb }) => verb === 'DBIRTH')
  await broker.until(() => node.observe().buffer.length === 0, 'proof of the birth')
  broker.cut()
  await broker.until(() => !node.observe().isConnected, 'the loss')
  const from = broker.messages.length
  for (let value = 1; value <= 100; value++) node.update('host:a', [{ name: 'Load', value }])
  await broker.heard(({ verb }) => verb === 'DBIRTH', from)
  node.update('host:a', [{ name: 'Load', value: 101 }])
  node.update('host:a', [{ name: 'Load', value: 102 }])
  await broker.until(() => node.observe().buffer.length === 0, 'the end of the flush')
  const past = Array.from({ length: 99 }, (_, index) => ['DDATA', true, index + 1])
  assert.deepEqual(loads(broker.messages.slice(from)), [['DBIRTH', false, 100], ...past, ['DDATA', false, 101], ['DDATA', false, 102]])
})

test('history is no faster than it may be', async (t) => {
  const broker = await startBroker(t)
  const { node } = nodeInHand(t, [broker.url], { flushPerSecond: 400 })
  node.setDevice('host:a', [metric('Load', 0)])
  for (let value = 1; value <= 201; value++) node.update('host:a', [{ name: 'Load', value }])
  const began = performance.now() // before the flush begins, not when that is heard of
  await node.start(signal)
  await broker.heard(({ verb }) => verb === 'DBIRTH')
  await broker.until(() => node.observe().buffer.length === 0, 'the end of the flush')
  // 200 values at 400 a second, of which the first 40 go at once.
  assert.ok(performance.now() - began >= 350, `${performance.now() - began} ms`)
})

test('a full buffer drops the oldest, counts them, and sends the rest', async (t) => {
  const broker = await startBroker(t)
  const { node } = nodeInHand(t, [broker.url], {}, { buffer: createMemoryBuffer({ limit: 20 }) })
  node.setDevice('host:a', [metric('Load', 0)])
  for (let value = 1; value <= 50; value++) node.update('host:a', [{ name: 'Load', value }])
  await node.start(signal)
  await broker.heard(({ verb }) => verb === 'DBIRTH')
  await broker.until(() => node.observe().buffer.length === 0, 'the flush')
  assert.equal(node.observe().buffer.dropped, 31)
  assert.deepEqual(
    loads(broker.messages).map(([, , value]) => value),
    [50, ...Array.from({ length: 19 }, (_, index) => 31 + index)],
  )
})

test('a burst of 10,000 changes becomes messages of bounded size', async (t) => {
  const broker = await startBroker(t)
  const { node } = nodeInHand(t, [broker.url], {}, { buffer: createMemoryBuffer({ limit: 50_000 }) })
  const names = Array.from({ length: 10_000 }, (_, index) => `Metric/${index}`)
  node.setDevice(
    'host:a',
    names.map((name) => metric(name, 0)),
  )
  await node.start(signal)
  await broker.heard(({ verb }) => verb === 'DBIRTH')
  await broker.until(() => node.observe().buffer.length === 0, 'proof of the birth')
  const from = broker.messages.length
  node.update(
    'host:a',
    names.map((name) => ({ name, value: 1 })),
  )
  await broker.until(() => node.observe().buffer.length === 0, 'all of it')
  const sizes = broker.messages.slice(from).map(({ payload }) => payload.metrics.length)
  assert.deepEqual([sizes.length, Math.max(...sizes), sizes.reduce((sum, size) => sum + size, 0)], [20, 500, 10_000])
})

const topics = {
  ncmd: 'spBv1.0/shore/NCMD/skerry',
  dcmd: 'spBv1.0/shore/DCMD/skerry/host:a',
  stranger: 'spBv1.0/shore/DCMD/skerry/host:z',
  state: stateTopic,
}
const attacks: [name: string, topic: keyof typeof topics, payload: Buffer, reason: string][] = [
  ['truncated protobuf', 'ncmd', Buffer.from([0x12, 0xff, 0x01, 0x0a]), 'malformed'],
  ['a payload of a megabyte', 'ncmd', Buffer.alloc(2 ** 20), 'too-large'],
  ['a packet larger than any that is read', 'dcmd', Buffer.alloc(5 * 2 ** 20), 'too-large'],
  ['50,000 metrics', 'dcmd', Buffer.from(Array.from({ length: 60_000 }, (_, index) => (index % 2 ? 0 : 0x12))), 'too-many'],
  [
    'an unknown name [tck-id-operational-behavior-data-commands-ncmd-metric-name] [tck-id-operational-behavior-data-commands-dcmd-metric-name]',
    'ncmd',
    encode({ metrics: [{ name: 'Cluster/Hosts', doubleValue: 1 }] }),
    'unknown-metric',
  ],
  [
    'an unknown alias [tck-id-payloads-name-cmd-requirement]',
    'dcmd',
    encode({ metrics: [{ alias: 99, booleanValue: true }] }),
    'unknown-metric',
  ],
  [
    'a wrong type [tck-id-operational-behavior-data-commands-ncmd-metric-value] [tck-id-operational-behavior-data-commands-dcmd-metric-value]',
    'ncmd',
    encode({ metrics: [{ name: 'Node Control/Rebirth', stringValue: 'true' }] }),
    'wrong-type',
  ],
  ['a reboot', 'ncmd', encode({ metrics: [{ name: 'Node Control/Reboot', booleanValue: true }] }), 'refused'],
  [
    'a command for a device that is not there',
    'stranger',
    encode({ metrics: [{ name: 'Device Control/Rebirth', booleanValue: true }] }),
    'unknown-device',
  ],
  ['a STATE of nonsense', 'state', Buffer.from('{"online":'), 'invalid-state'],
]
test('hostile messages: nothing is done, each is counted, one line is logged for each kind, and the node lives on', async (t) => {
  const broker = await startBroker(t)
  await broker.publish(stateTopic, state(true), { qos: 1, retain: true })
  const { node, lines } = nodeInHand(t, [broker.url], { primaryHost })
  node.setDevice('host:a', [metric('Load', 1)])
  await node.start(signal)
  await broker.heard(({ verb }) => verb === 'DBIRTH')
  let before = 0
  for (const [name, topic, payload, reason] of attacks) {
    await t.test(name, async () => {
      const count = () => node.observe().dropped[reason as 'malformed']
      before = count()
      for (let round = 0; round < 20; round++) await broker.publish(topics[topic], payload)
      await broker.until(() => count() === before + 20, `20 ${reason}`)
      assert.equal(lines.filter((line) => line.reason === reason).length, 1)
    })
  }
  const from = broker.messages.length
  node.update('host:a', [{ name: 'Load', value: 2 }])
  await broker.heard(({ verb }) => verb === 'DDATA', from)
  assert.deepEqual([broker.connects.length, node.observe().rebirths, node.observe().commands], [1, 0, 0])
})

test('a command that a server kept for whoever comes is not obeyed', async (t) => {
  const broker = await startBroker(t)
  await broker.publish(topics.ncmd, encode({ metrics: [{ name: 'Node Control/Rebirth', booleanValue: true }] }), { qos: 1, retain: true })
  const { node } = nodeInHand(t, [broker.url])
  await node.start(signal)
  await broker.until(() => node.observe().dropped.retained === 1, 'the leftover')
  assert.equal(node.observe().rebirths, 0)
})

test('only the leader connects; it leaves when it is deposed, and comes back at once with the next bdSeq', async (t) => {
  const broker = await startBroker(t)
  let leads = false
  const listeners = new Set<(leads: boolean) => void>()
  const lease = {
    isLeader: () => leads,
    onChange(listener: (leads: boolean) => void) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
  const turn = (to: boolean) => {
    leads = to
    for (const listener of [...listeners]) listener(to)
  }
  const { node } = nodeInHand(t, [broker.url], { reconnect: { baseMs: 600_000, capMs: 600_000 } }, { lease, random: () => 0.99 })
  node.setDevice('host:a', [metric('Load', 1)])
  await node.start(signal)
  node.update('host:a', [{ name: 'Load', value: 2 }])
  assert.deepEqual(broker.connects, [])
  turn(true)
  await broker.heard(({ verb }) => verb === 'DBIRTH')
  // What happened while another one led is told by the births alone.
  assert.deepEqual(loads(broker.messages), [['DBIRTH', false, 2]])
  turn(false)
  await broker.heard(({ verb }) => verb === 'NDEATH')
  await broker.until(() => broker.clients().length === 0, 'the end of the connection')
  turn(true)
  const from = broker.messages.length
  const born = await broker.heard(isBirth, from)
  assert.equal(born.payload.metrics.find(({ name }) => name === 'bdSeq')?.longValue, 1n)
})

test('samples that do not fit are refused and counted, and the others of the same call are taken', async (t) => {
  const broker = await startBroker(t)
  const { node, lines } = nodeInHand(t, [broker.url])
  node.setDevice('host:a', [metric('Load', 1)])
  await node.start(signal)
  await broker.heard(({ verb }) => verb === 'DBIRTH')
  for (let round = 0; round < 10; round++) {
    node.update('host:a', [
      { name: 'Load', value: 'x' },
      { name: 'None', value: 1 },
      { name: 'Load', value: 2, timestamp: -1 },
    ])
  }
  node.update('host:a', [
    { name: 'None', value: 1 },
    { name: 'Load', value: 5 },
  ])
  const { payload } = await broker.heard(({ verb }) => verb === 'DDATA')
  assert.deepEqual(payload.metrics.map(carriedValue), [5])
  assert.equal(node.observe().refusedSamples, 31)
  assert.equal(lines.filter(({ msg }) => msg === 'sample refused').length, 1)
  assert.throws(() => node.setDevice('a/b', []), /"\/"/)
  assert.throws(() => node.setNode([metric('bdSeq', 1)]), /keeps for itself/)
  assert.throws(() => node.setDevice('host:a', [metric('A', 1), metric('A', 1)]), /twice/)
})

test('two nodes may have a device of the same id [tck-id-topic-structure-namespace-duplicate-device-id-across-edge-node]', async (t) => {
  const broker = await startBroker(t)
  for (const name of ['one', 'two']) {
    const { node } = nodeInHand(t, [broker.url], { node: name, clientId: name })
    node.setDevice('host:a', [metric('Load', 1)])
    await node.start(signal)
    await broker.heard(({ topic }) => topic === `spBv1.0/shore/DBIRTH/${name}/host:a`)
  }
})

test('ids and names that differ by letter case only are published and warned of [tck-id-case-sensitivity-sparkplug-ids] [tck-id-case-sensitivity-metric-names]', async (t) => {
  const broker = await startBroker(t)
  const { node, lines } = nodeInHand(t, [broker.url])
  node.setDevice('host:a', [metric('Load', 1), metric('LOAD', 2)])
  node.setDevice('host:A', [metric('Load', 1)])
  await node.start(signal)
  await broker.heard(({ device }) => device === 'host:A')
  const said = lines.filter(({ level }) => level === 40).map(({ msg }) => msg)
  assert.deepEqual(said, ['two metrics differ only by letter case', 'two devices differ only by letter case'])
})

test('what the node sends to others are node commands alone, so that the rules of DCMD are kept by sending none [tck-id-topics-dcmd-mqtt] [tck-id-topics-dcmd-timestamp] [tck-id-payloads-dcmd-timestamp] [tck-id-payloads-dcmd-seq] [tck-id-payloads-dcmd-qos] [tck-id-payloads-dcmd-retain]', async (t) => {
  const broker = await startBroker(t)
  const { node } = nodeInHand(t, [broker.url])
  const online = Promise.withResolvers<GuestSession>()
  node.attach({ online: online.resolve, offline() {}, message() {} })
  await node.start(signal)
  const guest = await online.promise
  assert.deepEqual(Object.keys(guest).sort(), ['sendCommand', 'subscribe', 'unsubscribe'])
  await broker.heard(isBirth)
  const sent: string[] = []
  broker.onPacket((packet) => sent.push(`${packet.topic} ${packet.qos} ${packet.retain}`))
  guest.sendCommand({ group: 'Mill', node: 'PLC' }, Buffer.alloc(0))
  await broker.until(() => sent.length > 0, 'the command')
  assert.deepEqual(sent, ['spBv1.0/Mill/NCMD/PLC 0 false'])
})

test('goes over WebSocket', async (t) => {
  const broker = await startBroker(t)
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', path: '/mqtt' })
  t.after(() => server.close())
  server.on('connection', (socket) => broker.handle(createWebSocketStream(socket)))
  await once(server, 'listening')
  const { node } = nodeInHand(t, [`ws://127.0.0.1:${(server.address() as AddressInfo).port}/mqtt`])
  node.setDevice('host:a', [metric('Load', 1)])
  await node.start(signal)
  await broker.heard(({ verb }) => verb === 'DBIRTH')
  await broker.until(() => node.observe().buffer.length === 0, 'proof')
})
