import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { apiServerOf } from '../../../monitor/wire/api-server.ts'
import { CheckFailure } from '../../../monitor/wire/reasons.ts'
import { createServingCertificate } from '../../cluster/index.ts'

const { ca, cert, key } = await createServingCertificate()
const signal = AbortSignal.timeout(20_000)

/** An API server that counts its connections. `trusted.ca` can be replaced, as when certificates rotate. */
async function serving(t: TestContext, answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const sockets: Socket[] = []
  const server = createServer({ cert, key }, answer).on('secureConnection', (socket) => sockets.push(socket))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  const trusted = { ca: Buffer.from(ca) }
  const url = new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const apiServer = apiServerOf({ server: url, options: async () => ({ ...trusted, headers: { authorization: 'Bearer tide' } }) })
  return { apiServer, sockets, trusted }
}

const echo = ({ url, headers }: IncomingMessage, response: ServerResponse) => response.end(`${url} ${headers.authorization}`)

test('what a check looks up goes over one connection, and what it tests over a new one', async (t) => {
  const { apiServer, sockets } = await serving(t, echo)
  for (let run = 0; run < 3; run++) {
    const { status, body } = await apiServer.get('/secret', { signal, kept: true })
    assert.deepEqual([status, body.toString()], [200, '/secret Bearer tide'])
  }
  assert.equal(sockets.length, 1)
  for (let run = 0; run < 2; run++) await apiServer.get('/livez', { signal })
  assert.equal(sockets.length, 3)
})

test('a kept connection that the server closes as it is used again is replaced, and nobody notices', async (t) => {
  let asked = 0
  const { apiServer, sockets } = await serving(t, (request, response) => {
    if (++asked === 2) request.socket.destroy()
    else echo(request, response)
  })
  await apiServer.get('/secret', { signal, kept: true })
  assert.equal((await apiServer.get('/secret', { signal, kept: true })).status, 200)
  assert.deepEqual([asked, sockets.length], [3, 2])
})

test('a server that closes a new connection without an answer is asked once', async (t) => {
  let asked = 0
  const { apiServer } = await serving(t, ({ socket }) => {
    asked++
    socket.destroy()
  })
  await assert.rejects(
    apiServer.get('/secret', { signal, kept: true }),
    (error) => error instanceof CheckFailure && error.reason === 'connection_lost',
  )
  assert.equal(asked, 1)
})

test('an answer over a kept connection has a bound, and an end when the check ends', async (t) => {
  const { apiServer } = await serving(t, ({ url }, response) => {
    if (url === '/long') response.end('x'.repeat(2_000))
  })
  await assert.rejects(apiServer.get('/long', { signal, kept: true, maxBytes: 1_000 }), { reason: 'too_large' })
  const over = new AbortController()
  const silent = apiServer.get('/silent', { signal: over.signal, kept: true })
  over.abort(new Error('the check timed out'))
  await assert.rejects(silent, /^Error: the check timed out$/)
})

test('a connection is not kept beyond the certificates that it was opened with', async (t) => {
  const { apiServer, sockets, trusted } = await serving(t, echo)
  await apiServer.get('/secret', { signal, kept: true })
  trusted.ca = Buffer.from(ca)
  await apiServer.get('/secret', { signal, kept: true })
  assert.equal(sockets.length, 2)
})

const floods = {
  'a flood of interim answers': 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(12),
  'another protocol': 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tide\r\n\r\n',
}
for (const [name, bytes] of Object.entries(floods))
  test(`${name} ends a look-up as it ends a request on a new connection`, async (t) => {
    const { apiServer } = await serving(t, ({ socket }) => void socket.write(bytes))
    for (const kept of [true, false]) await assert.rejects(apiServer.get('/secret', { signal, kept }), { reason: 'protocol' })
  })
