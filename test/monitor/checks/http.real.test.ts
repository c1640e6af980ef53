import assert from 'node:assert/strict'
import { test } from 'node:test'
import { http } from '../../../monitor/checks/http.ts'
import { tcp } from '../../../monitor/checks/tcp.ts'
import { tls } from '../../../monitor/checks/tls.ts'
import { createCertificate } from '../../peers/certificates.ts'
import { startEtcd } from '../../peers/etcd.ts'
import { startNginx } from '../../peers/nginx.ts'
import { assertResult, measured, run, secret } from './run.ts'

test('http check of a real nginx', async (t) => {
  const peer = await startNginx(t, {
    locations: [
      'location / { return 200 "all quiet\\n"; }',
      'location /moved { return 302 http://127.0.0.1:$server_port/; }',
      'location /ill { return 503 "storm\\n"; }',
      'location /closed { return 401; }',
      'location /cut { return 444; }',
    ],
  })
  const url = `http://127.0.0.1:${peer.port}`

  await t.test('is up, and measures status and phases', async () => {
    const result = await run(http, { url, expectBody: 'quiet' })
    assertResult(result, 'up', undefined, /Status 200/)
    assert.equal(measured(result, 'skerry_http_status_code'), 200)
    assert.ok((measured(result, 'skerry_http_phase_duration_seconds', { phase: 'connect' }) as number) > 0)
  })
  await t.test('is down on another body', async () => {
    assertResult(await run(http, { url, expectBody: 'storm' }), 'down', 'unexpected_answer', /does not match expectBody/)
    assertResult(await run(http, { url, refuseBody: 'quiet' }), 'down', 'unexpected_answer', /matches refuseBody/)
  })
  await t.test('is down on a redirect, which it follows when asked', async () => {
    assertResult(await run(http, { url: `${url}/moved` }), 'down', 'unexpected_answer', /Status 302, to http/)
    assertResult(await run(http, { url: `${url}/moved`, maxRedirects: 1, expectBody: 'quiet' }), 'up')
  })
  await t.test('is down on an error, and measures its status', async () => {
    const result = await run(http, { url: `${url}/ill` })
    assertResult(result, 'down', 'unexpected_answer', /Status 503, but 200 to 299 is expected/)
    assert.equal(measured(result, 'skerry_http_status_code'), 503)
  })
  await t.test('is up on an error that is expected', async () => {
    assertResult(await run(http, { url: `${url}/closed`, expectStatus: [401] }), 'up')
  })
  await t.test('is down when the connection is closed without an answer', async () => {
    assertResult(await run(http, { url: `${url}/cut` }), 'down', 'connection_lost', /without an answer/)
  })
  await t.test('is down when it hangs, as is the tcp check that expects an answer', async () => {
    await peer.hang()
    assertResult(await run(http, { url }, { timeoutMs: 300 }), 'down', 'timeout', /hangs/)
    const asked = { host: '127.0.0.1', port: peer.port, send: 'HEAD / HTTP/1.0\r\n\r\n', expect: '200 OK' }
    assertResult(await run(tcp, asked, { timeoutMs: 300 }), 'down', 'timeout')
    peer.wake()
    assertResult(await run(tcp, asked), 'up', undefined, /HTTP\/1\.1 200 OK/)
  })
  await t.test('is down when it is stopped, as is the tcp check', async () => {
    await peer.stop()
    assertResult(await run(http, { url }), 'down', 'connection_refused')
    assertResult(await run(tcp, { host: '127.0.0.1', port: peer.port }), 'down', 'connection_refused')
  })
})

test('http and tls checks of a real nginx over TLS', async (t) => {
  const certificate = await createCertificate({ days: 30 })
  const peer = await startNginx(t, { tls: certificate })
  const caFile = secret(certificate.ca)
  const url = `https://localhost:${peer.port}/`
  const given = { host: 'localhost', port: peer.port, caFile }

  await t.test('are up when the authority is known, and measure when the certificate expires', async () => {
    const byHttp = await run(http, { url, caFile })
    const byTls = await run(tls, given)
    assertResult(byHttp, 'up')
    assertResult(byTls, 'up', undefined, /The certificate localhost expires in (29|30) days/)
    const expiry = measured(byTls, 'skerry_tls_certificate_expiry_timestamp_seconds') as number
    assert.ok(Math.abs(expiry - (Date.now() / 1000 + 30 * 86_400)) < 120)
    assert.equal(measured(byHttp, 'skerry_http_certificate_expiry_timestamp_seconds'), expiry)
    assert.equal(measured(byTls, 'skerry_tls_info'), 1)
  })
  await t.test('are degraded when the certificate expires soon', async () => {
    assertResult(await run(http, { url, caFile, warnDays: 60 }), 'degraded', 'expiring', /expires in (29|30) days/)
    assertResult(await run(tls, { ...given, warnDays: 60 }), 'degraded', 'expiring', /Renew it/)
    assertResult(await run(tls, { ...given, warnDays: 60, downDays: 60 }), 'down', 'expiring')
  })
  await t.test('are down once it has expired', async () => {
    const now = () => Date.now() + 40 * 86_400_000
    assertResult(await run(tls, given, { now }), 'down', 'tls', /expired \d+ days ago/)
  })
  await t.test('are down when the authority is not known', async () => {
    assertResult(await run(http, { url }), 'down', 'tls')
    const result = await run(tls, { host: 'localhost', port: peer.port })
    assertResult(result, 'down', 'tls', /not trusted .*caFile/)
    assert.ok(measured(result, 'skerry_tls_certificate_expiry_timestamp_seconds'), 'it is measured all the same')
    assertResult(await run(http, { url, verify: false }), 'up')
    assertResult(await run(tls, { host: 'localhost', port: peer.port, verify: false }), 'up')
  })
  await t.test('are down when the certificate is for another name', async () => {
    assertResult(await run(http, { url, caFile, serverName: 'quay.example.com' }), 'down', 'tls')
    assertResult(await run(tls, { ...given, serverName: 'quay.example.com' }), 'down', 'tls', /not valid for quay\.example\.com/)
  })
  await t.test('are down where TLS is not spoken', async (t) => {
    const plain = await startNginx(t)
    assertResult(await run(http, { url: `https://localhost:${plain.port}/` }), 'down', 'tls')
    assertResult(await run(tls, { ...given, port: plain.port }), 'down', 'tls')
  })
  await t.test('are down when it hangs', async () => {
    await peer.hang()
    assertResult(await run(tls, given, { timeoutMs: 300 }), 'down', 'timeout')
    assertResult(await run(http, { url, caFile }, { timeoutMs: 300 }), 'down', 'timeout')
    peer.wake()
  })
})

test('http check of a real etcd', async (t) => {
  const peer = await startEtcd(t)
  const given = { url: `${peer.url}/health`, expectBody: '"health":"true"' }
  await t.test('is up', async () => {
    assertResult(await run(http, given), 'up')
  })
  await t.test('is down when it hangs, and when it is stopped', async () => {
    await peer.hang()
    assertResult(await run(http, given, { timeoutMs: 300 }), 'down', 'timeout')
    peer.wake()
    await peer.stop()
    assertResult(await run(http, given), 'down', 'connection_refused')
  })
})
