import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { ClientRequest } from 'node:http'
import { request } from 'node:https'
import { type TestContext, test } from 'node:test'
import { connect, type TLSSocket } from 'node:tls'
import { createAuthentication } from '../../../agent/api/identity/authentication.ts'
import { identityConfig } from '../../../agent/api/identity/config.ts'
import { limitsConfig } from '../../../agent/api/limits.ts'
import { systemClock } from '../../../shared/clock.ts'
import { byFetch } from '../../../shared/fetch.ts'
import { createTlsServer } from '../../../shared/server.ts'
import { until } from '../../cluster/index.ts'
import { createAuthority, mountSecret } from '../../shared/certificates.ts'
import { createKeptLog, createTestApi } from './harbour.ts'

const limit = { timeout: 120_000 }
const tern = '/v1/harbours/leith/boats/tern'
const authority = await createAuthority()
const pair = await authority.server()

const sha256Of = (token: string) => createHash('sha256').update(token).digest('hex')

/** The API on a listener, for two callers with tokens. */
async function start(
  t: TestContext,
  given: { maxConnections?: number; strangerIdleTimeoutMs?: number; limits?: Record<string, unknown> } = {},
) {
  const { log } = createKeptLog()
  const files = await mountSecret(t, {
    'tls.crt': pair.cert,
    'tls.key': pair.key,
    tokens: JSON.stringify([
      { name: 'cloud', sha256: sha256Of('right-token'), scopes: ['region:read', 'projects:write'] },
      { name: 'tenant', sha256: sha256Of('other-token'), scopes: ['region:read'] },
    ]),
  })
  const limits = given.limits ?? {}
  const identity = identityConfig.parse({ tokensFile: files.file('tokens') })
  const authentication = createAuthentication(identity, limitsConfig.parse(limits), { clock: systemClock, log })
  await authentication.start(AbortSignal.timeout(10_000))
  t.after(() => authentication.stop(0))
  const { app } = createTestApi({ limits, authentication })
  const tls = { certFile: files.file('tls.crt'), keyFile: files.file('tls.key') }
  const { maxConnections, strangerIdleTimeoutMs } = given
  const settings = { ...(maxConnections !== undefined && { maxConnections }), ...(strangerIdleTimeoutMs && { strangerIdleTimeoutMs }) }
  const config = { host: '127.0.0.1', port: 0, tls, ...settings }
  const server = createTlsServer(config, { answer: byFetch(app.fetch, log), log })
  await server.start(AbortSignal.timeout(10_000))
  t.after(() => server.stop(0))
  const port = server.port()
  let asked = 0
  const options = { host: '127.0.0.1', port, ca: authority.cert }
  return {
    app,
    server,
    /** A connection on which a stranger has asked for something, and that it keeps. */
    async stranger(path = '/nothing-here'): Promise<TLSSocket> {
      const socket = connect(options)
      socket.on('error', () => {})
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
      await Promise.race([once(socket, 'data'), once(socket, 'close')])
      t.after(() => socket.destroy())
      return socket
    },
    /** A connection of a stranger who asks for a lot, each time in another name, and reads nothing. */
    async hog(): Promise<TLSSocket> {
      const socket = connect(options)
      socket.on('error', () => {})
      t.after(() => socket.destroy())
      await once(socket, 'secureConnect')
      const ask = () => `GET /docs HTTP/1.1\r\nHost: x\r\nCF-Connecting-IP: 203.0.${asked >> 8}.${asked++ & 255}\r\n\r\n`
      socket.write(Array.from({ length: 100 }, ask).join(''))
      return socket
    },
    /** A valid request whose body does not end. Resolves when the agent reads it. */
    async begin(): Promise<ClientRequest> {
      const headers = { authorization: 'Bearer right-token', 'content-type': 'application/json', expect: '100-continue' }
      const outgoing = request({ ...options, path: tern, method: 'PUT', agent: false, headers })
      outgoing.on('error', () => {})
      outgoing.write('{')
      t.after(() => outgoing.destroy())
      await once(outgoing, 'continue')
      return outgoing
    },
    /** The status of a valid request on a connection of its own, and how long it took in milliseconds. */
    async call(token = 'right-token'): Promise<{ status: number | undefined; ms: number }> {
      const began = performance.now()
      const outgoing = request({ ...options, path: tern, agent: false, headers: { authorization: `Bearer ${token}` } }).end()
      const [incoming] = await once(outgoing, 'response')
      incoming.resume()
      await once(incoming, 'end')
      return { status: incoming.statusCode, ms: performance.now() - began }
    },
  }
}

