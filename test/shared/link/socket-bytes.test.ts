import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import { SocketBytes } from '../../../shared/link/index.ts'
import { createServingCertificate, until } from '../../cluster/index.ts'

const { ca, cert, key } = await createServingCertificate('wire')

/** A server whose accepted connections are counted twice: by the code under test, and by the bytes that a relay before it passes on. */
async function startPair(t: TestContext, isTls: boolean) {
  const accepted = new SocketBytes()
  const answer = (socket: Socket) => socket.on('data', () => socket.end('x'.repeat(50_000))).on('error', () => {})
  const server = isTls ? createTlsServer({ cert, key }, answer) : createServer(answer)
  server.on('connection', (socket: Socket) => accepted.count(socket))
  const passed = { up: 0, down: 0 }
  const over = Promise.withResolvers<void>()
  // Half open: the last words of TLS come after the end of the other direction.
  const relay = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true })
    near.on('close', over.resolve)
    near.on('data', (chunk) => {
      passed.up += chunk.length
      far.write(chunk)
    })
    far.on('data', (chunk) => {
      passed.down += chunk.length
      near.write(chunk)
    })
    near.on('end', () => far.end()).on('error', () => far.destroy())
    far.on('end', () => near.end()).on('error', () => near.destroy())
  })
  for (const each of [server, relay]) {
    each.listen(0, '127.0.0.1')
    await once(each, 'listening')
    t.after(() => each.close())
  }
  return { port: (relay.address() as AddressInfo).port, accepted, passed, over: over.promise }
}

async function talk(socket: Socket): Promise<void> {
  socket.write('y'.repeat(3_000))
  socket.resume()
  await once(socket, 'close')
}

for (const isTls of [false, true]) {
  test(`both ends count every byte of a connection ${isTls ? 'with' : 'without'} TLS, while it is open and after it`, async (t) => {
    const { port, accepted, passed, over } = await startPair(t, isTls)
    const made = new SocketBytes()
    const socket = isTls
      ? connectTls({ port, host: '127.0.0.1', ca, servername: 'localhost', checkServerIdentity: () => undefined })
      : connect(port, '127.0.0.1')
    made.count(socket)
    made.count(socket)
    await talk(socket)
    await over
    assert.ok(passed.up >= 3_000 && passed.down >= 50_000)
    assert.deepEqual(made.total, { received: passed.down, sent: passed.up })
    // The other end may have yet to read the last words.
    await until('the other end has read all', async () => accepted.total.received === passed.up, 10_000)
    assert.deepEqual(accepted.total, { received: passed.up, sent: passed.down })
  })
}

test('a TLS connection over one that was counted counts once', async (t) => {
  const { port, passed, over } = await startPair(t, true)
  const made = new SocketBytes()
  const below = connect(port, '127.0.0.1')
  made.count(below)
  await once(below, 'connect')
  await talk(connectTls({ socket: below, ca, servername: 'localhost', checkServerIdentity: () => undefined }))
  await over
  assert.deepEqual(made.total, { received: passed.down, sent: passed.up })
})
