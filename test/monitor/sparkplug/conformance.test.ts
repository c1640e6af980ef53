import assert from 'node:assert/strict'
import { test } from 'node:test'
import { quality } from '../../../monitor/sparkplug/payload.ts'
import { type Heard, startBroker } from './broker.ts'
import { bdSeqInMemory, metric, nodeInHand } from './node-in-hand.ts'
import { rules, type Trace } from './rules.ts'
import { carriedValue, decode, encode, propertiesOf } from './schema.ts'

const named = (message: Heard | undefined, name: string) => message?.payload.metrics.find((each) => each.name === name)
const ncmd = (name: string, value: unknown = true) =>
  encode({ timestamp: Date.now(), metrics: [{ name, timestamp: Date.now(), booleanValue: value }] })

/** A life with everything in it: births, data of all kinds, devices that come and go, a rebirth, a cut, history, an end. */
async function live(t: Parameters<typeof startBroker>[0], given: { hasAliases: boolean; hasDatatypes: boolean }): Promise<Trace> {
  const broker = await startBroker(t)
  const { node, stop } = nodeInHand(t, [broker.url], { ...given, maxMetricsPerMessage: 7 })
  node.setNode([
    metric('Cluster/Hosts ready', 3, { datatype: 'Int32', unit: '', description: 'Hosts that are ready' }),
    metric('Unknown', null),
  ])
  node.setDevice('host:a', [
    metric('Memory', 2n ** 60n + 1n, { datatype: 'Int64', unit: 'By', low: 0 }),
    metric('Load', 0.5, { timestamp: Date.now() - 5_000 }),
    ...Array.from({ length: 20 }, (_, index) => metric(`Disk/${index}`, index, { datatype: 'Int64' })),
  ])
  node.setDevice('host:b', [metric('Load', 1, { quality: quality.stale })])
  await node.start(new AbortController().signal)
  await broker.heard(({ device, verb }) => verb === 'DBIRTH' && device === 'host:b')
  for (let round = 0; round < 280; round++)
    node.update('host:a', [
      { name: 'Load', value: round },
      { name: `Disk/${round % 20}`, value: -round },
    ])
  await broker.until(() => node.observe().buffer.length === 0, 'all was sent and proven')
  for (let round = 0; round < 40; round++) {
    const from = broker.messages.length
    node.update(undefined, [{ name: 'Cluster/Hosts ready', value: round + 100 }])
    await broker.heard(({ verb }) => verb === 'NDATA', from)
  }
  node.setDevice('host:c', [metric('Up', true, { datatype: 'Boolean' })])
  node.setDevice('host:b', [metric('Load', 1, { quality: quality.stale }), metric('New', 'text', { datatype: 'String' })])
  node.setQuality('host:a', quality.bad)
  node.removeDevice('host:b')
  await broker.heard(({ verb }) => verb === 'DDEATH')
  const born = broker.messages.length
  await broker.publish('spBv1.0/shore/NCMD/skerry', ncmd('Node Control/Rebirth'))
  await broker.heard(({ verb }) => verb === 'NBIRTH', born)
  broker.cut()
  for (let round = 0; round < 20; round++) node.update('host:a', [{ name: 'Load', value: 1000 + round }])
  await broker.until(() => broker.connects.length === 2 && node.observe().buffer.length === 0 && node.observe().isOnline, 'a second life')
  await stop()
  await broker.heard(({ verb }) => verb === 'NDEATH', broker.messages.length - 1)
  const { messages, connects, subscriptions } = broker
  return { group: 'shore', node: 'skerry', hasDatatypes: given.hasDatatypes, messages, connects, subscriptions }
}

