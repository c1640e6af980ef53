import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { farewell } from '../../../monitor/wire/farewell.ts'

test('a server that hears the farewell and never closes keeps no connection', async (t) => {
  const heard = Promise.withResolvers<string>()
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket.on('error', () => {}).on('data', (words) => heard.resolve(String(words))))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  await once(socket, 'connect')
  const closed = once(socket, 'close', { signal: AbortSignal.timeout(10_000) })
  farewell(socket, 'QUIT', { patienceMs: 50 })
  await closed
  assert.equal(await heard.promise, 'QUIT')
})

test('a connection that has ended is only destroyed', async (t) => {
  const server = createServer((socket) => void socket.destroy()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => {})
  socket.resume()
  await once(socket, 'close')
  farewell(socket, 'QUIT')
  assert.ok(socket.destroyed)
})
