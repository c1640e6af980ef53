import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { type ReachOptions, reachHosts } from '../../../agent/preflight/reach.ts'
import { certificate, listen, outside, proxy } from './outside.ts'

async function reach(host: string, port: number, options: ReachOptions = {}, tls = true) {
  const [result] = await reachHosts([{ host, port, tls, neededFor: 'tests', vital: false }], { timeoutMs: 5_000, ...options })
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

test('where any certificate will do, a host is reached whoever signed its own, and a closed door stays closed', async (t) => {
  const pinned = { host: 'localhost', tls: true, anyCertificate: true, neededFor: 'tests', vital: false }
  const found = await reachHosts([
    { ...pinned, port: await outside(t) },
    { ...pinned, port: 1 },
  ])
  assert.deepEqual(
    found.map(({ outcome }) => outcome),
    ['reached', 'refused'],
  )
})

test('a port on which nobody listens is refused', async () => {
  assert.equal((await reach('localhost', 1)).outcome, 'refused') // none that was free a moment ago: it may be somebody else's by now
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