test('a thousand strangers keep a thousand connections, and a valid caller is answered within a second', limit, async (t) => {
  // On a busy machine it takes longer to open them all than they may be idle.
  const { server, stranger, call } = await start(t, { strangerIdleTimeoutMs: 90_000 })
  // The limit is 1,024.
  for (let opened = 0; opened < 1_100; opened += 50) await Promise.all(Array.from({ length: 50 }, () => stranger()))
  assert.ok(server.statistics().open >= 1_000, `${server.statistics().open} connections are open`)
  await call() // loads what the first request needs
  for (const { status, ms } of [await call(), await call(), await call()]) {
    assert.equal(status, 200)
    assert.ok(ms < 1_000, `it took ${ms} ms`)
  }
  assert.ok(server.statistics().spared >= 70)
  assert.equal(server.statistics().refused, 0)
})

test('strangers behind a proxy that read no answer do not lock out a valid caller', limit, async (t) => {
  const limits = { clientAddressHeader: 'CF-Connecting-IP', trustedProxies: ['127.0.0.0/8'] }
  const { server, hog, call } = await start(t, { maxConnections: 20, limits })
  assert.equal((await call()).status, 200) // loads what the first request needs
  await Promise.all(Array.from({ length: 20 }, hog))
  for (let round = 0; round < 3; round++) {
    const answers = await Promise.all([call(), call(), call()])
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 200],
    )
  }
  assert.equal(server.statistics().refused, 0)
})

test('strangers close the connections of strangers, and never that of the caller', limit, async (t) => {
  const { server, stranger } = await start(t, { maxConnections: 4 })
  const caller = connect({ host: '127.0.0.1', port: server.port(), ca: authority.cert })
  const ask = async () => {
    caller.write(`GET ${tern} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer right-token\r\n\r\n`)
    const [answer] = await once(caller, 'data')
    return String(answer).slice(0, 12)
  }
  t.after(() => caller.destroy())
  assert.equal(await ask(), 'HTTP/1.1 200')
  const first = await stranger()
  for (let i = 0; i < 10; i++) await stranger(i % 2 === 0 ? '/nothing-here' : tern)
  await until('the first stranger has lost its connection', async () => first.closed || first.destroyed)
  assert.equal(await ask(), 'HTTP/1.1 200')
  assert.equal(server.statistics().open, 4)
})

test('one identity leaves connections to others: its requests under way are limited', limit, async (t) => {
  const { call, begin } = await start(t, { limits: { concurrentRequests: 2 } })
  const begun = [await begin(), await begin()]
  assert.equal((await call()).status, 429)
  assert.equal((await call('other-token')).status, 200)
  begun[0]?.destroy()
  await until('one of them has ended', async () => (await call()).status === 200)
})

test('requests without a credential are limited by address; one with a credential is answered all the same', limit, async (t) => {
  const { app } = await start(t, { limits: { anonymousPerMinute: 1, anonymousBurst: 3 } })
  const ask = (path: string, headers: Record<string, string> = {}) => app.request(path, { headers }, { peer: { address: '192.0.2.1' } })
  for (const path of ['/docs', '/openapi.json', '/nothing-here']) assert.notEqual((await ask(path)).status, 429, path)
  for (const path of ['/docs', '/openapi.json', '/nothing-here']) {
    const refused = await ask(path)
    assert.equal(refused.status, 429, path)
    assert.ok(Number(refused.headers.get('retry-after')) > 0)
    assert.equal((await ask(path, { authorization: 'Bearer wrong' })).status, 429)
    assert.notEqual((await ask(path, { authorization: 'Bearer right-token' })).status, 429)
  }
  assert.notEqual((await app.request('/docs', {}, { peer: { address: '192.0.2.2' } })).status, 429)
})
