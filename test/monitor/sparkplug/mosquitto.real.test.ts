import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import type { EdgeNode, EdgeNodeConfig } from '../../../monitor/sparkplug/edge-node.ts'
import { until } from '../../cluster/index.ts'
import type { Heard } from './broker.ts'
import { type Host, noMosquitto, startHost, startMosquitto } from './mosquitto.ts'
import { createMutualTls } from './mutual-tls.ts'
import { metric, nodeInHand } from './node-in-hand.ts'
import { rules } from './rules.ts'
import { carriedValue, encode } from './schema.ts'

const skip = noMosquitto
// It is online on every server: no node here has a reason to give up on one, however long the machine takes.
const primaryHost = { id: 'scada', giveUpMs: 60_000 }
const command = (name: string) => encode({ timestamp: Date.now(), metrics: [{ name, timestamp: Date.now(), booleanValue: true }] })

for (const [protocolVersion, version] of [
  [4, 'MQTT 3.1.1'],
  [5, 'MQTT 5 [tck-id-principles-persistence-clean-session-50] [tck-id-payloads-ndeath-will-message-publisher-disconnect-mqtt50]'],
] as const) {
  for (const link of ['in the clear', 'over TLS with client certificates'] as const) {
    test(`mosquitto sees a life that keeps the rules ${link}, ${version}`, { skip }, async (t) => {
      const { url, node, stop, host } = await brokerNodeAndHost(t, link !== 'in the clear', { protocolVersion, primaryHost })
      node.setNode([metric('Cluster/Hosts', 3)])
      node.setDevice('host:a', [metric('Load', 0)])
      await node.start(new AbortController().signal)
      await host.until(() => node.observe().isOnline, `the birth on ${url}`)
      for (let round = 1; round < 20; round++) node.update('host:a', [{ name: 'Load', value: round }])
      await host.until(() => host.messages.some(({ verb }) => verb === 'DDATA'), 'data')
      await host.publish('spBv1.0/shore/NCMD/skerry', command('Node Control/Rebirth'))
      await host.until(() => host.messages.filter(({ verb }) => verb === 'NBIRTH').length === 2, 'the rebirth')
      node.removeDevice('host:a')
      await stop()
      await host.until(() => host.messages.some(({ verb }) => verb === 'NDEATH'), 'the death')
      for (const { check, says } of rules)
        assert.doesNotThrow(() => check({ group: 'shore', node: 'skerry', messages: host.messages }), says)
    })

    test(`says nothing before its primary host is online, dies when it leaves and brings what it missed, ${link}, ${version}`, {
      skip,
    }, async (t) => {
      const pilot = { id: 'pilot', giveUpMs: 60_000 } // the host below is online as scada, and as pilot when it is told to
      const { node, host } = await brokerNodeAndHost(t, link !== 'in the clear', { protocolVersion, primaryHost: pilot })
      const state = (online: boolean) => host.publish('spBv1.0/STATE/pilot', JSON.stringify({ online, timestamp: Date.now() }), true)
      await state(false)
      node.setDevice('host:a', [metric('Load', 0)])
      await node.start(new AbortController().signal)
      await host.until(() => node.observe().isConnected, 'the connection')
      node.update('host:a', [{ name: 'Load', value: 1 }])
      await bounce(host)
      assert.equal(host.messages.length, 0, 'nothing before it is there')

      await state(true)
      await host.until(() => node.observe().isOnline && node.observe().buffer.length === 0, 'the birth')
      await state(false)
      await host.until(() => host.messages.some(({ verb }) => verb === 'NDEATH'), 'the death')
      const dead = host.messages.length
      for (let value = 2; value <= 30; value++) node.update('host:a', [{ name: 'Load', value }])
      await bounce(host)
      // Over MQTT 5 the will repeats the death [tck-id-payloads-ndeath-will-message-publisher-disconnect-mqtt50].
      const since = host.messages.slice(dead).filter(({ verb }) => verb !== 'NDEATH')
      assert.equal(since.length, 0, 'nothing while it is away')

      await state(true)
      await host.until(() => node.observe().isOnline && node.observe().buffer.length === 0, 'the second birth')
      await bounce(host)
      const missed = host.messages.slice(dead).flatMap(({ payload }) => payload.metrics)
      const values = (isHistorical: boolean) =>
        missed.filter((each) => each.name === 'Load' && (each.isHistorical ?? false) === isHistorical).map(carriedValue)
      assert.deepEqual(values(false), [30])
      assert.deepEqual(
        values(true),
        Array.from({ length: 28 }, (_, index) => index + 2),
      )
    })
  }
}

