import assert from 'node:assert/strict'
import { createSecureServer, createServer, type Http2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { createServer as createTlsServer } from 'node:tls'
import { probeConfig } from '../../../monitor/probe/config.ts'
import { Secret } from '../../../shared/fields.ts'
import { createCertificate } from '../../peers/certificates.ts'
import { listen } from '../checks/servers.ts'
import { start } from './asking.ts'

/** A gRPC server that answers every call with a status; undefined never. Returns its port. */
async function serveHealth(t: TestContext, server: Http2Server, status: number | undefined): Promise<number> {
  server.on('stream', (stream) => {
    stream.on('error', () => {})
    if (status === undefined) return
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    stream.end(Buffer.from([0, 0, 0, 0, 2, 8, status]))
  })
  server.on('session', (session) => t.after(() => session.destroy()))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => void server.close())
  return (server.address() as AddressInfo).port
}

test('a gRPC probe tells the health of a service by series that always exist', async (t) => {
  const [serving, failing] = [await serveHealth(t, createServer(), 1), await serveHealth(t, createServer(), 2)]
  const { run } = await start(t, { modules: { health: { prober: 'grpc' } } })
  for (const [target, success, status] of [
    [`http://localhost:${serving}/path`, 1, 'SERVING'],
    [`127.0.0.1:${failing}`, 0, 'NOT_SERVING'],
  ] as const) {
    const found = await run({ module: 'health', target })
    assert.equal(found.value('probe_success'), success)
    assert.equal(found.value('probe_grpc_status_code'), 0)
    assert.equal(found.value('probe_grpc_ssl'), 0)
    assert.deepEqual(
      found.all('probe_grpc_healthcheck_response').map(({ labels, value }) => [labels.serving_status, value]),
      ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'].map((each) => [each, each === status ? 1 : 0]),
    )
    assert.deepEqual(
      found.all('probe_grpc_duration_seconds').map(({ labels }) => labels.phase),
      ['resolve', 'check'],
    )
  }
})

test('a gRPC probe over TLS tells of the certificate, and trusts as its module says', async (t) => {
  const { ca, cert, key } = await createCertificate({ days: 10 })
  const port = await serveHealth(t, createSecureServer({ cert, key }) as unknown as Http2Server, 1)
  const { run } = await start(t, {
    modules: {
      trusting: { prober: 'grpc', grpc: { tls: true, tls_config: { ca_file: new Secret({ value: ca }) } } },
      strict: { prober: 'grpc', grpc: { tls: true } },
    },
  })
  const found = await run({ module: 'trusting', target: `localhost:${port}` })
  assert.equal(found.value('probe_success'), 1)
  assert.equal(found.value('probe_grpc_ssl'), 1)
  const days = ((found.value('probe_ssl_earliest_cert_expiry') ?? 0) - Date.now() / 1000) / 86_400
  assert.ok(days > 9 && days < 11, `${days} days`)
  assert.equal(found.value('probe_tls_version_info', { version: 'TLS 1.3' }), 1)
  assert.equal(found.all('probe_ssl_last_chain_info')[0]?.labels.subject, 'CN=localhost')
  assert.equal(found.value('probe_ssl_last_chain_expiry_timestamp_seconds'), undefined)

  const strict = await run({ module: 'strict', target: `localhost:${port}` })
  assert.equal(strict.value('probe_grpc_status_code'), 14)
  assert.equal(strict.value('probe_grpc_ssl'), 0)
  assert.equal(strict.value('probe_ssl_earliest_cert_expiry'), undefined)
})

test('a gRPC probe says by a code why there was no answer', async (t) => {
  const { cert, key } = await createCertificate()
  const mute = await serveHealth(t, createServer(), undefined)
  const plain = await listen(t, (socket) => socket.end('220 quay ESMTP\r\n'))
  const other = createTlsServer({ cert, key }, (socket) => socket.on('error', () => {}))
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  t.after(() => void other.close())
  const { run } = await start(t, {
    modules: {
      health: { prober: 'grpc' },
      brief: { prober: 'grpc', timeout: '100ms' },
      secure: { prober: 'grpc', grpc: { tls: true, tls_config: { insecure_skip_verify: true } } },
    },
  })
  for (const [module, port, code] of [
    ['brief', mute, 4],
    ['health', plain, 14],
    ['health', 1, 14],
    ['secure', (other.address() as AddressInfo).port, 14],
  ] as const) {
    const found = await run({ module, target: `127.0.0.1:${port}` })
    assert.equal(found.value('probe_success'), 0)
    assert.equal(found.value('probe_grpc_status_code'), code, `${module} ${port}`)
    assert.equal(found.value('probe_grpc_healthcheck_response', { serving_status: 'SERVING' }), 0)
  }
})

const faults = [
  { name: 'a name in upper case', metadata: { 'X-From': ['a'] }, message: /must be in lower case/ },
  { name: 'a name of gRPC itself', metadata: { 'grpc-timeout': ['1S'] }, message: /is a name that gRPC uses itself/ },
  { name: 'a line end in a value', metadata: { 'x-from': ['a\r\nb: c'] }, message: /must be printable ASCII/ },
]
for (const { name, metadata, message } of faults)
  test(`metadata with ${name} is refused with the reason`, () => {
    const result = probeConfig.safeParse({ modules: { m: { prober: 'grpc', grpc: { metadata } } } })
    assert.match(JSON.stringify(result.error?.issues), message)
  })
