import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { elasticsearch } from '../../../monitor/checks/elasticsearch.ts'
import { http } from '../../../monitor/checks/http.ts'
import { assertResult, measured, run } from './run.ts'
import { listen } from './servers.ts'

/** A server that always answers with this body in this coding, whatever the request accepts. */
async function serveCoded(t: TestContext, coding: string, body: Buffer): Promise<string> {
  const port = await listen(t, (socket) =>
    socket.once('data', () => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Encoding: ${coding}\r\nContent-Length: ${body.length}\r\n\r\n`)
      socket.end(body)
    }),
  )
  return `http://127.0.0.1:${port}/`
}

const page = '{"status": "ok"}'

test('an HTTP check finds its expressions in a compressed body, and counts the bytes that were sent', async (t) => {
  const coded = brotliCompressSync(page)
  const url = await serveCoded(t, 'br', coded)
  const found = await run(http, { url, expectBody: '"status": "ok"' })
  assertResult(found, 'up')
  assert.equal(measured(found, 'skerry_http_body_bytes'), coded.length)
  assertResult(await run(http, { url, refuseBody: 'ok' }), 'down', 'unexpected_answer', /refuseBody/)
})

test('an HTTP check reads no more of a body that expands than maxBytes', async (t) => {
  const url = await serveCoded(t, 'gzip', gzipSync(`${page}${' '.repeat(8 * 1024 * 1024)}end`))
  assertResult(await run(http, { url, maxBytes: 100_000, expectBody: '"ok"' }), 'up')
  assertResult(await run(http, { url, maxBytes: 100_000, expectBody: 'end' }), 'down', 'unexpected_answer', /in its first 100000 bytes/)
})

test('an HTTP check says why it cannot search a body, and does not care where it need not', async (t) => {
  const url = await serveCoded(t, 'compress', Buffer.from('??'))
  const found = await run(http, { url, expectBody: 'ok' })
  assertResult(found, 'down', 'protocol', /content coding compress/)
  assert.equal(measured(found, 'skerry_http_status_code'), 200)
  assertResult(await run(http, { url }), 'up')
})

test('the kinds that read JSON take it compressed too', async (t) => {
  const health = { cluster_name: 'logs', status: 'green', number_of_nodes: 3, active_shards: 2, unassigned_shards: 0 }
  const url = await serveCoded(t, 'gzip', gzipSync(JSON.stringify(health)))
  const { detail } = await run(elasticsearch, { url })
  assert.doesNotMatch(detail, /not JSON/)
})