/** What is sent now comes back after all that the broker took before. */
async function bounce(host: Host): Promise<void> {
  let isBack = false
  const topic = `spBv1.0/bounce/${randomUUID()}`
  host.client.on('message', (heard) => {
    if (heard === topic) isBack = true
  })
  await host.publish(topic, 'x')
  await host.until(() => isBack, 'the answer of the broker')
}

async function brokerNodeAndHost(t: TestContext, isSecure: boolean, given: Partial<EdgeNodeConfig>) {
  if (!isSecure) {
    const { url } = await startMosquitto(t)
    return { url, host: await startHost(t, url), ...nodeInHand(t, [url], given) }
  }
  const { ca, clientCert, clientKey, lines } = await createMutualTls(t)
  const { url } = await startMosquitto(t, lines, 'mqtts')
  const host = await startHost(t, url, { ca: await readFile(ca), cert: await readFile(clientCert), key: await readFile(clientKey) })
  return { url, host, ...nodeInHand(t, [url], { servers: [{ url, caFile: ca, certFile: clientCert, keyFile: clientKey }], ...given }) }
}

test('a node that is killed dies by its will with the bdSeq of its birth', { skip }, async (t) => {
  const broker = await startMosquitto(t)
  const host = await startHost(t, broker.url)
  const { node } = nodeInHand(
    t,
    [broker.url],
    { primaryHost, protocolVersion: 5, reconnect: { baseMs: 60_000, capMs: 60_000 } },
    { random: () => 1 },
  )
  await node.start(new AbortController().signal)
  await host.until(() => host.messages.some(({ verb }) => verb === 'NBIRTH'), 'the birth')
  // A second client with the same id makes the server cut the first one, as a crash of the machine would.
  const { default: mqtt } = await import('mqtt')
  const twin = mqtt.connect(broker.url, { clientId: 'skerry-shore-skerry', reconnectPeriod: 0 })
  t.after(() => twin.endAsync(true))
  await host.until(() => host.messages.some(({ verb }) => verb === 'NDEATH'), 'the death')
  const numbers = host.messages
    .filter(({ verb }) => verb !== 'DBIRTH')
    .map(({ payload }) => payload.metrics.find(({ name }) => name === 'bdSeq')?.longValue)
  assert.deepEqual(numbers, [0n, 0n])
})

// MQTT 5 has a reason for it (0x8E, MQTT-3.1.4-3), which mosquitto 2.0.11 does not send.
for (const protocolVersion of [4, 5] as const)
  test(`two monitors of one name are told of each other, MQTT ${protocolVersion === 5 ? '5' : '3.1.1'}`, { skip }, async (t) => {
    const broker = await startMosquitto(t)
    const both = [1, 2].map(() => nodeInHand(t, [broker.url], { protocolVersion, reconnect: { baseMs: 50, capMs: 2_000 } }))
    for (const { node } of both) await node.start(new AbortController().signal)
    await until('both say so', async () =>
      both.every(({ lines }) => lines.some(({ msg }) => /another client uses this client id/.test(String(msg)))),
    )
  })

test('TLS with client certificates lets in whom the server knows, and nobody who has none', { skip }, async (t) => {
  const files = await createMutualTls(t)
  const broker = await startMosquitto(t, files.lines, 'mqtts')
  const url = broker.url
  const stranger = nodeInHand(t, [url], { servers: [{ url, caFile: files.ca }] })
  await stranger.node.start(new AbortController().signal)
  const { node } = nodeInHand(t, [url], {
    clientId: 'known',
    servers: [{ url, caFile: files.ca, certFile: files.clientCert, keyFile: files.clientKey }],
  })
  await node.start(new AbortController().signal)
  await until('both have tried', async () => node.observe().isOnline && stranger.node.observe().reconnects > 0)
  assert.equal(node.observe().isOnline, true)
  assert.equal(stranger.node.observe().isOnline, false)
  assert.ok(stranger.node.observe().reconnects > 0)
})

