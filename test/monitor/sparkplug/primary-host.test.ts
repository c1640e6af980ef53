import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Packet } from 'mqtt-packet'
import type { EdgeNodeConfig } from '../../../monitor/sparkplug/edge-node.ts'
import { systemClock } from '../../../shared/clock.ts'
import { metric, nodeInHand } from './node-in-hand.ts'
import { startWireServer, type WireServer } from './wire-server.ts'

const { signal } = new AbortController()
const publish = (topic: string, payload: string | Buffer): Packet => ({
  cmd: 'publish',
  topic,
  payload,
  qos: 0,
  dup: false,
  retain: false,
})
const state = (online: boolean, timestamp: number) => publish('spBv1.0/STATE/scada', JSON.stringify({ online, timestamp }))
/** What the node published, by verb. */
const verbs = ({ packets }: WireServer) =>
  packets.flatMap(({ packet }) => (packet.cmd === 'publish' ? [packet.topic.split('/')[2] as string] : []))
/** The clients that subscribed, in that order. */
const subscribers = ({ packets }: WireServer) => packets.flatMap(({ packet, client }) => (packet.cmd === 'subscribe' ? [client] : []))
const until = async (is: () => boolean) => {
  const limit = AbortSignal.timeout(10_000)
  while (!is()) await systemClock.sleep(5, limit)
}

/** A node that is subscribed, and waits for its primary host on the only server. */
async function waiting(t: TestContext, protocolVersion: 4 | 5, more: Partial<EdgeNodeConfig> = {}) {
  const server = await startWireServer(t)
  const { node } = nodeInHand(t, [server.url], { protocolVersion, primaryHost: { id: 'scada', giveUpMs: 200 }, hostPauseMs: 0, ...more })
  await node.start(signal)
  await until(() => subscribers(server).length === 1)
  const [client] = server.clients
  assert.ok(client)
  /** Until the node has read all that was sent, and a turn later what followed from it is here too: it acknowledges in order. */
  const settled = async () => {
    const acknowledged = () => server.packets.filter(({ packet }) => packet.cmd === 'puback').length
    for (let round = 0; round < 2; round++) {
      const before = acknowledged()
      client.send({ ...publish('spBv1.0/shore/NCMD/skerry', 'no command'), qos: 1, messageId: before + 1 } as Packet)
      await until(() => acknowledged() > before)
    }
  }
  return { server, node, client, settled }
}

for (const protocolVersion of [4, 5] as const) {
  const on = `on MQTT ${protocolVersion === 5 ? '5' : '3.1.1'}`
  const time = Date.now()

  test(`${on}, a primary host that comes and goes in one read leads to no birth [tck-id-message-flow-edge-node-birth-publish-phid-wait] [tck-id-message-flow-edge-node-birth-publish-phid-offline]`, async (t) => {
    const { server, client, settled } = await waiting(t, protocolVersion)
    client.send(state(true, time), state(false, time + 1))
    await settled()
    assert.deepEqual(verbs(server), [])
    client.send(state(true, time + 2))
    await until(() => verbs(server).includes('NBIRTH'))
  })

  test(`${on}, what a host said last counts, however often it came and went before the node read it`, async (t) => {
    const { server, client, settled } = await waiting(t, protocolVersion)
    client.send(state(false, time), state(true, time + 1), state(false, time + 2), state(true, time + 3))
    await settled()
    assert.deepEqual(verbs(server), ['NBIRTH'])
  })

  test(`${on}, a host that is found offline only after the birth was sent, in the next read, leads to the NDEATH`, async (t) => {
    const { server, client } = await waiting(t, protocolVersion)
    const filler = Array.from({ length: 200 }, () => publish('spBv1.0/shore/NCMD/skerry', Buffer.alloc(1_000, 0xff)))
    client.send(state(true, time), ...filler, state(false, time + 1))
    await until(() => server.packets.filter(({ packet }) => packet.cmd === 'connect').length === 2)
    // Born or not by then, it does not stay born.
    assert.deepEqual(verbs(server).slice(-2), verbs(server).length === 0 ? [] : ['NBIRTH', 'NDEATH'])
  })

  test(`${on}, with another server, a host that comes and goes in one read sends the node there, not born`, async (t) => {
    const here = await startWireServer(t, (packet, client) => {
      if (packet.cmd !== 'subscribe') return false
      const suback: Packet = { cmd: 'suback', messageId: packet.messageId as number, granted: [1, 1, 1] }
      client.send(suback, state(true, time), state(false, time + 1))
      return true
    })
    const there = await startWireServer(t)
    const { node } = nodeInHand(t, [here.url, there.url], { protocolVersion, primaryHost: { id: 'scada', giveUpMs: 10_000 } })
    await node.start(signal)
    await until(() => subscribers(there).length === 1)
    assert.deepEqual(verbs(here), ['NDEATH'])
  })

  test(`${on}, what was gathered when the host left is kept for its return`, async (t) => {
    const { server, node, client } = await waiting(t, protocolVersion, { coalesceMs: 600_000 })
    node.setDevice('host:a', [metric('Load', 1)])
    client.send(state(true, time))
    await until(() => node.observe().isOnline && node.observe().buffer.length === 0)
    node.update('host:a', [{ name: 'Load', value: 2 }])
    node.update('host:a', [{ name: 'Load', value: 3 }])
    client.send(state(false, time + 1))
    // By what stays: between two lives the node may be away for less than it takes to look.
    await until(() => verbs(server).includes('NDEATH') && subscribers(server).length === 2)
    assert.deepEqual(verbs(server), ['NBIRTH', 'DBIRTH', 'NDEATH'])
    subscribers(server)[1]?.send(state(true, time + 2))
    await until(() => verbs(server).length === 6)
    assert.deepEqual(verbs(server).slice(3), ['NBIRTH', 'DBIRTH', 'DDATA'])
  })
}
