import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { connect } from 'node:tls'
import { byFetch } from '../../../shared/fetch.ts'
import { createTlsServer } from '../../../shared/server.ts'
import { createAuthority, mountSecret } from '../../shared/certificates.ts'
import { anyText, fc } from '../../shared/property.ts'
import { createTestApi } from './harbour.ts'
import { assertRefusal } from './refusals.ts'

const limit = { timeout: 60_000 }

async function listen(t: TestContext) {
  const api = createTestApi()
  const pair = await (await createAuthority()).server()
  const files = await mountSecret(t, { 'tls.crt': pair.cert, 'tls.key': pair.key })
  const tls = { certFile: files.file('tls.crt'), keyFile: files.file('tls.key') }
  const server = createTlsServer({ host: '127.0.0.1', port: 0, tls }, { answer: byFetch(api.app.fetch, api.log), log: api.log })
  await server.start(AbortSignal.timeout(10_000))
  t.after(() => server.stop(0))
  return { ...api, port: server.port() }
}

/** Sends bytes as they are, and resolves with all that comes back until the other side closes, or is silent. */
function exchange(port: number, bytes: Buffer): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => socket.end(bytes))
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.on('error', () => {})
    socket.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')))
  })
}

const evil = fc.constantFrom(
  '__proto__',
  'constructor',
  '\u0000',
  '\r\nx: y',
  '../..',
  '%2e%2e',
  '%00',
  '%ff',
  '\ud800',
  '{{7*7}}',
  "';--",
  '\u202e',
  '💥',
)
const text = fc.oneof(evil, anyText({ maxLength: 20 }), fc.string({ maxLength: 20 }))
const method = fc.constantFrom('GET', 'PUT', 'PATCH', 'POST', 'DELETE', 'HEAD', 'OPTIONS', 'PROPFIND')
const part = fc.oneof(
  text.map((piece) => encodeURIComponent(piece.toWellFormed())),
  fc.constantFrom('%', '%zz', '%c3', '..', '.', '', '~', 'tern'),
)
const path = fc.oneof(
  fc.array(part, { maxLength: 5 }).map((parts) => `/v1/${parts.join('/')}`),
  fc.tuple(part, part).map(([harbour, boat]) => `/v1/harbours/${harbour}/boats/${boat}`),
  fc.constant('/v1/harbours/leith/boats/tern'),
)
const query = fc.array(fc.tuple(fc.oneof(part, fc.constantFrom('dryRun', 'limit', 'cursor')), part), { maxLength: 3 })
const contentType = fc.constantFrom(
  'application/json',
  'application/merge-patch+json',
  'application/json; charset=utf-16',
  'text/xml',
  '',
  'application/json;;;=',
)
const body = fc.oneof(
  fc.json(),
  fc.json().map((json) => json.slice(0, -1)),
  fc.json().map((json) => `{"length":${json},"__proto__":${json}}`),
  fc.integer({ min: 1, max: 5_000 }).map((depth) => '['.repeat(depth)),
  fc.integer({ min: 1, max: 5_000 }).map((depth) => '{"a":'.repeat(depth)),
  fc.uint8Array({ maxLength: 50 }),
  fc.constantFrom('null', '1e999', '-', '"', '"\\ud800"', '{"length":"9"}', '{"length":9,"length":10}'),
)
const header = fc.tuple(
  fc.constantFrom(
    'if-match',
    'if-none-match',
    'if-ledger-at',
    'prefer',
    'idempotency-key',
    'x-request-id',
    'accept',
    'authorization',
    'content-encoding',
  ),
  fc.oneof(fc.string({ maxLength: 30 }), fc.constantFrom('*', '"', 'W/"', '"a",,', 'wait=-1', 'wait=1e9', 'gzip')),
)

/** A write is only one that was asked for in good order. */
function assertRefused(status: number, mediaType: string | null, answer: string, what: string): void {
  assert.ok(status < 500, `${status} for ${what}: ${answer}`)
  if (status < 400) return
  assert.equal(mediaType, 'application/problem+json', what)
  if (answer === '') return // HEAD
  const problem = JSON.parse(answer)
  assert.equal(problem.status, status)
  assertRefusal(answer, what)
  if (status === 422) assert.ok(problem.faults.length > 0, what)
}

