import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { test } from 'node:test'
import { createServer as createTlsServer } from 'node:tls'
import { systemClock } from '../../../shared/clock.ts'
import { createCertificate } from '../../peers/certificates.ts'
import { startBroker } from './broker.ts'
import { bdSeqInMemory, nodeInHand } from './node-in-hand.ts'
import { startRelay } from './relay.ts'
import { decode } from './schema.ts'
import { startWireServer } from './wire-server.ts'

const { signal } = new AbortController()
const willNumber = (payload: Buffer | string | undefined) => Number(decode(payload as Buffer).metrics[0]?.longValue)

/** A store that counts how often it stores, and can be told to take its time. */
function countedStore() {
  const memory = bdSeqInMemory()
  const store = {
    stored: 0,
    hold: undefined as Promise<void> | undefined,
    wasUsed: () => memory.wasUsed(signal),
    async next() {
      store.stored++
      await store.hold
      return memory.next(signal)
    },
  }
  return store
}

for (const protocolVersion of [4, 5] as const)
  test(`on MQTT ${protocolVersion === 5 ? 5 : '3.1.1'}, bdSeq moves with each CONNECT that is sent, and a refused TCP connection neither moves nor stores it`, async (t) => {
    const server = protocolVersion === 5 ? await startWireServer(t) : await startBroker(t)
    const relay = await startRelay(t, server.url)
    await relay.refuse()
    const bdSeq = countedStore()
    const { node } = nodeInHand(t, [relay.url], { protocolVersion, reconnect: { baseMs: 5, capMs: 5 } }, { bdSeq })
    await node.start(signal)
    await relay.until(() => node.observe().reconnects >= 5, 'attempts in vain')
    assert.equal(bdSeq.stored, 0)
    for (let life = 0; life < 3; life++) {
      await relay.accept()
      await relay.until(() => node.observe().isOnline, 'the birth')
      const { reconnects } = node.observe()
      await relay.refuse()
      await relay.until(() => node.observe().reconnects >= reconnects + 3, 'attempts in vain')
    }
    assert.deepEqual(
      relay.connects().map(({ will }) => willNumber(will?.payload)),
      [0, 1, 2],
    )
    assert.equal(bdSeq.stored, 3)
  })

test('a failed TLS handshake, a refused WebSocket and a name that is not known do not move bdSeq', async (t) => {
  const { cert, key } = await createCertificate()
  const tls = createTlsServer({ cert, key }).listen(0, '127.0.0.1')
  const http = createServer((socket) => socket.on('error', () => {}).end('HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n')).listen(
    0,
    '127.0.0.1',
  )
  const mute = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1')
  for (const server of [tls, http, mute]) {
    t.after(() => server.close())
    if (!server.listening) await once(server, 'listening')
  }
  const port = (server: { address(): unknown }) => (server.address() as AddressInfo).port
  const urls = [
    `mqtts://127.0.0.1:${port(tls)}`,
    `wss://127.0.0.1:${port(tls)}/mqtt`,
    `ws://127.0.0.1:${port(http)}/mqtt`,
    `ws://127.0.0.1:${port(mute)}/mqtt`,
    `mqtts://127.0.0.1:${port(mute)}`,
    'mqtt://nowhere.invalid:1883',
  ]
  for (const url of urls) {
    const bdSeq = countedStore()
    const { node, stop, lines } = nodeInHand(t, [url], { connectTimeoutMs: 30, reconnect: { baseMs: 5, capMs: 5 } }, { bdSeq })
    await node.start(signal)
    while (node.observe().reconnects < 2) await systemClock.sleep(5)
    await stop()
    assert.equal(bdSeq.stored, 0, url)
    assert.equal(lines.find(({ msg }) => msg === 'edge node cannot be born on this server')?.reason, 'refused', url)
  }
})

test('a number is stored before its CONNECT goes out, and one that was stored in vain is that of the next CONNECT', async (t) => {
  const broker = await startBroker(t)
  const relay = await startRelay(t, broker.url)
  const stored = Promise.withResolvers<void>()
  const bdSeq = countedStore()
  bdSeq.hold = stored.promise
  const { node } = nodeInHand(t, [relay.url], {}, { bdSeq })
  await node.start(signal)
  await relay.until(() => bdSeq.stored === 1, 'the connection')
  relay.cut()
  await relay.until(() => relay.accepted() === 2, 'the next connection')
  assert.deepEqual(relay.packets, [])
  stored.resolve()
  await relay.until(() => node.observe().isOnline, 'the birth')
  assert.deepEqual(
    relay.connects().map(({ will }) => willNumber(will?.payload)),
    [0],
  )
  assert.equal(bdSeq.stored, 1)
  assert.equal(relay.accepted(), 2)
})

test('a number that was stored in vain is not used after another replica may have led', async (t) => {
  const broker = await startBroker(t)
  const relay = await startRelay(t, broker.url)
  const listeners = new Set<(leads: boolean) => void>()
  let leads = true
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
  const stored = Promise.withResolvers<void>()
  const bdSeq = countedStore()
  bdSeq.hold = stored.promise
  const { node } = nodeInHand(t, [relay.url], {}, { bdSeq, lease })
  await node.start(signal)
  await relay.until(() => bdSeq.stored === 1, 'the connection')
  turn(false)
  stored.resolve()
  await relay.until(() => !node.observe().isConnected && broker.clients().length === 0, 'the end of it')
  turn(true)
  await relay.until(() => node.observe().isOnline, 'the birth')
  assert.deepEqual(
    relay.connects().map(({ will }) => willNumber(will?.payload)),
    [1],
  )
})