test('fails over to the other server and back on Next Server, never connected to both [tck-id-operational-behavior-primary-application-state-with-multiple-servers-single-server]', {
  skip,
}, async (t) => {
  const [a, b] = [await startMosquitto(t), await startMosquitto(t)]
  const messages: Heard[] = []
  const [hostA, hostB] = [await startHost(t, a.url, {}, messages), await startHost(t, b.url, {}, messages)]
  const lifecycle = () => messages.map(({ verb }) => verb).filter((verb) => verb === 'NBIRTH' || verb === 'NDEATH')
  const { node } = nodeInHand(t, [a.url, b.url], { primaryHost })
  node.setDevice('host:a', [metric('Load', 0)])
  await node.start(new AbortController().signal)
  await hostA.until(() => lifecycle().length === 1, 'the birth on the first') // heard, since the server is killed next
  assert.equal(node.observe().server, a.url)
  await a.kill()
  node.update('host:a', [{ name: 'Load', value: 1 }])
  await hostB.until(() => lifecycle().length === 2, 'the birth on the second')
  assert.equal(node.observe().server, b.url)
  await a.start()
  await hostA.until(() => hostA.client.connected, 'the host again')
  await hostB.publish('spBv1.0/shore/NCMD/skerry', command('Node Control/Next Server'))
  await hostA.until(() => node.observe().isOnline && node.observe().server === a.url, 'the birth on the first')
  await hostA.until(() => lifecycle().length === 4, 'the death on the second')
  // The first server was killed before it could send the will; the second hears of the death before the first hears of the birth.
  assert.deepEqual(lifecycle(), ['NBIRTH', 'NBIRTH', 'NDEATH', 'NBIRTH'])
})

test('is let in by user and password, and not by a wrong one', { skip }, async (t) => {
  const directory = await mkdtemp(path.join(tmpdir(), 'skerry-password-'))
  t.after(() => rm(directory, { recursive: true }))
  const passwords = path.join(directory, 'passwords')
  execFileSync('mosquitto_passwd', ['-c', '-b', passwords, 'monitor', 'right'])
  await chmod(passwords, 0o644)
  const broker = await startMosquitto(t, [`password_file ${passwords}`])
  const nodes: EdgeNode[] = []
  for (const word of ['wrong', 'right']) {
    const passwordFile = path.join(directory, word)
    await writeFile(passwordFile, `${word}\n`)
    const { node } = nodeInHand(t, [broker.url], {
      clientId: word,
      servers: [{ url: broker.url, username: 'monitor', passwordFile }],
    })
    await node.start(new AbortController().signal)
    nodes.push(node)
  }
  await until('both have tried', async () => nodes[1]?.observe().isOnline && (nodes[0]?.observe().reconnects ?? 0) > 0)
  assert.deepEqual(
    nodes.map((node) => node.observe().isOnline),
    [false, true],
  )
})

test('a server that hangs is left before two keep-alives are over, and what was sent into it arrives when it works again', {
  skip,
}, async (t) => {
  const broker = await startMosquitto(t)
  const host = await startHost(t, broker.url)
  const { node } = nodeInHand(t, [broker.url], { primaryHost, keepAliveSeconds: 5 })
  node.setDevice('host:a', [metric('Load', 0)])
  await node.start(new AbortController().signal)
  await host.until(() => host.messages.some(({ verb }) => verb === 'DBIRTH') && node.observe().buffer.length === 0, 'the birth')
  broker.pause()
  const began = performance.now()
  for (let value = 1; value <= 50; value++) node.update('host:a', [{ name: 'Load', value }])
  await host.until(() => !node.observe().isConnected, 'the loss')
  // Within 1.5 of them by the clock of dead-link.test.ts; here also by that of a machine that has something else to do.
  assert.ok(performance.now() - began < 10_000, `${performance.now() - began} ms`)
  broker.resume()
  await host.until(() => node.observe().isOnline && node.observe().buffer.length === 0, 'the next life')
  const values = () =>
    new Set(host.messages.flatMap(({ payload }) => payload.metrics.filter(({ name }) => name === 'Load').map(carriedValue)))
  await host.until(() => values().size === 51, 'every value')
})
