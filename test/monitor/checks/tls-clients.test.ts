import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { createServer, type TLSSocket } from 'node:tls'
import { elasticsearch } from '../../../monitor/checks/elasticsearch.ts'
import { kafka } from '../../../monitor/checks/kafka.ts'
import type { CheckResult } from '../../../monitor/checks/kind.ts'
import { mqtt } from '../../../monitor/checks/mqtt.ts'
import { rabbitmq } from '../../../monitor/checks/rabbitmq.ts'
import { redis } from '../../../monitor/checks/redis.ts'
import type { Secret } from '../../../shared/fields.ts'
import { createCertificate, type Signed } from '../../peers/certificates.ts'
import { assertResult, run, secret } from './run.ts'
import { listen } from './servers.ts'

/** Starts a TLS server for one test that hangs up after the handshake, and records the server names that were sent. */
async function startServer(t: TestContext, { cert, key }: Signed): Promise<{ port: number; names: unknown[] }> {
  const names: unknown[] = []
  const server = createServer({ cert, key }, (socket) => {
    names.push((socket as TLSSocket & { servername: unknown }).servername)
    socket.on('error', () => {}).destroy()
  })
  server.on('tlsClientError', () => {}) // a check that does not trust the server hangs up
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => void server.close())
  return { port: (server.address() as AddressInfo).port, names }
}

type Trust = { caFile?: Secret; serverName?: string }

/** A run of a check of each kind, by where it connects to and what it trusts. */
const kinds: Record<string, (host: string, port: number, trust: Trust) => Promise<CheckResult>> = {
  http: (host, port, trust) => run(elasticsearch, { url: `https://${host}:${port}`, ...trust }),
  redis: (host, port, trust) => run(redis, { host, port, tls: true, ...trust }),
  rabbitmq: (host, port, trust) => run(rabbitmq, { host, port, tls: true, ...trust }),
  mqtt: (host, port, trust) => run(mqtt, { url: `mqtts://${host}:${port}`, ...trust }),
  websocket: (host, port, trust) => run(mqtt, { url: `wss://${host}:${port}`, ...trust }),
  kafka: (host, port, trust) => run(kafka, { brokers: [`${host}:${port}`], tls: true, ...trust }),
}

for (const [name, look] of Object.entries(kinds)) {
  const reasonOf = async (...given: Parameters<typeof look>) => (await look(...given)).reason

  test(`a check by ${name} trusts what caFile says, and sends and verifies the name of the server, but sends no address`, async (t) => {
    const certificate = await createCertificate()
    const { port, names } = await startServer(t, certificate)
    const caFile = secret(certificate.ca)
    assert.notEqual(await reasonOf('localhost', port, { caFile }), 'tls')
    assert.notEqual(await reasonOf('127.0.0.1', port, { caFile }), 'tls')
    assert.notEqual(await reasonOf('127.0.0.1', port, { caFile, serverName: 'localhost' }), 'tls')
    assert.deepEqual(names, ['localhost', false, 'localhost'])
    assert.equal(await reasonOf('localhost', port, { caFile, serverName: 'quay.example.com' }), 'tls')
    assert.equal(await reasonOf('localhost', port, {}), 'tls')
  })

  test(`a check by ${name} says what to do about a certificate that it does not trust, in the words of its own options`, async (t) => {
    const certificate = await createCertificate()
    const { port } = await startServer(t, certificate)
    assertResult(await look('localhost', port, {}), 'down', 'tls', /not trusted: .* Set caFile/)
    const misnamed = await look('localhost', port, { caFile: secret(certificate.ca), serverName: 'quay.example.com' })
    assertResult(misnamed, 'down', 'tls', /not valid for quay\.example\.com, but for: DNS:localhost.* set serverName\.$/)
  })

  test(`a check by ${name} asks whether a port that does not speak TLS is the right one`, async (t) => {
    const greeting = await listen(t, (socket) => socket.write('SSH-2.0-OpenSSH_9.2p1\r\n'))
    assertResult(await look('127.0.0.1', greeting, {}), 'down', 'tls', /^The server does not answer with TLS\. Is this a TLS port\?/)
    const answering = await listen(t, (socket) => socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')))
    assertResult(await look('127.0.0.1', answering, {}), 'down', 'tls', /Is this a TLS port\?/)
  })
}

test('a connection that ends during the handshake is told as that', async (t) => {
  const port = await listen(t, (socket) => socket.once('data', () => socket.end()))
  for (const name of ['http', 'redis', 'mqtt'])
    assertResult(
      (await kinds[name]?.('127.0.0.1', port, {})) as CheckResult,
      'down',
      'connection_lost',
      /during the TLS handshake\. Is this a TLS port\?/,
    )
})
