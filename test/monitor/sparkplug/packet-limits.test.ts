import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SparkplugMetric } from '../../../monitor/sparkplug/tracked-metric.ts'
import type { Heard } from './broker.ts'
import { metric, nodeInHand } from './node-in-hand.ts'
import { rules } from './rules.ts'
import { carriedValue } from './schema.ts'
import { type Script, startScriptedServer } from './scripted-server.ts'

const signal = new AbortController().signal
const names = (message: Heard | undefined) => message?.payload.metrics.map(({ name }) => name) ?? []
const valueIn = (message: Heard | undefined, sought: string) =>
  message?.payload.metrics.filter(({ name }) => name === sought).map(carriedValue)[0]
/** A device of many checks: more than one packet of AWS IoT's holds. */
const many = (count: number, more: Partial<SparkplugMetric> = {}) =>
  Array.from({ length: count }, (_, index) =>
    metric(`Check ${String(index).padStart(4, '0')}/Duration`, index, { description: 'How long its last run took', unit: 's', ...more }),
  )

for (const protocolVersion of [4, 5] as const) {
  const version = protocolVersion === 5 ? 'MQTT 5' : 'MQTT 3.1.1'

  test(`no packet is larger than the configured limit, and what a birth leaves out is named in it and in the log, ${version}`, async (t) => {
    const maxPacketBytes = 2_000
    const server = await startScriptedServer(t, { maxPacketBytes })
    const { node, lines } = nodeInHand(t, [server.url], {
      servers: [{ url: server.url, maxPacketSize: maxPacketBytes }],
      protocolVersion,
    })
    node.setNode([metric('Cluster/Hosts', 3, { description: 'Hosts' })])
    node.setDevice('large', many(100))
    node.setDevice('small', [metric('Load', 1, { description: 'Load' })])
    await node.start(signal)
    await server.until(() => server.messages.length >= 3, 'the births')
    const [nbirth, large, small] = server.messages
    assert.deepEqual([nbirth?.verb, large?.device, small?.device, server.tooLarge], ['NBIRTH', 'large', 'small', 0])
    assert.ok(
      server.sizes.every((bytes) => bytes <= maxPacketBytes) && (server.sizes[1] as number) > maxPacketBytes * 0.9,
      `${server.sizes}`,
    )
    assert.deepEqual([valueIn(nbirth, 'Birth/Left Out'), valueIn(small, 'Birth/Left Out')], [undefined, undefined])
    const born = names(large).filter((name) => name?.startsWith('Check'))
    const said = String(valueIn(large, 'Birth/Left Out'))
    assert.match(said, new RegExp(`^properties, and ${100 - born.length} of 100 metrics: Check 00`))
    assert.ok(!born.includes('Check 0099/Duration') && born.includes('Check 0000/Duration'), 'the last ones are left out')
    const line = lines.find(({ msg }) => String(msg).startsWith('a birth is larger'))
    assert.equal(line?.limitBytes, maxPacketBytes)
    assert.ok((line?.bytes as number) > 6_000 && line?.limitFrom === 'configured' && line?.device === 'large', JSON.stringify(line))
    assert.deepEqual([node.observe().reducedBirths, node.observe().packetLimitBytes], [1, maxPacketBytes])
    assert.equal(node.observe().birthBytes.DBIRTH.count, 2)

    // Data only of what was born, in messages of that size.
    await server.until(() => node.observe().buffer.length === 0, 'proof of the births')
    const from = server.messages.length
    for (const value of [-1, -2, -3])
      node.update(
        'large',
        many(100).map(({ name }) => ({ name, value })),
      )
    await server.until(() => node.observe().buffer.length === 0, 'the data')
    const data = server.messages.slice(from)
    assert.deepEqual(data.flatMap(names).toSorted(), [...born, ...born, ...born].toSorted())
    assert.ok(data.length > 1 && server.sizes.every((bytes) => bytes <= maxPacketBytes), `${server.sizes}`)
    assert.equal(server.connects, 1)
    for (const { check, says } of rules)
      assert.doesNotThrow(() => check({ group: 'shore', node: 'skerry', messages: server.messages }), says)
  })

  test(`the limit of a server that has none to tell is learned from two closings, and the other devices are born, ${version}`, async (t) => {
    const server = await startScriptedServer(t, { maxPacketBytes: 16_384 })
    const { node, lines } = nodeInHand(t, [server.url], { protocolVersion })
    node.setDevice('a', [metric('Load', 1)])
    node.setDevice('large', many(340))
    node.setDevice('z', [metric('Load', 1)])
    await node.start(signal)
    await server.until(() => node.observe().isOnline && node.observe().buffer.length === 0, 'births that are read')
    assert.equal(server.connects, server.tooLarge + 1)
    assert.ok(server.tooLarge >= 2 && server.tooLarge <= 4, `${server.tooLarge}`)
    const last = server.messages.findLastIndex(({ verb }) => verb === 'NBIRTH')
    assert.deepEqual(
      new Set(
        server.messages
          .slice(last)
          .filter(({ verb }) => verb === 'DBIRTH')
          .map(({ device }) => device),
      ),
      new Set(['a', 'large', 'z']),
    )
    const lessons = lines.filter(({ msg }) => String(msg).startsWith('the server closes the connection'))
    assert.ok(lessons.length >= 1 && lessons.every(({ limitBytes, packetBytes }) => (limitBytes as number) < (packetBytes as number)))
    const { packetLimitBytes = 0 } = node.observe()
    assert.ok(packetLimitBytes > 8_192 && packetLimitBytes < 2 * 16_384, `${packetLimitBytes}`)

    // It stays, and is not learned further: the next births fit at once.
    const [connects, tooLarge, pings] = [server.connects, server.tooLarge, server.pings.length]
    server.cut()
    await server.until(() => server.connects > connects && server.pings.length > pings, 'the next births, which are read')
    assert.deepEqual([server.tooLarge, node.observe().packetLimitBytes], [tooLarge, packetLimitBytes])
  })
}

