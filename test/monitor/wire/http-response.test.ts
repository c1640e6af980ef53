import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createResponseReader } from '../../../monitor/wire/http-response.ts'
import { CheckFailure } from '../../../monitor/wire/reasons.ts'
import { anyText, fc } from '../../shared/property.ts'

/** Feeds the answer in pieces of these sizes, and closes after them. */
function read(answer: string, { pieces = [answer.length], hasBody = true, maxBytes = 1000, cut = false } = {}) {
  const reader = createResponseReader({ hasBody, maxBytes, cut })
  const bytes = Buffer.from(answer, 'latin1')
  let isComplete = false
  for (let from = 0, index = 0; from < bytes.length && !isComplete; index++) {
    const size = pieces[index % pieces.length] as number
    isComplete = reader.push(bytes.subarray(from, from + size))
    from += size
  }
  return {
    isComplete: isComplete || reader.end(),
    status: reader.head()?.status,
    headers: reader.head()?.headers,
    body: reader.body().toString('latin1'),
  }
}

const complete = [
  { name: 'a body with a length', answer: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', status: 200, body: 'hello' },
  { name: 'no body at all', answer: 'HTTP/1.1 204 No Content\r\n\r\n', status: 204, body: '' },
  { name: 'an empty body', answer: 'HTTP/1.0 404 \r\ncontent-length:0\r\n\r\n', status: 404, body: '' },
  { name: 'a body that ends with the connection', answer: 'HTTP/1.1 200 OK\r\n\r\nhello', status: 200, body: 'hello' },
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
  { name: 'the same length twice', answer: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok', status: 200, body: 'ok' },
]

for (const { name, answer, status, body } of complete)
  test(`an HTTP answer with ${name} is read however it arrives`, () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 8 }), (pieces) => {
        const found = read(answer, { pieces })
        assert.deepEqual({ isComplete: found.isComplete, status: found.status, body: found.body }, { isComplete: true, status, body })
      }),
      { numRuns: 50 },
    )
  })

test('the answer to HEAD has no body, whatever its length says', () => {
  assert.equal(read('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', { hasBody: false }).isComplete, true)
})

test('an answer that ends before its length, or between chunks, is not complete', () => {
  assert.equal(read('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell').isComplete, false)
  assert.equal(read('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n').isComplete, false)
  assert.equal(read('HTTP/1.1 200 OK\r\nContent-Le').isComplete, false)
})

test('a body longer than wanted is cut when asked, else refused', () => {
  for (const answer of [
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello',
    'HTTP/1.1 200 OK\r\n\r\nhello',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
  ]) {
    assert.deepEqual([read(answer, { maxBytes: 3, cut: true }).isComplete, read(answer, { maxBytes: 3, cut: true }).body], [true, 'hel'])
    assert.throws(() => read(answer, { maxBytes: 3 }), { reason: 'too_large' })
  }
})

const refused = [
  { name: 'another protocol', answer: 'SSH-2.0-OpenSSH\r\n', reason: 'protocol' },
  { name: 'HTTP/2', answer: 'HTTP/2 200\r\n\r\n', reason: 'protocol' },
  { name: 'a status that is none', answer: 'HTTP/1.1 99 x\r\n\r\n', reason: 'protocol' },
  { name: 'a folded field', answer: 'HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n', reason: 'protocol' },
  { name: 'two lengths', answer: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok', reason: 'protocol' },
  { name: 'a negative length', answer: 'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n', reason: 'protocol' },
  { name: 'an unknown coding', answer: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n', reason: 'protocol' },
  { name: 'a chunk size that is none', answer: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', reason: 'protocol' },
  { name: 'an upgrade that nobody asked for', answer: 'HTTP/1.1 101 Switching Protocols\r\n\r\n', reason: 'protocol' },
  { name: 'a head without an end', answer: `HTTP/1.1 200 OK\r\nA: ${'b'.repeat(20_000)}`, reason: 'too_large' },
  { name: 'interim answers without an end', answer: 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(20), reason: 'protocol' },
]

for (const { name, answer, reason } of refused)
  test(`an HTTP answer with ${name} is refused`, () => {
    assert.throws(() => read(answer), { name: 'CheckFailure', reason })
  })

test('no bytes at all make the reader fail in another way', () => {
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
  fc.assert(
    fc.property(
      fc.array(fc.oneof(line, anyText({ maxLength: 20 })), { maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 5 }),
      (parts, pieces) => {
        try {
          assert.ok(read(parts.join(''), { pieces }).body.length <= 1000)
        } catch (error) {
          assert.ok(error instanceof CheckFailure, String(error))
        }
      },
    ),
  )
})
