import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createLog } from '../../shared/log.ts'
import { createPlainServer } from '../../shared/server.ts'
import { sendRaw } from './raw-client.ts'

const limit = { timeout: 60_000 }

/** A server that answers with the target of each request. */
async function start(t: TestContext) {
  const seen: string[] = []
  const lines: { msg: string; fault?: string }[] = []
  const log = createLog({ level: 'warn', name: 'test', destination: { write: (line) => void lines.push(JSON.parse(line)) } })
  const part = createPlainServer(
    { host: '127.0.0.1', port: 0 },
    {
      answer({ incoming, outgoing }) {
        seen.push(incoming.url ?? '')
        outgoing.end(incoming.url)
      },
      singularHeaders: ['Idempotency-Key'],
      log,
    },
  )
  await part.start(new AbortController().signal)
  t.after(() => part.stop(0))
  const ask = (target: string, headers = '', method = 'GET') =>
    sendRaw(part.port(), `${method} ${target} HTTP/1.1\r\nHost: skerry.example\r\n${headers}Connection: close\r\n\r\n`)
  return { ask, seen, part, lines }
}

test('requests refused for their form are counted, and logged once a minute', limit, async (t) => {
  const { ask, part, lines } = await start(t)
  await ask('//x')
  await ask('/')
  await ask('/y/..')
  await sendRaw(part.port(), 'hello world\r\n\r\n')
  assert.equal(part.statistics().malformed, 3)
  assert.deepEqual(
    lines.map(({ msg, fault }) => [msg, fault]),
    [['requests refused for their form', 'The path has an empty segment ("//").']],
  )
})

const strange = [
  { target: '/v1/projects/%2e%2e/region', says: 'The path has %2e, which must be written as "."' },
  { target: '/v1/projects/.%2E/region', says: 'The path has %2E, which must be written as "."' },
  { target: '/v1/projects/../region', says: 'The path has a "." or ".." segment.' },
  { target: '/v1/projects/..', says: 'The path has a "." or ".." segment.' },
  { target: '/v1/./projects', says: 'The path has a "." or ".." segment.' },
  { target: '//v1/projects', says: 'The path has an empty segment' },
  { target: '/v1//projects', says: 'The path has an empty segment' },
  { target: '/v1/projects//', says: 'The path has an empty segment' },
  { target: '/v1%2fprojects', says: 'The path has %2f, which is not allowed in a path.' },
  { target: '/v1%2Fprojects', says: 'The path has %2F, which is not allowed in a path.' },
  { target: '/v1%5Cprojects', says: 'The path has %5C, which is not allowed in a path.' },
  { target: '/v1/projects%00', says: 'The path has %00, which is not allowed in a path.' },
  { target: '/v1/projects%0d%0a', says: 'The path has %0d, which is not allowed in a path.' },
  { target: '/v1/%70rojects', says: 'The path has %70, which must be written as "p".' },
  { target: '/v1/projects/%', says: 'The path has a "%" that begins no percent-encoding: \\"%\\".' },
  { target: '/v1/projects/%zz', says: 'The path has a "%" that begins no percent-encoding: \\"%zz\\".' },
  { target: '/v1\\projects', says: 'The path has a character that must be percent-encoded.' },
  { target: '/v1/projects/{x}', says: 'The path has a character that must be percent-encoded.' },
  { target: '/v1/projects#x', says: 'The request target has a character that must be percent-encoded.' },
  { target: '/v1/projects\xff', says: '' },
  { target: 'v1/projects', says: '' },
  { target: '*', says: 'The request target must be a path' },
  { target: 'http://other.example/v1/projects', says: 'The request target must be a path' },
  { target: 'http://user@skerry.example/v1/projects', says: 'The request target must be a path' },
  { target: 'ftp://skerry.example/v1/projects', says: '' },
  { target: 'http://skerry.example/v1/%2e%2e/x', says: 'The path has %2e' },
]
for (const { target, says } of strange) {
  test(`the target ${target} is refused before it is routed`, limit, async (t) => {
    const { ask, seen } = await start(t)
    const answer = await ask(target, '', target === '*' ? 'OPTIONS' : 'GET')
    assert.match(answer, /^HTTP\/1\.1 400 /)
    assert.match(answer, /content-type: application\/problem\+json/i)
    assert.ok(answer.replaceAll('\\"', '"').includes(says.replaceAll('\\"', '"')), answer)
    assert.deepEqual(seen, [])
  })
}

const twice = ['Host', 'Authorization', 'Content-Type', 'Idempotency-Key']
for (const name of twice) {
  test(`two headers ${name} are refused, also if they are spelled differently`, limit, async (t) => {
    const { ask, seen } = await start(t)
    const second = `${name.toUpperCase()}: x\r\n`
    const answer = await ask('/', name === 'Host' ? second : `${name}: x\r\n${second}`)
    assert.match(answer, /^HTTP\/1\.1 400 /)
    assert.match(answer, new RegExp(`The header ${name} is given more than once\\.`, 'i'))
    assert.match(answer, /^connection: close/im)
    assert.deepEqual(seen, [])
  })
}

const normal = [
  '/',
  '/v1/projects/harbour/databases/tidal-gauge?dryRun=true&x=%2e%2e//..',
  '/v1/projects/',
  "/v1/projects/a-b_c.d~e!$&'()*+,;=:@",
  '/v1/projects/caf%C3%A9%20x',
  '/v1/projects/...',
  '/probe?target=http://[::1]:9090/metrics&x={a="b"}|c',
]
for (const target of normal) {
  test(`the target ${target} is answered`, limit, async (t) => {
    const { ask, seen } = await start(t)
    assert.match(await ask(target), /^HTTP\/1\.1 200 /)
    assert.deepEqual(seen, [target])
  })
}

test('a target with the scheme and the host of the request is answered, as RFC 9112 requires', limit, async (t) => {
  const { ask } = await start(t)
  assert.match(await ask('http://skerry.example/v1/projects?x=1'), /^HTTP\/1\.1 200 /)
})

test('headers that may be repeated are not touched', limit, async (t) => {
  const { ask } = await start(t)
  assert.match(
    await ask('/', 'Accept: a/b\r\nAccept: c/d\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2\r\n'),
    /^HTTP\/1\.1 200 /,
  )
})
