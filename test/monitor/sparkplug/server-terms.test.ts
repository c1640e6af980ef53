import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connect } from '../../../monitor/sparkplug/connection.ts'
import { createMqttConnect } from '../../../monitor/sparkplug/connection.ts'
import { systemClock } from '../../../shared/clock.ts'
import { nodeInHand } from './node-in-hand.ts'
import { startScriptedServer } from './scripted-server.ts'

const signal = new AbortController().signal
const connected = 'connected to the MQTT server'

test('MQTT 5: the server keep-alive takes the place of the configured one, for the idle node too', async (t) => {
  const server = await startScriptedServer(t, { properties: { serverKeepAlive: 1 } })
  const { node } = nodeInHand(t, [server.url], { protocolVersion: 5, keepAliveSeconds: 30 })
  // Time is counted by the event loop that the node runs in too: what keeps the node waiting keeps the count waiting.
  const ticks: number[] = []
  const tickMs = 50
  const ticking = setInterval(() => ticks.push(performance.now()), tickMs)
  t.after(() => clearInterval(ticking))
  await node.start(signal)
  await server.until(() => node.observe().isOnline && node.observe().buffer.length === 0, 'the birth')
  assert.equal(node.observe().keepAliveSeconds, 1)
  const from = server.pings.length
  await server.until(() => server.pings.length >= from + 1, 'a ping of the idle node')
  const msBetween = (start: number, end: number) => tickMs * ticks.filter((at) => at > start && at < end).length
  const gaps = server.pings.slice(1).map((at, index) => msBetween(server.pings[index] as number, at))
  assert.ok(
    gaps.every((gap) => gap < 1_500),
    `${gaps}`,
  )
})

test('MQTT 5: the node says once what it runs with, and what a server adds for people has no control characters', async (t) => {
  const properties = {
    serverKeepAlive: 60,
    receiveMaximum: 5,
    maximumQoS: 1,
    retainAvailable: false,
    assignedClientIdentifier: 'other',
    reasonString: 'hello\n\u001b[31mred',
  }
  const server = await startScriptedServer(t, { properties })
  const { node, lines } = nodeInHand(t, [server.url], { protocolVersion: 5, primaryHost: { id: 'scada', giveUpMs: 20 } })
  await node.start(signal)
  await server.until(() => server.connects >= 1 && node.observe().isConnected, 'a connection')
  server.cut()
  await server.until(() => server.connects >= 2 && node.observe().isConnected, 'a second connection')
  const { time, pid, hostname, level, msg, server: name, ...said } = lines.find((line) => line.msg === connected) ?? {}
  assert.deepEqual(said, {
    protocol: '5',
    keepAliveSeconds: 60,
    receiveMaximum: 5,
    maximumQos: 1,
    retainAvailable: false,
    assignedClientId: 'other',
    reasonString: 'hello [31mred',
  })
  assert.equal(lines.filter((line) => line.msg === connected).length, 1)
  assert.ok(lines.some((line) => String(line.msg).startsWith('the server keeps no retained messages')))
})

for (const [what, script] of [
  ['says so', { properties: { maximumQoS: 0 } }],
  ['refuses the will', { refuse: { code: 0x9b } }],
] as const)
  test(`MQTT 5: a server that permits QoS 0 only and ${what} is left, with what to do, for the next one`, async (t) => {
    const [zero, other] = [await startScriptedServer(t, script), await startScriptedServer(t)]
    const { node, lines } = nodeInHand(t, [zero.url, other.url], { protocolVersion: 5 })
    await node.start(signal)
    await other.until(() => node.observe().isOnline, 'the birth on the other server')
    assert.deepEqual(zero.messages, [])
    assert.match(String(lines.find(({ detail }) => detail)?.detail), /Permit QoS 1 on the server \(mosquitto: max_qos\), or name another/)
  })

for (const [protocolVersion, refuse, says] of [
  [4, { code: 5 }, 'the server refuses the connection: Not authorized (5)'],
  [
    5,
    { code: 0x9d, properties: { reasonString: 'moved', serverReference: 'b.example:1883' } },
    'the server refuses the connection: Server moved (157); moved; it names another server: b.example:1883',
  ],
] as const)
  test(`a refusal is told with its name, and in MQTT 5 with its reason: ${says}`, async (t) => {
    const server = await startScriptedServer(t, { refuse })
    const connect: Connect = createMqttConnect({ clock: systemClock })
    const options = {
      ...{ server: { url: server.url }, protocolVersion, clientId: 'c', keepAliveSeconds: 30, timeoutMs: 5_000, maxPacketBytes: 1024 },
      ...{ will: async () => ({ topic: 'w', payload: Buffer.alloc(0) }), onConnect() {}, onOversized() {}, onMessage() {} },
    }
    await assert.rejects(connect(options, signal), { message: says })
  })
