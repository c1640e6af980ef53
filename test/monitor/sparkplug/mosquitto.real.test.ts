import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { generate } from 'selfsigned'
import { createMemoryBuffer } from '../../../monitor/sparkplug/buffer.ts'
import { createDiskBuffer } from '../../../monitor/sparkplug/disk-buffer.ts'
import type { EdgeNode } from '../../../monitor/sparkplug/edge-node.ts'
import type { Heard } from './broker.ts'
import { noMosquitto, startHost, startMosquitto } from './mosquitto.ts'
import { logInHand, metric, nodeInHand } from './node-in-hand.ts'
import { rules } from './rules.ts'
import { carriedValue, encode } from './schema.ts'

const skip = noMosquitto
const primaryHost = { id: 'scada', giveUpMs: 1_000 }
const command = (name: string) => encode({ timestamp: Date.now(), metrics: [{ name, timestamp: Date.now(), booleanValue: true }] })

for (const [protocolVersion, version] of [
  [4, 'MQTT 3.1.1'],
  [5, 'MQTT 5 [tck-id-principles-persistence-clean-session-50] [tck-id-payloads-ndeath-will-message-publisher-disconnect-mqtt50]'],
] as const) {
  test(`mosquitto sees a life that keeps the rules over ${version}`, { skip }, async (t) => {
    const broker = await startMosquitto(t)
    const host = await startHost(t, broker.url)
    const { node, stop } = nodeInHand(t, [broker.url], { protocolVersion, primaryHost })
    node.setNode([metric('Cluster/Hosts', 3)])
    node.setDevice('host:a', [metric('Load', 0)])
    await node.start(new AbortController().signal)
    await host.until(() => node.observe().isOnline, 'the birth')
    for (let round = 1; round < 20; round++) node.update('host:a', [{ name: 'Load', value: round }])
    await host.until(() => host.messages.some(({ verb }) => verb === 'DDATA'), 'data')
    await host.publish('spBv1.0/shore/NCMD/skerry', command('Node Control/Rebirth'))
    await host.until(() => host.messages.filter(({ verb }) => verb === 'NBIRTH').length === 2, 'the rebirth')
    node.removeDevice('host:a')
    await stop()
    await host.until(() => host.messages.some(({ verb }) => verb === 'NDEATH'), 'the death')
    for (const { check, says } of rules) assert.doesNotThrow(() => check({ group: 'shore', node: 'skerry', messages: host.messages }), says)
  })
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

test('TLS with client certificates lets in whom the server knows, and nobody who has none', { skip }, async (t) => {
  const directory = await mkdtemp(path.join(tmpdir(), 'skerry-tls-'))
  t.after(() => rm(directory, { recursive: true }))
  const files = await certificates(directory)
  const tls = [
    `cafile ${files.ca}`,
    `certfile ${files.serverCert}`,
    `keyfile ${files.serverKey}`,
    'require_certificate true',
    'use_identity_as_username true',
  ]
  const broker = await startMosquitto(t, tls, 'mqtts')
  const url = broker.url
  const stranger = nodeInHand(t, [url], { servers: [{ url, caFile: files.ca }] })
  await stranger.node.start(new AbortController().signal)
  const { node } = nodeInHand(t, [url], {
    clientId: 'known',
    servers: [{ url, caFile: files.ca, certFile: files.clientCert, keyFile: files.clientKey }],
  })
  await node.start(new AbortController().signal)
  const until = async (is: () => boolean) => {
    for (let tries = 0; !is() && tries < 500; tries++) await new Promise((resolve) => setTimeout(resolve, 10))
  }
  await until(() => node.observe().isOnline && stranger.node.observe().reconnects > 0)
  assert.equal(node.observe().isOnline, true)
  assert.equal(stranger.node.observe().isOnline, false)
  assert.ok(stranger.node.observe().reconnects > 0)
})

test('fails over to the other server and back on Next Server, never connected to both [tck-id-operational-behavior-primary-application-state-with-multiple-servers-single-server]', {
  skip,
}, async (t) => {
  const [a, b] = [await startMosquitto(t), await startMosquitto(t)]
  const [hostA, hostB] = [await startHost(t, a.url), await startHost(t, b.url)]
  const { node } = nodeInHand(t, [a.url, b.url], { primaryHost })
  node.setDevice('host:a', [metric('Load', 0)])
  await node.start(new AbortController().signal)
  await hostA.until(() => node.observe().isOnline, 'the birth on the first')
  await a.kill()
  node.update('host:a', [{ name: 'Load', value: 1 }])
  await hostB.until(() => hostB.messages.some(({ verb }) => verb === 'DBIRTH'), 'the birth on the second')
  await a.start()
  await hostA.until(() => hostA.client.connected, 'the host again')
  const from = hostA.messages.length
  await hostB.publish('spBv1.0/shore/NCMD/skerry', command('Node Control/Next Server'))
  await hostB.until(() => hostB.messages.some(({ verb }) => verb === 'NDEATH'), 'the death on the second')
  await hostA.until(() => hostA.messages.slice(from).some(({ verb }) => verb === 'NBIRTH'), 'the birth on the first')
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
  for (let tries = 0; !(nodes[1]?.observe().isOnline && (nodes[0]?.observe().reconnects ?? 0) > 0) && tries < 500; tries++)
    await new Promise((resolve) => setTimeout(resolve, 10))
  assert.deepEqual(
    nodes.map((node) => node.observe().isOnline),
    [false, true],
  )
})

test('a server that hangs is left within 1.5 keep-alives, and what was sent into it arrives when it works again', { skip }, async (t) => {
  const broker = await startMosquitto(t)
  const host = await startHost(t, broker.url)
  const { node } = nodeInHand(t, [broker.url], { primaryHost, keepAliveSeconds: 2 })
  node.setDevice('host:a', [metric('Load', 0)])
  await node.start(new AbortController().signal)
  await host.until(() => host.messages.some(({ verb }) => verb === 'DBIRTH') && node.observe().buffer.length === 0, 'the birth')
  broker.pause()
  const began = performance.now()
  for (let value = 1; value <= 50; value++) node.update('host:a', [{ name: 'Load', value }])
  await host.until(() => !node.observe().isConnected, 'the loss')
  assert.ok(performance.now() - began < 3_500, `${performance.now() - began} ms`)
  broker.resume()
  await host.until(() => node.observe().isOnline && node.observe().buffer.length === 0, 'the next life')
  const values = () =>
    new Set(host.messages.flatMap(({ payload }) => payload.metrics.filter(({ name }) => name === 'Load').map(carriedValue)))
  await host.until(() => values().size === 51, 'every value')
})

for (const kind of ['memory', 'disk'] as const) {
  test(`20 kills of the server under load lose no change, repeat only what was unproven, and keep the order (buffer: ${kind})`, {
    skip,
    timeout: 120_000,
  }, async (t) => {
    const broker = await startMosquitto(t)
    const host = await startHost(t, broker.url)
    const directory = await mkdtemp(path.join(tmpdir(), 'skerry-buffer-'))
    t.after(() => rm(directory, { recursive: true, force: true }))
    const buffer =
      kind === 'memory'
        ? createMemoryBuffer({ limit: 100_000 })
        : createDiskBuffer({ directory, maxBytes: 2 ** 26, memoryLimit: 200 }, { log: logInHand().log })
    const { node, stop } = nodeInHand(t, [broker.url], { primaryHost, flushPerSecond: 20_000 }, { buffer })
    const devices = [undefined, 'host:a', 'host:b']
    const names = Array.from({ length: 10 }, (_, index) => `Count/${index}`)
    const counts = new Map<string, number>()
    const load = () => {
      for (const device of devices) {
        const samples = names
          .filter(() => Math.random() < 0.5)
          .map((name) => {
            const key = `${device}/${name}`
            counts.set(key, (counts.get(key) ?? 0) + 1)
            return { name, value: counts.get(key) as number }
          })
        node.update(device, samples)
      }
    }
    const metrics = names.map((name) => metric(name, 0, { datatype: 'UInt32' }))
    node.setNode(metrics)
    for (const device of ['host:a', 'host:b']) node.setDevice(device, metrics)
    await node.start(new AbortController().signal)
    const loading = setInterval(load, 5)
    t.after(() => clearInterval(loading))
    for (let round = 0; round < 20; round++) {
      await host.until(() => node.observe().isOnline, `birth ${round}`)
      await new Promise((resolve) => setTimeout(resolve, 50 + Math.random() * 150))
      await broker.kill()
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 50))
      await broker.start()
    }
    clearInterval(loading)
    await host.until(() => node.observe().isOnline && node.observe().buffer.length === 0, 'the end of the flush')
    await stop()
    await host.until(() => host.messages.at(-1)?.verb === 'NDEATH', 'the death')
    const { repeats, total } = accounts(host.messages, counts)
    t.diagnostic(
      `${total} changes, ${node.observe().buffer.historical} sent as history, ${repeats} repeated, ${node.observe().reconnects} reconnects`,
    )
    assert.ok(total > 5_000)
    assert.equal(node.observe().buffer.dropped, 0)
    const sequence = rules.find(({ ids }) => ids.includes('sequence-num-incrementing'))
    for (const life of lives(host.messages)) sequence?.check({ group: 'shore', node: 'skerry', messages: life })
  })
}