test('no request, however hostile, fails otherwise than with a problem that names its faults', limit, async () => {
  // Without the route that fails on purpose.
  const routes = createTestApi().routes.filter(({ operationId }) => operationId !== 'deleteHarbour')
  const { app } = createTestApi({ routes })
  await fc.assert(
    fc.asyncProperty(
      method,
      path,
      query,
      contentType,
      body,
      fc.array(header, { maxLength: 3 }),
      async (verb, where, pairs, type, content, more) => {
        const url = `${where}${pairs.length > 0 ? '?' : ''}${pairs.map((pair) => pair.join('=')).join('&')}`
        const headers = new Headers({ 'content-type': type })
        for (const [name, value] of more) {
          try {
            headers.append(name, value)
          } catch {
            // No client could send it.
          }
        }
        const hasBody = verb !== 'GET' && verb !== 'HEAD'
        const response = await app.request(url, { method: verb, headers, ...(hasBody && { body: content as string }) } as RequestInit)
        const what = `${verb} ${url} ${type} ${String(content).slice(0, 100)} ${JSON.stringify(more)}`
        assertRefused(response.status, response.headers.get('content-type'), await response.text(), what)
      },
    ),
    { numRuns: 1_000 },
  )
  assert.equal(({} as { length?: number }).length, undefined)
})

test('no bytes on the wire, however broken, get another answer than a problem, and the next request is served', limit, async (t) => {
  const { port, writes, lines } = await listen(t)
  const heads = [
    'GET /v1/harbours/leith/boats/tern HTTP/1.1\r\n\r\n',
    'GET http://[::1/ HTTP/1.1\r\nHost: x\r\n\r\n',
    'GET \\v1 HTTP/1.1\r\nHost: x\r\n\r\n',
    'GET /v1/%zz HTTP/1.1\r\nHost: x\r\n\r\n',
    'GET /v1/harbours/leith/boats/tern HTTP/1.1\r\nHost: a b\r\n\r\n',
    'CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n',
    'TRACE / HTTP/1.1\r\nHost: x\r\n\r\n',
    'BREW /v1 HTTP/1.1\r\nHost: x\r\n\r\n',
    'get /v1 HTTP/1.1\r\nHost: x\r\n\r\n',
    'PUT /v1/harbours/leith/boats/tern HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{"length":9',
    'PUT /v1/harbours/leith/boats/tern HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
    'PUT /v1/harbours/leith/boats/tern HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"len',
    'PUT /v1/harbours/leith/boats/tern HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    `GET /v1/${'x'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
    `GET /v1/ HTTP/1.1\r\nHost: x\r\nX-Request-Id: \x01\r\n\r\n`,
    '\x00\x01\x02\x03',
  ]
  for (const head of heads) {
    const answer = await exchange(port, Buffer.from(head, 'latin1'))
    // A connection that broke off gets no answer, or one that nobody reads.
    if (answer === '') continue
    const [, status, rest] = /^HTTP\/1\.1 (\d{3}) [^\r]*\r\n([\s\S]*)$/.exec(answer) as RegExpExecArray
    const [, type] = /content-type: ([^\r]*)/i.exec(rest as string) ?? []
    if (Number(status) < 400) assert.match(head, /^GET \/v1\/harbours/)
    else assert.equal(type, 'application/problem+json', `${JSON.stringify(head.slice(0, 60))}: ${answer}`)
    assert.ok(Number(status) < 500, answer)
  }
  const chunked =
    'PUT /v1/harbours/leith/boats/tern HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n'
  const huge = await exchange(port, Buffer.from(`${chunked}${`10000\r\n${'['.repeat(0x10000)}\r\n`.repeat(40)}0\r\n\r\n`))
  assert.match(huge, /^HTTP\/1\.1 413 /)
  assert.equal(writes(), 0)
  assert.match(
    await exchange(port, Buffer.from('GET /v1/harbours/leith/boats/tern HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')),
    /^HTTP\/1\.1 200 /,
  )
  assert.deepEqual(
    lines.filter(({ level }) => level === 'error' || level === 'fatal'),
    [],
  )
})