test('MQTT 5: the limit in the CONNACK is kept from the first birth on, and said', async (t) => {
  const server = await startScriptedServer(t, { properties: { maximumPacketSize: 1_500 }, maxPacketBytes: 1_500, tells: true })
  const { node, lines } = nodeInHand(t, [server.url], { protocolVersion: 5 })
  node.setNode(many(40))
  node.setDevice('host:a', [metric('Text', 'x'.repeat(3_000), { datatype: 'String' }), metric('Load', 1)])
  await node.start(signal)
  await server.until(() => node.observe().isOnline && node.observe().buffer.length === 0, 'births that are read')
  assert.deepEqual([server.connects, server.tooLarge], [1, 0])
  // The value that is too large does not take the others with it.
  assert.deepEqual(names(server.messages[1]), ['Device Control/Rebirth', 'Birth/Left Out', 'Load'])
  assert.match(String(valueIn(server.messages[0], 'Birth/Left Out')), /^properties, and \d+ of 40 metrics: /)
  const said = lines.find(({ msg }) => msg === 'connected to the MQTT server')
  assert.deepEqual([said?.maxPacketBytes, said?.maxPacketFrom], [1_500, 'announced'])
})

test('MQTT 5: "packet too large" teaches at once', async (t) => {
  const server = await startScriptedServer(t, { maxPacketBytes: 20_000, tells: true })
  const { node } = nodeInHand(t, [server.url], { protocolVersion: 5 })
  node.setDevice('large', many(300))
  await node.start(signal)
  await server.until(() => node.observe().isOnline && node.observe().buffer.length === 0, 'births that are read')
  assert.equal(server.tooLarge, 1)
})

test('a value that alone is larger than the server takes is left out and counted, and the others go on', async (t) => {
  const server = await startScriptedServer(t, { maxPacketBytes: 2_000 })
  const { node, lines } = nodeInHand(t, [server.url], { servers: [{ url: server.url, maxPacketSize: 2_000 }] })
  node.setDevice('host:a', [metric('Text', 'short', { datatype: 'String' }), metric('Load', 1)])
  await node.start(signal)
  await server.until(() => node.observe().isOnline && node.observe().buffer.length === 0, 'births that are read')
  node.update('host:a', [
    { name: 'Text', value: 'x'.repeat(5_000) },
    { name: 'Load', value: 2 },
  ])
  await server.until(() => server.messages.some(({ verb }) => verb === 'DDATA'), 'data')
  assert.deepEqual(names(server.messages.at(-1)), ['Load'])
  assert.equal(node.observe().buffer.tooLarge, 1)
  assert.ok(lines.some(({ metric: of, bytes }) => of === 'Text' && (bytes as number) > 5_000))
})

test('when even the smallest NBIRTH is too large, that is an error which names the limit, and the next server is tried', async (t) => {
  const [small, large] = [await startScriptedServer(t, {}), await startScriptedServer(t, {})]
  const { node, lines } = nodeInHand(t, [small.url], {
    servers: [{ url: small.url, maxPacketSize: 80 }, { url: large.url }],
  })
  await node.start(signal)
  await large.until(() => node.observe().isOnline, 'the birth on the other server')
  assert.ok(!small.messages.some(({ verb }) => verb === 'NBIRTH'))
  const line = lines.find(({ level, msg }) => level === 50 && String(msg).startsWith('even the smallest NBIRTH'))
  assert.equal(line?.bytes, 80)
})

test('a limit that is lowered is learned too, although the same births have passed before', async (t) => {
  const script: Script = {}
  const server = await startScriptedServer(t, script)
  const { node } = nodeInHand(t, [server.url])
  node.setDevice('large', many(340))
  await node.start(signal)
  await server.until(() => node.observe().isOnline && node.observe().buffer.length === 0, 'births that are read')
  script.maxPacketBytes = 16_384
  server.cut()
  await server.until(() => node.observe().isOnline && node.observe().reducedBirths === 1, 'smaller births')
  assert.ok(server.tooLarge >= 4 && server.tooLarge <= 6 && (node.observe().packetLimitBytes as number) < 2 * 16_384, `${server.tooLarge}`)
})

test('connections that end for other reasons teach nothing', async (t) => {
  // Each is cut at some message: the first with its births, those after it in the midst of data that was never read.
  const cuts = ['DBIRTH', 'DDATA', 'DDATA', 'DBIRTH', 'DDATA', 'DDATA', 'DDATA', 'DDATA']
  const server = await startScriptedServer(t, {
    closesAt({ verb }) {
      if (verb !== cuts[0]) return false
      cuts.shift()
      return true
    },
  })
  const { node } = nodeInHand(t, [server.url], {})
  node.setDevice('large', many(100))
  await node.start(signal)
  for (let value = 0; cuts.length > 0; value++) {
    await server.until(() => cuts.length === 0 || (node.observe().isOnline && node.observe().buffer.length < 100), 'births that are read')
    node.update('large', [{ name: 'Check 0000/Duration', value: -value }])
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await server.until(() => node.observe().isOnline && node.observe().buffer.length === 0, 'the last births')
  assert.equal(node.observe().packetLimitBytes, undefined)
})
