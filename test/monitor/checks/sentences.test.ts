import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { haproxy } from '../../../monitor/checks/haproxy.ts'
import { http } from '../../../monitor/checks/http.ts'
import { postgresql } from '../../../monitor/checks/postgresql.ts'
import { redis } from '../../../monitor/checks/redis.ts'
import { zookeeper } from '../../../monitor/checks/zookeeper.ts'
import { resultOfError } from '../../../monitor/prober/run.ts'
import { createCertificate } from '../../peers/certificates.ts'
import { assertResult, measured, run, secret } from './run.ts'
import { listen, serve } from './servers.ts'

// What a check says must be true of what it looked at, and name the way out by the check's own options.

const statistics = `# pxname,svname,qcur,scur,status,type,last_chk
shop,a,0,0,UP,2,
shop,BACKEND,0,0,UP,1,
old,c,0,0,DOWN,2,Layer4 connection problem
old,BACKEND,0,0,DOWN,1,
`

test('a haproxy check of some backends is about their servers alone, and measures the others too', async (t) => {
  const url = `${await serve(t, { '/stats;csv': statistics })}/stats`
  const found = await run(haproxy, { url, backends: ['shop'] })
  assertResult(found, 'up', undefined, /^1 backend and 1 server, none down/)
  assert.equal(measured(found, 'skerry_haproxy_backend_servers', { backend: 'old', state: 'down' }), 1)
  assertResult(await run(haproxy, { url, backends: ['old'] }), 'down', 'unavailable', /old\/c/)
  assertResult(await run(haproxy, { url }), 'down', 'unavailable', /old\/c/)
})

test('an HTTP check says of a redirect how it would be followed, or expected', async (t) => {
  const port = await listen(t, (socket) =>
    socket.once('data', () => socket.end('HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n')),
  )
  const found = await run(http, { url: `http://127.0.0.1:${port}/` })
  assertResult(
    found,
    'down',
    'unexpected_answer',
    /^Status 302, to \/login, but 200 to 299 is expected\. .*maxRedirects.*add 302 to expectStatus\.$/,
  )
})

test('an HTTP check says of a certificate that has expired how long ago that was', async (t) => {
  const { cert, key } = await createCertificate({ days: -1 })
  const server = createServer({ cert, key }, (_request, response) => response.end())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const now = () => Date.now() + 2157 * 86_400_000
  assertResult(await run(http, { url, verify: false }, { now }), 'degraded', 'expiring', /chain expired 2158 days ago\. Renew it\.$/)
})

/** A PostgreSQL that asks for a password by SCRAM (message R, 10). */
const scram = Buffer.from('R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0', 'latin1')

for (const { name, given, detail } of [
  { name: 'has no password', given: {}, detail: /asks role monitor for a password\. Give the check a passwordFile/ },
  { name: 'has an empty one', given: { passwordFile: secret('') }, detail: /The password of role monitor is empty/ },
])
  test(`a postgresql check that ${name} where one is needed is unauthorized`, async (t) => {
    const port = await listen(t, (socket) => {
      socket.once('data', () => {
        socket.write(scram)
        socket.once('data', () => socket.write('R\0\0\0\x0a\0\0\0\x0br=', 'latin1'))
      })
    })
    assertResult(await run(postgresql, { host: '127.0.0.1', port, username: 'monitor', ...given }), 'down', 'unauthorized', detail)
  })

test('a check that got no answer says so once', async () => {
  for (const name of ['TimeoutError', 'AbortError']) {
    const { detail } = resultOfError(new DOMException('time is up', name))
    assert.equal(detail.match(/No answer in time/g)?.length, 1, detail)
  }
})

test('the label of a role is from a fixed set, whatever the server says', async (t) => {
  const said = 'x'.repeat(10)
  const quorum = await listen(t, (socket) => socket.end(`zk_version\t3.9.1-${said}, built\nzk_server_state\t${said}\nzk_avg_latency\t1\n`))
  assert.equal(
    measured(await run(zookeeper, { host: '127.0.0.1', port: quorum }), 'skerry_zookeeper_info', { version: '3.9.1', role: 'other' }),
    1,
  )
  const info = `redis_version:7.4.1\r\nrole:${said}\r\n`
  const cache = await listen(t, (socket) => socket.once('data', () => socket.write(`+PONG\r\n$${info.length}\r\n${info}\r\n`)))
  assert.equal(measured(await run(redis, { host: '127.0.0.1', port: cache }), 'skerry_redis_info', { version: '7.4.1', role: 'other' }), 1)
})

test('an HTTP check without TLS of a port with TLS is told to use it', async (t) => {
  const alerting = await listen(t, (socket) => socket.once('data', () => socket.end(Buffer.from([0x15, 3, 3, 0, 2, 2, 0x46]))))
  assertResult(await run(http, { url: `http://127.0.0.1:${alerting}/` }), 'down', 'protocol', /speaks TLS on this port\. Use https:/)
  const silent = await listen(t, (socket) => socket.once('data', () => socket.end()))
  assertResult(await run(http, { url: `http://127.0.0.1:${silent}/` }), 'down', 'connection_lost', /Does it expect https:/)
})
