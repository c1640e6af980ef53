import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { createServer, type TLSSocket } from 'node:tls'
import type * as z from 'zod'
import { elasticsearch } from '../../../monitor/checks/elasticsearch.ts'
import { kafka } from '../../../monitor/checks/kafka.ts'
import type { CheckKind } from '../../../monitor/checks/kind.ts'
import { mqtt } from '../../../monitor/checks/mqtt.ts'
import { rabbitmq } from '../../../monitor/checks/rabbitmq.ts'
import { redis } from '../../../monitor/checks/redis.ts'
import type { Secret } from '../../../shared/fields.ts'
import { createCertificate, type Signed } from '../../peers/certificates.ts'
import { run, secret } from './run.ts'

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

/** Why a check of each kind is not up, by where it connects to and what it trusts. */
const kinds: Record<string, (host: string, port: number, trust: Trust) => Promise<string | undefined>> = {
  http: (host, port, trust) => reason(elasticsearch, { url: `https://${host}:${port}`, ...trust }),
  redis: (host, port, trust) => reason(redis, { host, port, tls: true, ...trust }),
  rabbitmq: (host, port, trust) => reason(rabbitmq, { host, port, tls: true, ...trust }),
  mqtt: (host, port, trust) => reason(mqtt, { url: `mqtts://${host}:${port}`, ...trust }),
  kafka: (host, port, trust) => reason(kafka, { brokers: [`${host}:${port}`], tls: true, ...trust }),
}

async function reason<S extends z.ZodType>(kind: CheckKind<S>, options: z.input<S>): Promise<string | undefined> {
  return (await run(kind, options)).reason
}

for (const [name, reasonOf] of Object.entries(kinds))
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