/** Messages from one NBIRTH to the next. */
function lives(messages: Heard[]): Heard[][] {
  const found: Heard[][] = []
  for (const message of messages) {
    if (message.verb === 'NBIRTH') found.push([])
    found.at(-1)?.push(message)
  }
  return found
}

/** Every change of every metric must be there, live ones and historical ones in order, and only historical ones twice. */
function accounts(messages: Heard[], counts: Map<string, number>): { repeats: number; total: number } {
  const seen = new Map<string, Set<number>>()
  const last = new Map<string, { live: number; past: number }>()
  let repeats = 0
  for (const { payload, device, verb } of messages) {
    for (const each of payload.metrics) {
      if (!each.name?.startsWith('Count/')) continue
      const key = `${device}/${each.name}`
      const value = carriedValue(each) as number
      const values = seen.get(key) ?? new Set()
      const before = last.get(key) ?? { live: -1, past: -1 }
      seen.set(key, values)
      last.set(key, before)
      if (values.has(value)) {
        // A birth repeats the present value; nothing else is repeated but as history.
        assert.ok(verb.endsWith('BIRTH') || each.isHistorical, `${key} ${value} is live twice`)
        if (!verb.endsWith('BIRTH')) repeats++
        continue
      }
      values.add(value)
      const line = each.isHistorical ? 'past' : 'live'
      assert.ok(value > before[line], `${key}: ${value} after ${before[line]}, ${line}`)
      before[line] = value
    }
  }
  let total = 0
  for (const [key, count] of counts) {
    total += count
    const missing = Array.from({ length: count }, (_, index) => index + 1).filter((value) => !seen.get(key)?.has(value))
    assert.deepEqual(missing, [], `${key} of ${count}`)
  }
  return { repeats, total }
}

async function certificates(directory: string) {
  const common = { keyType: 'ec', curve: 'P-256', algorithm: 'sha256' } as const
  const authority = await generate([{ name: 'commonName', value: 'test authority' }], {
    ...common,
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  })
  const ca = { key: authority.private, cert: authority.cert }
  const signed = (name: string, use: object) =>
    generate([{ name: 'commonName', value: name }], {
      ...common,
      ca,
      extensions: [
        { name: 'basicConstraints', cA: false, critical: true },
        { name: 'extKeyUsage', ...use },
        { name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] },
      ],
    })
  const [server, client] = [await signed('localhost', { serverAuth: true }), await signed('monitor', { clientAuth: true })]
  const write = async (name: string, text: string) => {
    const file = path.join(directory, name)
    await writeFile(file, text)
    return file
  }
  await chmod(directory, 0o755)
  return {
    ca: await write('ca.pem', authority.cert),
    serverCert: await write('server.pem', server.cert),
    serverKey: await write('server.key', server.private),
    clientCert: await write('client.pem', client.cert),
    clientKey: await write('client.key', client.private),
  }
}
