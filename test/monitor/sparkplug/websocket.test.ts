import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { generate } from 'mqtt-packet'
import { createWebSocketStream, type WebSocket, WebSocketServer } from 'ws'
import { createMqttConnect } from '../../../monitor/sparkplug/connection.ts'
import { systemClock } from '../../../shared/clock.ts'
import { createCertificate, type Signed, writeCertificate } from '../../peers/certificates.ts'
import { startBroker } from './broker.ts'

const maxPacketBytes = 1000

type Given = { onMessage?: (topic: string) => void; tls?: Signed; caFile?: string }

/** A connection through a WebSocket, and the server's end of it. `extensions` is what the client asked for. */
async function connectedPair(t: TestContext, { onMessage = () => {}, tls, caFile }: Given = {}) {
  const broker = await startBroker(t)
  const listener = tls ? createTlsServer({ cert: tls.cert, key: tls.key }) : createServer()
  const server = new WebSocketServer({ server: listener, perMessageDeflate: true })
  t.after(() => listener.close())
  const accepted = new Promise<{ socket: WebSocket; raw: Socket; extensions: string | undefined }>((resolve) =>
    server.on('connection', (socket, { socket: raw, headers }) => {
      broker.handle(createWebSocketStream(socket).on('error', () => {}))
      resolve({ socket, raw, extensions: headers['sec-websocket-extensions'] })
    }),
  )
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const connection = await createMqttConnect({ clock: systemClock })(
    {
      server: { url: `${tls ? 'wss' : 'ws'}://127.0.0.1:${(listener.address() as AddressInfo).port}/mqtt`, caFile },
      protocolVersion: 4,
      clientId: 'test',
      keepAliveSeconds: 30,
      will: async () => ({ topic: 'spBv1.0/Mill/NDEATH/test', payload: Buffer.alloc(0) }),
      onConnect() {},
      timeoutMs: 5000,
      maxPacketBytes,
      onOversized: () => {},
      onMessage,
    },
    new AbortController().signal,
  )
  t.after(() => connection.destroy('the test is over'))
  return { connection, ...(await accepted) }
}

test('a WebSocket message of a length that no broker gathers ends the connection when it is announced, not when it has come', {
  timeout: 10_000,
}, async (t) => {
  const { connection, raw, extensions } = await connectedPair(t)
  assert.equal(extensions, undefined, 'what was deflated could become any length')
  // RFC 6455, section 5.2: a whole binary message, whose length follows in 64 bits.
  const header = Buffer.from([0x82, 127, 0, 0, 0, 0, 0, 0, 0, 0])
  header.writeBigUInt64BE(64n * 2n ** 20n, 2)
  raw.write(header)
  assert.equal(await connection.closed, 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH')
})

test('a WebSocket message may hold many packets, and so be longer than any of them may', { timeout: 10_000 }, async (t) => {
  const topics: string[] = []
  const all = Promise.withResolvers<void>()
  const { socket } = await connectedPair(t, { onMessage: (topic) => topics.push(topic) === 100 && all.resolve() })
  const packet = generate({ cmd: 'publish', topic: 'spBv1.0/STATE/scada', payload: Buffer.alloc(900), qos: 0, dup: false, retain: false })
  socket.send(Buffer.concat(Array.from({ length: 100 }, () => packet)))
  await all.promise
})

test('a server over a WebSocket with TLS is held against caFile', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'skerry-websocket-'))
  t.after(() => rm(folder, { recursive: true }))
  const tls = await createCertificate()
  const { ca } = await writeCertificate(folder, tls)
  await assert.rejects(connectedPair(t, { tls }), /UNABLE_TO_VERIFY_LEAF_SIGNATURE/)
  const { connection, extensions } = await connectedPair(t, { tls, caFile: ca })
  assert.ok(connection.isOpen())
  assert.equal(extensions, undefined)
})
