import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  asProblem,
  isProblem,
  Problem,
  type ProblemType,
  problemDocument,
  problemLevel,
  problemResponse,
  problems,
} from '../../shared/errors.ts'

test('every kind of problem has an HTTP error status and tells what to do in a sentence', () => {
  for (const [type, { status, title, action }] of Object.entries(problems)) {
    assert.match(type, /^[a-z]+(-[a-z]+)*$/)
    assert.ok(status >= 400 && status <= 599, `${type}: ${status}`)
    assert.match(title, /^[A-Z].*[^.]$/, type)
    assert.match(action, /^[A-Z][\s\S]*\.$/, type)
  }
})

test('a problem document has the members of RFC 9457 and those of Skerry', () => {
  const problem = new Problem('invalid-fields', '2 fields are wrong', {
    faults: [
      { path: '/nodes', message: 'must be at least 1' },
      { in: 'header', name: 'If-Match', message: 'is required' },
    ],
    extensions: { limit: 3 },
  })
  assert.deepEqual(problemDocument(problem, '/v1/requests/7'), {
    type: 'https://skerry.dev/problems/invalid-fields',
    title: 'Some fields are invalid',
    status: 422,
    detail: '2 fields are wrong',
    instance: '/v1/requests/7',
    action: 'Correct every field listed under "faults", and send the request again.',
    retry: 'never',
    faults: [
      { path: '/nodes', message: 'must be at least 1' },
      { in: 'header', name: 'If-Match', message: 'is required' },
    ],
    limit: 3,
  })
})

test('an extension does not replace a standard member, and no cause or stack goes out', () => {
  const cause = new Error('hunter2')
  const document = problemDocument(
    new Problem('conflict', 'changed meanwhile', { cause, extensions: { status: 200, type: 'x', detail: 'y' } }),
  )
  assert.equal(document.status, 409)
  assert.equal(document.type, 'https://skerry.dev/problems/conflict')
  assert.equal(document.detail, 'changed meanwhile')
  assert.ok(!JSON.stringify(document).includes('hunter2'))
  assert.ok(!('instance' in document) && !('faults' in document) && !('stack' in document))
})

test('an unexpected error goes out as internal with fixed text and keeps its cause inside', () => {
  const cause = new TypeError('cannot read password of undefined')
  const problem = asProblem(cause)
  assert.equal(problem.type, 'internal')
  assert.equal(problem.cause, cause)
  assert.ok(!JSON.stringify(problemDocument(problem)).includes('password'))
  assert.equal(problemDocument(new Problem('internal', 'the password is hunter2')).detail, "The cause is in the agent's log.")
})

test('a designed problem stays itself and is told apart by type', () => {
  const problem = new Problem('gone', 'too old')
  assert.equal(asProblem(problem), problem)
  assert.ok(isProblem(problem))
  assert.ok(isProblem(problem, 'conflict', 'gone'))
  assert.ok(!isProblem(problem, 'conflict'))
  assert.ok(!isProblem(new Error('gone')))
})

test('only what we must repair is logged as an error', () => {
  const levels: [ProblemType, string][] = [
    ['internal', 'error'],
    ['cluster-unreachable', 'warn'],
    ['not-found', 'info'],
  ]
  for (const [type, level] of levels) assert.equal(problemLevel(type), level)
})

test('the answer of a problem is never cached and says in whole seconds when to come back', async () => {
  const response = problemResponse(new Problem('rate-limited', 'at most 10 requests per second', { retryAfterSeconds: 1.2 }))
  assert.equal(response.status, 429)
  assert.equal(response.headers.get('retry-after'), '2')
  assert.equal(response.headers.get('content-type'), 'application/problem+json')
  assert.equal(response.headers.get('cache-control'), 'no-store')
  assert.equal(((await response.json()) as { detail: string }).detail, 'at most 10 requests per second')
})