for (const given of [
  { hasAliases: false, hasDatatypes: true },
  { hasAliases: true, hasDatatypes: false },
]) {
  test(`a whole life of a node ${given.hasAliases ? 'with aliases and types in births only' : 'with names and types everywhere'}`, async (t) => {
    let trace: Trace | undefined
    await t.test('is lived', async (t) => {
      trace = await live(t, given)
      assert.ok(trace.messages.length > 100)
      assert.equal(
        trace.messages.some(({ payload }) => payload.metrics.some(({ isHistorical }) => isHistorical)),
        true,
      )
    })
    if (trace === undefined) return
    for (const { ids, says, check } of rules) {
      await t.test(
        `${says} [${ids
          .split(' ')
          .map((id) => `tck-id-${id}`)
          .join('] [')}]`,
        () => check(trace as Trace),
      )
    }
    await t.test(
      'each CONNECT has the next bdSeq, which its NBIRTHs repeat [tck-id-topics-nbirth-bdseq-increment] [tck-id-topics-nbirth-bdseq-matching] [tck-id-payloads-nbirth-bdseq-repeat] [tck-id-operational-behavior-data-commands-rebirth-action-3]',
      () => {
        const { connects = [], messages } = trace as Trace
        const wills = connects.map(({ will }) => decode(will?.payload as Buffer).metrics[0]?.longValue)
        assert.deepEqual(wills, [0n, 1n])
        const born = messages.filter(({ verb }) => verb === 'NBIRTH').map((message) => named(message, 'bdSeq')?.longValue)
        assert.deepEqual(born, [0n, 0n, 1n])
      },
    )
  })
}

test('a birth lists units, limits and descriptions, and null for what is unknown', async (t) => {
  const broker = await startBroker(t)
  const { node } = nodeInHand(t, [broker.url])
  node.setNode([metric('Temperature', null, { unit: 'Cel', low: -40, high: 85, description: 'Of the cabinet', quality: quality.bad })])
  await node.start(new AbortController().signal)
  const temperature = named(await broker.heard(({ verb }) => verb === 'NBIRTH'), 'Temperature')
  const { engUnit, engLow, engHigh, documentation, Quality } = propertiesOf(temperature)
  assert.deepEqual(
    [engUnit?.stringValue, engLow?.doubleValue, engHigh?.doubleValue, documentation?.stringValue, Quality?.intValue],
    ['Cel', -40, 85, 'Of the cabinet', 0],
  )
  assert.equal(temperature?.isNull, true)
})

test('a change of quality alone is sent [tck-id-operational-behavior-data-publish-nbirth-change] [tck-id-operational-behavior-data-publish-dbirth-change]', async (t) => {
  const broker = await startBroker(t)
  const { node } = nodeInHand(t, [broker.url])
  node.setDevice('host:a', [metric('Load', 7)])
  await node.start(new AbortController().signal)
  await broker.heard(({ verb }) => verb === 'DBIRTH')
  node.setQuality('host:a', quality.stale)
  const [load] = (await broker.heard(({ verb }) => verb === 'DDATA')).payload.metrics
  assert.equal(load && carriedValue(load), 7)
  assert.equal(propertiesOf(load).Quality?.intValue, 500)
})

test('a rebirth stops data, is complete, keeps bdSeq, and opens no connection [tck-id-operational-behavior-data-commands-rebirth-action-1] [tck-id-operational-behavior-data-commands-rebirth-action-2] [tck-id-operational-behavior-data-commands-ncmd-rebirth-verb] [tck-id-operational-behavior-data-commands-ncmd-rebirth-name] [tck-id-operational-behavior-data-commands-ncmd-rebirth-value] [tck-id-operational-behavior-data-commands-ncmd-verb] [tck-id-topics-ncmd-topic] [tck-id-topics-ncmd-payload]', async (t) => {
  const broker = await startBroker(t)
  const { node } = nodeInHand(t, [broker.url])
  for (const id of ['host:a', 'host:b']) node.setDevice(id, [metric('Load', 1)])
  await node.start(new AbortController().signal)
  await broker.heard(({ device }) => device === 'host:b')
  const from = broker.messages.length
  await broker.publish('spBv1.0/shore/NCMD/skerry', ncmd('Node Control/Rebirth', false))
  await broker.publish('spBv1.0/shore/NCMD/skerry', ncmd('Node Control/Rebirth'))
  await broker.until(() => broker.messages.length >= from + 3, 'the births')
  assert.deepEqual(
    broker.messages.slice(from).map(({ verb, device }) => [verb, device]),
    [
      ['NBIRTH', undefined],
      ['DBIRTH', 'host:a'],
      ['DBIRTH', 'host:b'],
    ],
  )
  assert.equal(broker.connects.length, 1)
  assert.equal(node.observe().rebirths, 1)
})

