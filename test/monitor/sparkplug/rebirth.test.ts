import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { systemClock } from '../../../shared/clock.ts'
import { metric, nodeInHand } from './node-in-hand.ts'
import { carriedValue, decode, encode } from './schema.ts'
import { startWireServer, type WireServer } from './wire-server.ts'

const { signal } = new AbortController()
const until = async (is: () => boolean) => {
  const limit = AbortSignal.timeout(10_000)
  while (!is()) await systemClock.sleep(2, limit)
}

/** Everything the node published from a place on: the verb, the device, and the values of `Load`. */
const published = ({ packets }: WireServer, from = 0) =>
  packets.slice(from).flatMap(({ packet }) => {
    if (packet.cmd !== 'publish') return []
    const [, , verb, , device] = packet.topic.split('/')
    const loads = decode(packet.payload as Buffer).metrics.filter(({ name }) => name === 'Load')
    return [[verb, ...(device === undefined ? [] : [device]), ...loads.map(carriedValue)]]
  })

/** A node with two devices that was born, was reborn on request, and has read a second request within the interval. */
async function asked(t: TestContext, protocolVersion: 4 | 5, rebirthIntervalMs: number) {
  const server = await startWireServer(t)
  const { node, stop } = nodeInHand(t, [server.url], { protocolVersion, rebirthIntervalMs, coalesceMs: 1 })
  for (const id of ['host:a', 'host:b']) node.setDevice(id, [metric('Load', 1)])
  await node.start(signal)
  await until(() => node.observe().isOnline && node.observe().buffer.length === 0)
  const [client] = server.clients
  const request = async () => {
    const { commands } = node.observe()
    const payload = encode({ metrics: [{ name: 'Node Control/Rebirth', booleanValue: true }] })
    client?.send({ cmd: 'publish', topic: 'spBv1.0/shore/NCMD/skerry', payload, qos: 0, dup: false, retain: false })
    await until(() => node.observe().commands > commands)
  }
  await request()
  await until(() => published(server).length === 6)
  // Before the second request: on a slow machine it comes after the interval, and its births are here before it is known to be read.
  const from = server.packets.length
  await request()
  return { server, node, stop, request, from }
}

const births = (a: number, b: number) => [['NBIRTH'], ['DBIRTH', 'host:a', a], ['DBIRTH', 'host:b', b]]

for (const protocolVersion of [4, 5] as const) {
  const on = `on MQTT ${protocolVersion === 5 ? '5' : '3.1.1'}`

  test(`${on}, a rebirth request that waits for the one before it holds data until its births [tck-id-operational-behavior-data-commands-rebirth-action-1]`, async (t) => {
    const { server, node, from } = await asked(t, protocolVersion, 150)
    for (let value = 2; value <= 20; value++) {
      node.update('host:a', [{ name: 'Load', value }])
      await systemClock.sleep(2)
    }
    await until(() => published(server, from).length >= 4)
    const [nbirth, dbirth, other] = published(server, from)
    // On a slow machine the wait is over before the last value.
    const born = Number(dbirth?.[2])
    assert.deepEqual([nbirth, dbirth, other], births(born, 1))
    // What was held is told as history, behind them.
    const held = Array.from({ length: born - 2 }, (_, index) => index + 2)
    await until(() => published(server, from).flatMap((each) => each.slice(2)).length >= 2 + held.length)
    const data = published(server, from).slice(3)
    assert.deepEqual(data.flatMap((each) => each.slice(2)).slice(0, held.length), held)
  })

  test(`${on}, a device that leaves while a rebirth request waits: the births at once, its last data, its death`, async (t) => {
    const { server, node, from } = await asked(t, protocolVersion, 600_000)
    node.update('host:a', [{ name: 'Load', value: 2 }])
    node.update('host:a', [{ name: 'Load', value: 3 }])
    node.removeDevice('host:a')
    await until(() => published(server, from).length >= 5)
    assert.deepEqual(published(server, from), [...births(3, 1), ['DDATA', 'host:a', 2], ['DDEATH', 'host:a']])
  })

  test(`${on}, a node that stops while a rebirth request waits is born, tells what it held, and dies`, async (t) => {
    const { server, node, stop, from } = await asked(t, protocolVersion, 600_000)
    node.update('host:a', [{ name: 'Load', value: 2 }])
    node.update('host:a', [{ name: 'Load', value: 3 }])
    await stop()
    assert.deepEqual(published(server, from), [...births(3, 1), ['DDATA', 'host:a', 2], ['NDEATH']])
  })
}

test('a storm of rebirth requests slows data down, and does not stop it', async (t) => {
  const { server, node, request, from } = await asked(t, 4, 20)
  let isOver = false
  const storm = (async () => {
    while (!isOver) await request()
  })()
  for (let value = 2; value <= 200; value++) {
    node.update('host:a', [{ name: 'Load', value }])
    await systemClock.sleep(1)
  }
  await until(() => published(server, from).some(([verb, , value]) => verb === 'DDATA' && Number(value) > 100))
  isOver = true
  await storm
})
