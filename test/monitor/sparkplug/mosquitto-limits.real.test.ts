import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../../shared/clock.ts'
import { noMosquitto, startHost, startMosquitto } from './mosquitto.ts'
import { metric, nodeInHand } from './node-in-hand.ts'
import { rules } from './rules.ts'

const skip = noMosquitto
const signal = new AbortController().signal
const anonymous = 'allow_anonymous true'
const checks = Array.from({ length: 450 }, (_, index) => [
  metric(`site/check-${index}/State`, 'up', { datatype: 'String', properties: { kind: { type: 'String', value: 'http' } } }),
  metric(`site/check-${index}/Detail`, `status 200, ${'x'.repeat(200)}`, { datatype: 'String' }),
]).flat()

test('mosquitto with max_keepalive 10: an idle node over MQTT 5 lives on past one and a half of it', { skip }, async (t) => {
  const broker = await startMosquitto(t, [anonymous, 'max_keepalive 10'])
  const host = await startHost(t, broker.url)
  const { node } = nodeInHand(t, [broker.url], { protocolVersion: 5, keepAliveSeconds: 30 })
  await node.start(signal)
  await host.until(() => node.observe().isOnline && node.observe().buffer.length === 0, 'the birth')
  assert.equal(node.observe().keepAliveSeconds, 10)
  await systemClock.sleep(18_000, signal)
  assert.deepEqual(
    host.messages.map(({ verb }) => verb),
    ['NBIRTH'],
  )
})

for (const [protocolVersion, limit] of [
  [5, 1_500],
  [5, 131_072],
  [4, 131_072],
] as const) {
  const version = protocolVersion === 5 ? 'MQTT 5' : 'MQTT 3.1.1'
  test(`mosquitto with max_packet_size ${limit}: a device of 450 checks silences nobody, ${version}`, { skip }, async (t) => {
    const broker = await startMosquitto(t, [anonymous, `max_packet_size ${limit}`])
    const host = await startHost(t, broker.url)
    const { node, lines } = nodeInHand(t, [broker.url], { protocolVersion })
    node.setDevice('checks:site', checks)
    node.setDevice('host:a', [metric('Load', 0)])
    await node.start(signal)
    await host.until(() => node.observe().isOnline && node.observe().buffer.length === 0, 'births that are read')
    node.update('host:a', [{ name: 'Load', value: 1 }])
    await host.until(() => host.messages.some(({ verb, device }) => verb === 'DDATA' && device === 'host:a'), 'data')
    const from = host.messages.findLastIndex(({ verb }) => verb === 'NBIRTH')
    const life = host.messages.slice(from)
    assert.ok(life.some(({ verb, device }) => verb === 'DBIRTH' && device === 'checks:site'))
    assert.ok(life.every(({ raw }) => raw.length < limit))
    for (const { check, says } of rules) assert.doesNotThrow(() => check({ group: 'shore', node: 'skerry', messages: life }), says)
    const births = host.messages.filter(({ verb }) => verb === 'NBIRTH').length
    // Announced, or learned from two connections that it closed.
    assert.equal(births, protocolVersion === 5 ? 1 : 3)
    assert.ok(lines.some(({ msg, limitBytes }) => String(msg).startsWith('a birth is larger') && (limitBytes as number) <= limit))
  })
}

for (const protocolVersion of [4, 5] as const)
  test(`mosquitto with max_qos 0 is left with a reason, MQTT ${protocolVersion === 5 ? '5' : '3.1.1'}`, { skip }, async (t) => {
    const broker = await startMosquitto(t, [anonymous, 'max_qos 0'])
    const { node, lines } = nodeInHand(t, [broker.url], { protocolVersion })
    await node.start(signal)
    const reason = () => lines.map(({ detail }) => String(detail)).find((detail) => detail !== 'undefined')
    for (const end = performance.now() + 10_000; reason() === undefined && performance.now() < end; ) await systemClock.sleep(20, signal)
    assert.match(reason() ?? '', protocolVersion === 5 ? /Permit QoS 1/ : /without a CONNACK; over MQTT 5/)
    assert.equal(node.observe().sent.NBIRTH, 0)
  })
