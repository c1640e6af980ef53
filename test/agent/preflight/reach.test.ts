import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer as createProxy } from 'node:http'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { type TestContext, test } from 'node:test'
import { createServer as createTls } from 'node:tls'
import { type ReachOptions, reachHosts } from '../../../agent/preflight/reach.ts'
import { createServingCertificate } from '../../cluster/certificates.ts'

const certificate = await createServingCertificate()

async function listen(t: TestContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return (server.address() as AddressInfo).port
}

/** A host that speaks TLS with a certificate of an authority that only `ca` makes trusted. */
function outside(t: TestContext): Promise<number> {
  const server = createTls({ cert: certificate.cert, key: certificate.key }, (socket) => socket.on('error', () => {}))
  server.on('tlsClientError', () => {})
  return listen(t, server)
}

type Asked = { path: string | undefined; authorization: string | undefined }

/** A proxy that connects everything, or answers `status`. */
async function proxy(t: TestContext, { status = 200 } = {}): Promise<{ port: number; asked: Asked[] }> {
  const asked: Asked[] = []
  const server = createProxy()
  server.on('connect', (request, client) => {
    asked.push({ path: request.url, authorization: request.headers['proxy-authorization'] })
    if (status !== 200) return client.end(`HTTP/1.1 ${status} No\r\n\r\n`)
    const upstream = connect(Number(request.url?.split(':')[1]), '127.0.0.1', () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n')
      client.pipe(upstream).pipe(client)
    })
    for (const socket of [client, upstream]) socket.on('error', () => {})
  })
  return { port: await listen(t, server), asked }
}

async function reach(host: string, port: number, options: ReachOptions = {}, tls = true) {
  const [result] = await reachHosts([{ host, port, tls, neededFor: 'tests' }], { timeoutMs: 5_000, ...options })
  assert.ok(result)
  return result
}

test('a host whose certificate an authority of the site signed is reached with that authority', async (t) => {
  assert.equal((await reach('localhost', await outside(t), { ca: certificate.ca })).outcome, 'reached')
})

test('a certificate of somebody in between is told from a closed door', async (t) => {
  const { outcome, detail } = await reach('localhost', await outside(t))
  assert.equal(outcome, 'untrusted')
  assert.match(detail, /certificate is not trusted \([A-Z_]+\)/)
})

test('a port on which nobody listens is refused', async (t) => {
  const server = createServer()
  const port = await listen(t, server)
  server.close()
  await once(server, 'close')
  assert.equal((await reach('localhost', port)).outcome, 'refused')
})

test('a firewall that cuts the connection once it has read the name is told', async (t) => {
  const port = await listen(
    t,
    createServer((socket) => socket.once('data', () => socket.resetAndDestroy())),
  )
  const { outcome, detail } = await reach('localhost', port)
  assert.deepEqual([outcome, detail], ['refused', 'the connection is cut as soon as localhost is named'])
})

test('a host that never answers is silent, after the time given', async (t) => {
  const port = await listen(
    t,
    createServer((socket) => void t.after(() => socket.destroy())),
  )
  const { outcome, detail } = await reach('localhost', port, { timeoutMs: 200 })
  assert.deepEqual([outcome, detail], ['silent', 'no answer within 0.2 s'])
})

test('a name that is none is not resolved', async () => {
  assert.equal((await reach('nowhere.invalid', 443)).outcome, 'unresolved') // RFC 2606: no resolver knows it
})

test('the proxy is asked for the host by its name, with the user of its address', async (t) => {
  const port = await outside(t)
  const { port: proxyPort, asked } = await proxy(t)
  const found = await reach('localhost', port, { proxy: `http://pilot:se%20a@127.0.0.1:${proxyPort}`, ca: certificate.ca })
  assert.equal(found.outcome, 'reached', found.detail)
  assert.equal(found.proxy, `127.0.0.1:${proxyPort}`)
  assert.deepEqual(asked, [{ path: `localhost:${port}`, authorization: `Basic ${Buffer.from('pilot:se a').toString('base64')}` }])
})

test('a proxy that wants a user, one that refuses, and one that is not there are told apart', async (t) => {
  const { port: strict } = await proxy(t, { status: 407 })
  const { port: closed } = await proxy(t, { status: 403 })
  const outcomes = await Promise.all(
    [strict, closed, 1].map(async (port) => {
      const { outcome, detail } = await reach('ghcr.io', 443, { proxy: `http://127.0.0.1:${port}` })
      return [outcome, detail.replace(/127[.0-9:]+/, 'proxy')]
    }),
  )
  assert.deepEqual(outcomes, [
    ['proxy-refused', 'the proxy proxy does not connect: it wants a user and a password'],
    ['proxy-refused', 'the proxy proxy does not connect: it answers 403'],
    ['proxy-unreachable', 'the proxy proxy does not answer (ECONNREFUSED)'],
  ])
})

for (const entry of ['localhost', '.localhost', '*']) {
  test(`what NO_PROXY names as ${entry} is reached directly`, async (t) => {
    const { port: proxyPort, asked } = await proxy(t)
    const options = { proxy: `http://127.0.0.1:${proxyPort}`, noProxy: ['site.example', entry], ca: certificate.ca }
    assert.equal((await reach('localhost', await outside(t), options)).outcome, 'reached')
    assert.deepEqual(asked, [])
  })
}

test('the way of the tunnel is tried without the proxy, and without TLS', async (t) => {
  const { port: proxyPort, asked } = await proxy(t)
  const port = await listen(t, createServer())
  assert.equal((await reach('localhost', port, { proxy: `http://127.0.0.1:${proxyPort}` }, false)).outcome, 'reached')
  assert.deepEqual(asked, [])
})
