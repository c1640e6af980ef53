import assert from 'node:assert/strict'
import { test } from 'node:test'
import { quality } from '../../../monitor/sparkplug/payload.ts'
import type { Heard } from './broker.ts'
import { metric, nodeInHand } from './node-in-hand.ts'
import { rules } from './rules.ts'
import { carriedValue } from './schema.ts'
import { startScriptedServer } from './scripted-server.ts'

const signal = new AbortController().signal
const idle = { reconnect: { baseMs: 150, capMs: 150 } }
const ofDevice = (messages: Heard[], id = 'host:a') =>
  messages
    .filter(({ device }) => device === id)
    .flatMap(({ verb, payload }) => {
      const loads = payload.metrics.filter(({ name }) => name === 'Load')
      return loads.length === 0 ? [[verb]] : loads.map((each) => [verb, each.isHistorical ?? false, carriedValue(each)])
    })
const values = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => ['DDATA', true, from + index])

for (const protocolVersion of [4, 5] as const)
  test(`what a device measured before it was deleted in an outage reaches the consumer, and then its death, MQTT ${protocolVersion === 5 ? '5' : '3.1.1'}`, async (t) => {
    const server = await startScriptedServer(t)
    const { node } = nodeInHand(t, [server.url], { ...idle, protocolVersion }, { random: () => 0.9 })
    node.setDevice('host:a', [metric('Load', 0)])
    node.setDevice('host:b', [metric('Load', 0)])
    await node.start(signal)
    await server.until(() => node.observe().isOnline && node.observe().buffer.length === 0, 'births that are read')
    server.cut()
    await server.until(() => !node.observe().isConnected, 'the loss')
    const from = server.messages.length
    for (let value = 1; value <= 5; value++) node.update('host:a', [{ name: 'Load', value }])
    node.removeDevice('host:a')
    await server.until(() => node.observe().isOnline && node.observe().buffer.length === 0, 'the history')
    const second = server.messages.slice(from)
    assert.deepEqual(ofDevice(second), [['DBIRTH', false, 5], ...values(1, 5), ['DDEATH']])
    const born = second.find(({ verb, device }) => verb === 'DBIRTH' && device === 'host:a')
    const qualityOf = (message: Heard | undefined) =>
      message?.payload.metrics
        .find(({ name }) => name === 'Load')
        ?.properties?.values.map(({ intValue }) => intValue)
        .at(-1)
    assert.equal(qualityOf(born), quality.stale)
    for (const { check, says } of rules) assert.doesNotThrow(() => check({ group: 'shore', node: 'skerry', messages: second }), says)

    // It has been told: the next life knows nothing of it.
    server.cut()
    await server.until(() => !node.observe().isConnected, 'the second loss')
    const [later, pings] = [server.messages.length, server.pings.length]
    await server.until(() => server.pings.length > pings, 'births that are read in the third life')
    assert.ok(server.messages.slice(later).some(({ device }) => device === 'host:b'))
    assert.deepEqual(ofDevice(server.messages.slice(later)), [])
    assert.equal(node.observe().buffer.unborn, 0)
  })

test('a flush that breaks off before the death goes on in the next life, with both', async (t) => {
  let isCutting = false
  const closesAt = ({ verb }: Heard) => {
    if (!isCutting || verb !== 'DDATA') return false
    isCutting = false
    from = server.messages.length
    return true
  }
  let from = 0
  const server = await startScriptedServer(t, { closesAt })
  const { node } = nodeInHand(t, [server.url], { ...idle, maxMetricsPerMessage: 3 }, { random: () => 0.9 })
  node.setDevice('host:a', [metric('Load', 0)])
  await node.start(signal)
  await server.until(() => node.observe().isOnline && node.observe().buffer.length === 0, 'births that are read')
  isCutting = true
  server.cut()
  await server.until(() => !node.observe().isConnected, 'the loss')
  for (let value = 1; value <= 9; value++) node.update('host:a', [{ name: 'Load', value }])
  node.removeDevice('host:a')
  await server.until(() => from > 0, 'the end of the second life')
  await server.until(() => server.connects === 3 && node.observe().isOnline && node.observe().buffer.length === 0, 'the rest')
  assert.deepEqual(ofDevice(server.messages.slice(from)), [['DBIRTH', false, 9], ...values(1, 9), ['DDEATH']])
})

test('a device that is deleted in the midst of a flush dies when its history is out, and is born again by a rebirth before', async (t) => {
  const server = await startScriptedServer(t)
  const { node } = nodeInHand(t, [server.url], { ...idle, flushPerSecond: 50, maxMetricsPerMessage: 5 })
  node.setDevice('host:a', [metric('Load', 0)])
  for (let value = 1; value <= 20; value++) node.update('host:a', [{ name: 'Load', value }])
  await node.start(signal)
  await server.until(() => server.messages.some(({ verb }) => verb === 'DDATA'), 'the begin of the flush')
  node.removeDevice('host:a')
  node.setNode([metric('Hosts', 1)]) // a new set of the node's metrics is a rebirth
  await server.until(() => node.observe().buffer.length === 0, 'the end of the flush')
  const told = ofDevice(server.messages)
  assert.deepEqual(
    told.filter(([verb]) => verb === 'DDATA'),
    values(0, 20).filter(([, , value]) => value !== 20 || told.some(([, isHistorical, last]) => isHistorical && last === 20)),
  )
  assert.equal(told.filter(([verb]) => verb === 'DBIRTH').length, 2)
  assert.deepEqual([told.at(-1), told.filter(([verb]) => verb === 'DDEATH').length], [['DDEATH'], 1])
  for (const { check, says } of rules) assert.doesNotThrow(() => check({ group: 'shore', node: 'skerry', messages: server.messages }), says)
})

test('a device that comes back is no longer gone: what it measured before is sent, and it does not die', async (t) => {
  const server = await startScriptedServer(t)
  const { node } = nodeInHand(t, [server.url], idle, { random: () => 0.9 })
  node.setDevice('host:a', [metric('Load', 0)])
  await node.start(signal)
  await server.until(() => node.observe().isOnline && node.observe().buffer.length === 0, 'births that are read')
  server.cut()
  await server.until(() => !node.observe().isConnected, 'the loss')
  const from = server.messages.length
  node.update('host:a', [{ name: 'Load', value: 1 }])
  node.removeDevice('host:a')
  node.setDevice('host:a', [metric('Load', 2)])
  await server.until(() => node.observe().isOnline && node.observe().buffer.length === 0, 'the history')
  assert.deepEqual(ofDevice(server.messages.slice(from)), [
    ['DBIRTH', false, 2],
    ['DDATA', true, 1],
  ])
})