test('a storm of rebirth requests leads to one at once and one more after the interval', async (t) => {
  const broker = await startBroker(t)
  const { node } = nodeInHand(t, [broker.url], { rebirthIntervalMs: 150 })
  await node.start(new AbortController().signal)
  await broker.heard(({ verb }) => verb === 'NBIRTH')
  const began = performance.now()
  for (let round = 0; round < 500; round++) await broker.publish('spBv1.0/shore/NCMD/skerry', ncmd('Node Control/Rebirth'))
  await broker.until(() => broker.messages.length >= 3, 'the second rebirth')
  await broker.until(() => node.observe().commands === 500, 'each command to be counted')
  const { rebirths } = node.observe()
  assert.ok(rebirths <= 2 + (performance.now() - began) / 150, `${rebirths} rebirths`)
})

test('a DCMD for Device Control/Rebirth gives that device a new DBIRTH [tck-id-operational-behavior-data-commands-dcmd-verb] [tck-id-topics-dcmd-topic] [tck-id-topics-dcmd-payload]', async (t) => {
  const broker = await startBroker(t)
  const { node } = nodeInHand(t, [broker.url])
  node.setDevice('host:a', [metric('Load', 1)])
  node.setDevice('host:b', [metric('Load', 1)])
  await node.start(new AbortController().signal)
  await broker.heard(({ device }) => device === 'host:b')
  const from = broker.messages.length
  await broker.publish('spBv1.0/shore/DCMD/skerry/host:a', ncmd('Device Control/Rebirth'))
  const { verb, device } = await broker.heard(() => true, from)
  assert.deepEqual([verb, device], ['DBIRTH', 'host:a'])
})

test('leaving on purpose publishes the NDEATH and takes the will back [tck-id-operational-behavior-edge-node-intentional-disconnect-ndeath] [tck-id-operational-behavior-edge-node-intentional-disconnect-packet] [tck-id-payloads-ndeath-will-message-publisher] [tck-id-payloads-ndeath-will-message-publisher-disconnect-mqtt311]', async (t) => {
  const broker = await startBroker(t)
  const { node, stop } = nodeInHand(t, [broker.url], { protocolVersion: 4 })
  await node.start(new AbortController().signal)
  await broker.heard(({ verb }) => verb === 'NBIRTH')
  await stop()
  await broker.until(() => broker.clients().length === 0, 'the end of the connection')
  const deaths = broker.messages.filter(({ verb }) => verb === 'NDEATH')
  assert.deepEqual(
    deaths.map(({ client, qos }) => [client, qos]),
    [['skerry-shore-skerry', 1]],
  )
})

test('a node that is cut off dies by its will, and is born again with the next bdSeq', async (t) => {
  const broker = await startBroker(t)
  const store = bdSeqInMemory()
  store.last = 254
  const { node } = nodeInHand(t, [broker.url], {}, { bdSeq: store })
  await node.start(new AbortController().signal)
  await broker.heard(({ verb }) => verb === 'NBIRTH')
  for (const [round, bdSeq] of [255n, 0n, 1n].entries()) {
    const born = await broker.heard((message) => message.verb === 'NBIRTH' && named(message, 'bdSeq')?.longValue === bdSeq)
    assert.ok(born)
    if (round === 2) break
    broker.cut()
    await broker.heard((message) => message.verb === 'NDEATH' && named(message, 'bdSeq')?.longValue === bdSeq)
  }
})
