import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { createServer as createTlsServer } from 'node:tls'
import { createWebSocketStream, WebSocketServer } from 'ws'
import { createFileAccount } from '../../../monitor/sparkplug/bytes-file.ts'
import { createMqttConnect } from '../../../monitor/sparkplug/connection.ts'
import { systemClock } from '../../../shared/clock.ts'
import { type LinkProfile, SocketBytes } from '../../../shared/link/index.ts'
import { startCountingRelay } from '../../bench/counting-relay.ts'
import { createCertificate, writeCertificate } from '../../peers/certificates.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'
import { startBroker } from './broker.ts'
import { metric, nodeInHand } from './node-in-hand.ts'

async function folder(t: TestContext): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'skerry-bytes-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  return directory
}

/** A broker behind a listener of that scheme, and a relay before it that counts what passes. */
async function startListener(t: TestContext, scheme: string) {
  const directory = await folder(t)
  const signed = await createCertificate()
  const { key, cert } = signed
  const { ca: caFile } = await writeCertificate(directory, signed)
  const broker = await startBroker(t)
  const handle = (stream: Parameters<typeof broker.handle>[0]) => broker.handle(stream.on('error', () => {}))
  const http = scheme === 'ws' ? createServer() : scheme === 'wss' ? createHttpsServer({ key, cert }) : undefined
  if (http) new WebSocketServer({ server: http }).on('connection', (socket) => handle(createWebSocketStream(socket)))
  const listener = http ?? (scheme === 'mqtts' ? createTlsServer({ key, cert }, handle) : createTcpServer(handle))
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  t.after(() => listener.close())
  return { relay: await startCountingRelay(t, (listener.address() as AddressInfo).port), caFile }
}

for (const scheme of ['mqtt', 'mqtts', 'ws', 'wss']) {
  test(`every byte of a connection over ${scheme} is counted, from the handshake on`, async (t) => {
    const { relay, caFile } = await startListener(t, scheme)
    const bytes = new SocketBytes()
    const connection = await createMqttConnect({ clock: systemClock, bytes })(
      {
        server: { url: `${scheme}://127.0.0.1:${relay.port}`, ...(scheme.endsWith('s') && scheme !== 'ws' && { caFile }) },
        protocolVersion: 4,
        clientId: 'test',
        keepAliveSeconds: 30,
        will: async () => ({ topic: 'spBv1.0/Mill/NDEATH/test', payload: Buffer.alloc(0) }),
        onConnect() {},
        timeoutMs: 5000,
        maxPacketBytes: 1000,
        onOversized: () => {},
        onMessage: () => {},
      },
      AbortSignal.timeout(10_000),
    )
    await connection.sendAcknowledged('site/notes', Buffer.alloc(800))
    await connection.ping()
    const { received, sent } = bytes.total
    assert.ok(sent > 800 && received > 0)
    assert.equal(received + sent, relay.bytes())
    connection.disconnect()
    await connection.closed
    assert.ok(bytes.total.sent > sent, 'its end is counted too')
  })
}

test('the bytes of each day are added up in a file, which survives damage', async (t) => {
  const file = path.join(await folder(t), 'state', 'bytes')
  const news = { '2026-01-31': { broker: { received: 1, sent: 2 } } }
  assert.deepEqual(await createFileAccount(file).read(), {})
  await createFileAccount(file).add(news)
  assert.deepEqual(await createFileAccount(file).add(news), { '2026-01-31': { broker: { received: 2, sent: 4 } } })
  assert.equal(await readFile(file, 'utf8'), '{"2026-01-31":{"broker":[2,4]}}\n')
  await writeFile(file, '{"2026-')
  assert.deepEqual(await createFileAccount(file).add(news), news)
})

test('a budget that asks for less slows what may be slow, and never a state', async (t) => {
  const clock = createFakeClock()
  let profile: LinkProfile = 'normal'
  const { node } = nodeInHand(t, ['mqtt://127.0.0.1:9'], {}, { clock, profile: () => profile })
  const metrics = (state: string, seconds: number) => [
    metric('State', state, { datatype: 'String' }),
    metric('Duration', seconds, { class: 'duration' }),
  ]
  const kept = () => node.observe().buffer.length
  const changesOf = async (afterMs: number, state: string, seconds: number) => {
    const before = kept()
    await clock.advance(afterMs)
    node.setDevice('checks:tide', metrics(state, seconds))
    return kept() - before
  }
  node.setDevice('checks:tide', metrics('up', 1))
  assert.equal(await changesOf(301_000, 'up', 5), 1)
  profile = 'metered'
  assert.equal(await changesOf(301_000, 'up', 20), 0)
  assert.equal(await changesOf(1_000, 'down', 20), 1)
  assert.equal(await changesOf(3_600_000, 'down', 90), 1)
  profile = 'critical'
  assert.equal(await changesOf(3_600_000, 'down', 900), 0)
  assert.equal(await changesOf(1_000, 'up', 900), 1)
  profile = 'normal'
  assert.equal(await changesOf(1_000, 'up', 900), 1)
})
