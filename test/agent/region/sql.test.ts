import assert from 'node:assert/strict'
import { createServer, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { createDatabaseSql, DatabaseRefusal, type SqlOptions } from '../../../agent/region/sql.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { createServingCertificate } from '../../cluster/index.ts'

const limit = { timeout: 30_000 }
const secret = { data: { password: Buffer.from('password of system').toString('base64') } }
const cluster = { request: async () => secret } as unknown as Cluster

const knowing = (...objects: KubernetesObject[]) => ({
  databases: new Map(objects.map((object) => [`${object.metadata.namespace}/${object.metadata.name}`, object])),
})

/** Asks a database that answers like this. */
async function query(t: TestContext, answer: (response: ServerResponse) => void, options?: SqlOptions) {
  const server = createServer((request, response) => {
    request.resume()
    answer(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const sqlUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/_sql`
  return createDatabaseSql({ sqlUrl }, { cluster, caches: knowing() as never }).query(
    { project: 'harbour', database: 'gauge' },
    'SELECT 1',
    [],
    options,
  )
}

test('a database answers with its rows', limit, async (t) => {
  const rows = await query(t, (response) => response.end('{"cols":["1"],"rows":[[1]]}'))
  assert.deepEqual(rows, { cols: ['1'], rows: [[1]] })
})

test('of an endless answer of a database no more is read than is kept', limit, async (t) => {
  let sent = 0
  const chunk = Buffer.alloc(64 * 1024, ' ')
  const endless = (response: ServerResponse) => {
    const write = () => {
      while (!response.destroyed && sent < 300e6 && response.write(chunk)) sent += chunk.byteLength
    }
    response.on('drain', write).on('error', () => {})
    write()
  }
  await assert.rejects(query(t, endless), { type: 'database-unreachable' })
  assert.ok(sent < 16e6, `${sent} bytes`)
})

test('an answer that is no result is none, and a long refusal is cut', limit, async (t) => {
  assert.deepEqual(await query(t, (response) => response.end('null')), { cols: [], rows: [] })
  await assert.rejects(
    query(t, (response) => response.writeHead(400).end(JSON.stringify({ error: { message: 'x'.repeat(100_000) } }))),
    ({ type, detail }: { type: string; detail: string }) => type === 'database-refused' && detail.length < 1100,
  )
  await assert.rejects(
    query(t, (response) => response.writeHead(400).end('null')),
    { type: 'database-refused', detail: /status 400/ },
  )
})

test('rows that are no rows are an answer that is refused, and nothing breaks where they are read', limit, async (t) => {
  for (const body of ['{"rows":5}', '{"rows":{"length":1}}', '{"rows":[null]}', '{"rows":["skerry"]}', '{"rows":[[1],7]}', '{"rows":true}'])
    await assert.rejects(
      query(t, (response) => response.end(body)),
      (error) =>
        error instanceof DatabaseRefusal && error.detail === 'database harbour/gauge: the answer has other rows than those of CrateDB',
      body,
    )
  for (const body of ['{}', '[]', '7', '{"rows":null,"cols":null}'])
    assert.deepEqual(await query(t, (response) => response.end(body)), { cols: [], rows: [] }, body)
})

test('what a refusal repeats of the secrets in its arguments is masked, and its number is kept', limit, async (t) => {
  const message = 'RepositoryVerificationException[<AWSAccessKeyId>AKIA&amp;1</AWSAccessKeyId> a%2Fkey a/key]'
  const answer = (response: ServerResponse) => response.writeHead(500).end(JSON.stringify({ error: { message, code: 5006 } }))
  await assert.rejects(query(t, answer, { secrets: ['AKIA&1', 'a/key'] }), {
    type: 'database-refused',
    code: 5006,
    detail: 'database harbour/gauge: RepositoryVerificationException[<AWSAccessKeyId>[masked]</AWSAccessKeyId> [masked] [masked]]',
  })
})

test('a wait for an answer ends when it is no longer wanted', limit, async (t) => {
  const enough = new AbortController()
  const waiting = query(t, () => enough.abort(), { signal: enough.signal })
  await assert.rejects(waiting, { type: 'database-unreachable' })
})

test('a database with ssl is asked over TLS, with a certificate of its own, and no other one is', limit, async (t) => {
  const { cert, key } = await createServingCertificate('of the customer')
  const server = createTlsServer({ cert, key }, (request, response) => {
    request.resume()
    response.end('{"cols":["1"],"rows":[[1]]}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close().closeAllConnections())
  const keystore = { secretKeyRef: { name: 'ssl-gauge', key: 'keystore' } }
  const metadata = { namespace: 'project-harbour', name: 'gauge' }
  const gauge = { apiVersion: 'cloud.crate.io/v1', kind: 'CrateDB', metadata, spec: { cluster: { ssl: { keystore } } } }
  const at = (protocol: string) => `${protocol}://127.0.0.1:${(server.address() as AddressInfo).port}/_sql`
  const ask = (sqlUrl: string, database: string) =>
    createDatabaseSql({ sqlUrl }, { cluster, caches: knowing(gauge) as never }).query({ project: 'harbour', database }, 'SELECT 1')
  assert.deepEqual((await ask(at('http'), 'gauge')).rows, [[1]])
  await assert.rejects(ask(at('http'), 'tide'), { type: 'database-unreachable' })
  // The site has chosen https itself: then it is verified.
  await assert.rejects(ask(at('https'), 'gauge'), { type: 'database-unreachable' })
})
