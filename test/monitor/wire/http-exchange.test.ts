import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { type Exchange, exchange } from '../../../monitor/wire/http-exchange.ts'
import { CheckFailure } from '../../../monitor/wire/reasons.ts'
import { anyText, fc } from '../../shared/property.ts'
import { listen } from '../checks/servers.ts'

type Sent = { answer: string; pieces: readonly number[] }

/** A server that sends what the test says, in pieces of these sizes, and closes. Returns a way to ask it. */
async function peer(t: TestContext) {
  let sent: Sent = { answer: '', pieces: [] }
  const port = await listen(t, (socket) =>
    socket.setNoDelay().once('data', async () => {
      const bytes = Buffer.from(sent.answer, 'latin1')
      for (let from = 0, index = 0; from < bytes.length; index++) {
        const size = sent.pieces[index % sent.pieces.length] ?? bytes.length
        socket.write(bytes.subarray(from, from + size))
        from += size
        await turn()
      }
      socket.end()
    }),
  )
  return (answer: string, { pieces = [], ...given }: Partial<Exchange> & { pieces?: readonly number[] } = {}) => {
    sent = { answer, pieces }
    const url = new URL(`http://127.0.0.1:${port}/`)
    return exchange({ url, maxBytes: 1000, signal: AbortSignal.timeout(20_000), ...given })
  }
}

const complete = [
  { name: 'a body with a length', answer: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', status: 200, body: 'hello' },
  { name: 'no body at all', answer: 'HTTP/1.1 204 No Content\r\n\r\n', status: 204, body: '' },
  { name: 'an empty body', answer: 'HTTP/1.0 404 \r\ncontent-length:0\r\n\r\n', status: 404, body: '' },
  { name: 'a body that ends with the connection', answer: 'HTTP/1.1 200 OK\r\n\r\nhello', status: 200, body: 'hello' },
  { name: 'bytes behind its end', answer: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, you', status: 200, body: 'hello' },
  {
    name: 'chunks',
    answer: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n',
    status: 200,
    body: 'hello',
  },
  {
    name: 'interim answers first',
    answer: 'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok',
    status: 200,
    body: 'ok',
  },
]

for (const { name, answer, status, body } of complete)
  test(`an HTTP answer with ${name} is read however it arrives`, async (t) => {
    const ask = await peer(t)
    for (const pieces of [[], [1], [2, 3], [7, 1, 20]]) {
      const found = await ask(answer, { pieces })
      assert.deepEqual([found.status, found.body.toString()], [status, body], `in pieces of ${pieces}`)
    }
  })

test('the answer to HEAD has no body, whatever its length says', async (t) => {
  const ask = await peer(t)
  assert.equal((await ask('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', { method: 'HEAD' })).body.length, 0)
})

test('header fields of one name are joined, and their names are in lower case', async (t) => {
  const ask = await peer(t)
  const { headers } = await ask('HTTP/1.1 200 OK\r\nX-Tide: high\r\nx-tide: low\r\nContent-Length: 0\r\n\r\n')
  assert.equal(headers['x-tide'], 'high, low')
})

for (const { name, answer, detail } of [
  { name: 'before its head ends', answer: 'HTTP/1.1 200 OK\r\nContent-Le', detail: /without an answer/ },
  { name: 'before its length', answer: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell', detail: /after 4 bytes of the body/ },
  {
    name: 'between chunks',
    answer: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
    detail: /after 5 bytes of the body/,
  },
])
  test(`an HTTP answer that ends ${name} is a lost connection`, async (t) => {
    const ask = await peer(t)
    await assert.rejects(ask(answer), { name: 'CheckFailure', reason: 'connection_lost', message: detail })
  })

test('a body longer than wanted is cut when asked, else refused', async (t) => {
  const ask = await peer(t)
  for (const answer of [
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello',
    'HTTP/1.1 200 OK\r\n\r\nhello',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
  ])
    for (const pieces of [[], [1]]) {
      assert.equal((await ask(answer, { maxBytes: 3, cut: true, pieces })).body.toString(), 'hel')
      await assert.rejects(ask(answer, { maxBytes: 3, pieces }), { name: 'CheckFailure', reason: 'too_large' })
    }
})

for (const { name, answer, reason } of [
  { name: 'another protocol', answer: 'SSH-2.0-OpenSSH\r\n', reason: 'protocol' },
  { name: 'HTTP/2', answer: 'HTTP/2 200\r\n\r\n', reason: 'protocol' },
  { name: 'an invalid status', answer: 'HTTP/1.1 99 x\r\n\r\n', reason: 'protocol' },
  { name: 'a folded field', answer: 'HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n', reason: 'protocol' },
  { name: 'two lengths', answer: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok', reason: 'protocol' },
  { name: 'a negative length', answer: 'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n', reason: 'protocol' },
  { name: 'an invalid chunk size', answer: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', reason: 'protocol' },
  {
    name: 'an upgrade that nobody requested',
    answer: 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n',
    reason: 'protocol',
  },
  { name: 'an endless head', answer: `HTTP/1.1 200 OK\r\nA: ${'b'.repeat(20_000)}`, reason: 'too_large' },
  {
    name: 'an endless trailer',
    answer: `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: ${'b'.repeat(20_000)}`,
    reason: 'too_large',
  },
  { name: 'endless interim answers', answer: 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(20), reason: 'protocol' },
])
  test(`an HTTP answer with ${name} is refused`, async (t) => {
    const ask = await peer(t)
    await assert.rejects(ask(answer), { name: 'CheckFailure', reason })
  })

test('a header field that cannot be sent is refused before anything is sent', async (t) => {
  const ask = await peer(t)
  for (const headers of [{ 'X-Tide': 'high\r\nX-Forged: 1' }, { 'X Tide': 'high' }])
    await assert.rejects(ask('', { headers }), { name: 'CheckFailure', reason: 'misconfigured' })
})

test('no bytes at all make an exchange fail in another way', async (t) => {
  const ask = await peer(t)
  const line = fc.constantFrom(
    'HTTP/1.1 200 OK\r\n',
    'Content-Length: 3\r\n',
    'Transfer-Encoding: chunked\r\n',
    '\r\n',
    '5\r\nhello\r\n',
    '0\r\n\r\n',
    'A: b\r\n',
    '__proto__: x\r\n',
    'ffffffffff\r\n',
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(line, anyText({ maxLength: 20 })), { maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 5 }),
      async (parts, pieces) => {
        try {
          assert.ok((await ask(parts.join(''), { pieces })).body.length <= 1000)
        } catch (error) {
          assert.ok(error instanceof CheckFailure, String(error))
        }
      },
    ),
  )
})
