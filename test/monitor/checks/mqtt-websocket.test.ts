import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { createWebSocketStream, WebSocketServer } from 'ws'
import { mqtt } from '../../../monitor/checks/mqtt.ts'
import { createCertificate, type Signed } from '../../peers/certificates.ts'
import { startEmbeddedBroker } from '../../peers/embedded-broker.ts'
import { assertResult, run, secret } from './run.ts'

/** A broker behind a TLS WebSocket, which lets nobody in without a certificate of `clients` if that is given. Returns its port. */
async function startSecureBroker(t: TestContext, { cert, key }: Signed, clients?: Signed): Promise<number> {
  const broker = await startEmbeddedBroker()
  const server = createServer({ cert, key, ...(clients && { ca: clients.ca, requestCert: true }) })
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (socket) => void broker.aedes.handle(createWebSocketStream(socket).on('error', () => {})))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(async () => {
    for (const socket of sockets.clients) socket.terminate()
    server.close()
    await broker.close()
  })
  return (server.address() as AddressInfo).port
}

test('mqtt check over a WebSocket with TLS', async (t) => {
  const tls = await createCertificate({ name: 'broker.example.com' })
  const port = await startSecureBroker(t, tls)
  const given = { url: `wss://127.0.0.1:${port}`, protocolVersion: 4 } as const

  await t.test('is up when the authority is known', async () => {
    assertResult(await run(mqtt, { ...given, caFile: secret(tls.ca) }), 'up')
  })
  await t.test('is down when it is not', async () => {
    assertResult(await run(mqtt, given), 'down', 'tls')
  })
  await t.test('holds the certificate against serverName', async () => {
    const elsewhere = { ...given, url: `wss://localhost:${port}`, caFile: secret(tls.ca) }
    assertResult(await run(mqtt, elsewhere), 'down', 'tls')
    assertResult(await run(mqtt, { ...elsewhere, serverName: 'broker.example.com' }), 'up')
  })
})

test("mqtt check over a WebSocket shows the client's certificate", async (t) => {
  const [tls, client] = await Promise.all([createCertificate(), createCertificate({ name: 'monitor' })])
  const port = await startSecureBroker(t, tls, client)
  const given = { url: `wss://127.0.0.1:${port}`, protocolVersion: 4, caFile: secret(tls.ca) } as const
  assert.equal((await run(mqtt, given)).state, 'down')
  assertResult(await run(mqtt, { ...given, certificateFile: secret(client.cert), keyFile: secret(client.key) }), 'up')
})

test('mqtt check of a WebSocket that announces a message of 64 MiB is down before any of it has come', async (t) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: true })
  t.after(() => server.close())
  const asked: unknown[] = []
  server.on('connection', (_socket, { socket, headers }) => {
    asked.push(headers['sec-websocket-extensions'])
    announce(socket, 64 * 2 ** 20)
  })
  await once(server, 'listening')
  const result = await run(mqtt, { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}` })
  assertResult(result, 'down', 'too_large', /Is this an MQTT broker/)
  assert.deepEqual(asked, [undefined], 'what was deflated could become any length')
})

/** Sends the header of a whole binary message, whose length follows in 64 bits (RFC 6455, section 5.2), and nothing of the message. */
function announce(socket: Socket, length: number): void {
  const header = Buffer.from([0x82, 127, 0, 0, 0, 0, 0, 0, 0, 0])
  header.writeBigUInt64BE(BigInt(length), 2)
  socket.write(header)
}
