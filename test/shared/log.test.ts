import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Problem } from '../../shared/errors.ts'
import { createLog, type LogLevel } from '../../shared/log.ts'

function capture(level: LogLevel = 'info') {
  const lines: string[] = []
  const log = createLog({ level, name: 'skerry-agent', destination: { write: (line) => lines.push(line) } })
  // biome-ignore lint/suspicious/noExplicitAny: a log line holds anything
  return { log, lines, last: (): any => JSON.parse(lines.at(-1) ?? 'null') }
}

test('a line has its level as a word, its time in ISO 8601, the name, the fields and the message', () => {
  const { log, lines, last } = capture()
  log.info({ operation: '17', from: 'Accepted', to: 'Applying' }, 'operation advanced')
  assert.equal(lines.length, 1)
  const { time, ...line } = last()
  assert.deepEqual(line, {
    level: 'info',
    name: 'skerry-agent',
    operation: '17',
    from: 'Accepted',
    to: 'Applying',
    msg: 'operation advanced',
  })
  assert.equal(new Date(time).toISOString(), time)
})

test('a line for people has time, level, message and fields, and what is longer on lines of its own', () => {
  const lines: string[] = []
  const log = createLog({ level: 'info', name: 'skerry-agent', format: 'text', destination: { write: (line) => lines.push(line) } })
  log.child({ server: 'metrics' }).info({ port: 9809, host: '::', note: 'two "words"', of: { a: [1] } }, 'listening')
  log.fatal({ faults: ['a.yaml:1:2: x', 'a.yaml:2:2: y'] }, 'cannot start')
  log.error({ err: new Error('outer', { cause: new Error('inner') }), check: 'web & api' }, 'went wrong')
  const [listening, faults, failed = ''] = lines.map((line) => line.replace(/^\d\d:\d\d:\d\d\.\d{3}Z /, ''))
  assert.equal(listening, 'INFO  listening server=metrics port=9809 host=:: note="two \\"words\\"" of={"a":[1]}\n')
  assert.equal(faults, 'FATAL cannot start\n    a.yaml:1:2: x\n    a.yaml:2:2: y\n')
  assert.match(
    failed,
    /^ERROR went wrong check="web & api"\n {4}Error: outer\n {8}at [\s\S]+\n {4}caused by:\n {4}Error: inner\n {8}at [\s\S]+\n$/,
  )
})

test('a line for people moves no terminal, whatever it tells, and hides secrets as JSON does', () => {
  const lines: string[] = []
  const log = createLog({ level: 'info', name: 'x', format: 'text', destination: { write: (line) => lines.push(line) } })
  log.warn({ said: 'a\u202e\u009b31m\u001b[2J\r\nb', password: 'hunter2', err: new Error('x\u001b[2J') }, 'a target said')
  const text = lines.join('')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  assert.doesNotMatch(text.replaceAll('\n', ''), /[\u0000-\u001f\u007f-\u009f\u202e]/)
  assert.doesNotMatch(text, /hunter2/)
  assert.match(text, /said="a‹U\+202E›‹U\+009B›31m\\u001b\[2J\\r\\nb"/)
})

test('a line below the level is not written', () => {
  const { log, lines } = capture('warn')
  log.info('quiet')
  assert.equal(lines.length, 0)
})

const secrets: { name: string; fields: object }[] = [
  { name: 'an Authorization header', fields: { request: { authorization: 'hunter2' } } },
  { name: 'all headers', fields: { headers: { 'x-custom': 'hunter2' } } },
  { name: 'a token in camel case', fields: { accessToken: 'hunter2' } },
  { name: 'a password deep inside', fields: { a: { b: [{ mqtt_password: 'hunter2' }] } } },
  { name: 'a cookie', fields: { 'Set-Cookie': ['a=hunter2'] } },
  { name: 'the data of a Secret', fields: { object: { kind: 'Secret', data: { key: 'hunter2' }, stringData: { key: 'hunter2' } } } },
  { name: 'a body', fields: { body: '{"x":"hunter2"}' } },
  {
    name: 'an object that is not plain',
    fields: {
      socket: new (class Socket {
        key = 'hunter2'
      })(),
    },
  },
  { name: 'a bearer token in a text', fields: { seen: 'sent Authorization: Bearer hunter2hunter2' } },
  { name: 'the user in an address', fields: { broker: 'mqtts://edge:hunter2@broker:8883' } },
  { name: 'a query string', fields: { url: new URL('https://x.example/login?code=hunter2') } },
  {
    name: 'a property that a library hung on its error',
    fields: { err: Object.assign(new Error('no'), { response: { data: 'hunter2' } }) },
  },
  {
    name: 'the body in the message of the Kubernetes client',
    fields: { err: new Error('HTTP-Code: 409\nMessage: no\nBody: {"a":"hunter2"}\nHeaders: {}') },
  },
  { name: 'the same in a cause', fields: { err: new Error('outer', { cause: new Error('x\nBody: hunter2') }) } },
  { name: 'the text that is not JSON', fields: { err: notJson('{"password": hunter2}') } },
  { name: 'an error under another name', fields: { lastError: notJson('hunter2') } },
]
for (const { name, fields } of secrets) {
  test(`the log does not show ${name}`, () => {
    const { log, lines } = capture()
    log.info(fields, 'seen')
    assert.ok(!lines[0]?.includes('hunter2'), lines[0])
    assert.match(lines[0] ?? '', /"msg":"seen"/)
  })
}

test('a child does not show a secret in its bindings', () => {
  const { log, lines, last } = capture()
  log.child({ project: 'p1', token: 'hunter2' }).info('seen')
  assert.ok(!lines[0]?.includes('hunter2'), lines[0])
  assert.equal(last().project, 'p1')
  log.child({ project: 'p1' }).child({ password: 'hunter2' }).info('seen')
  assert.ok(!lines[1]?.includes('hunter2'), lines[1])
})

test('what only sounds like a secret stays readable', () => {
  const { log, last } = capture()
  log.info({ secretName: 'crate-credentials', hasToken: true, token: null, project: 'tokens-inc' }, 'seen')
  assert.equal(last().secretName, 'crate-credentials')
  assert.equal(last().hasToken, true)
  assert.equal(last().token, null)
  assert.equal(last().project, 'tokens-inc')
})

test('an error keeps its chain of causes, its codes and its frames', () => {
  const { log, last } = capture()
  const refused = Object.assign(new Error('connect ECONNREFUSED 10.0.0.1:6443'), { code: 'ECONNREFUSED', syscall: 'connect' })
  const problem = new Problem('cluster-unreachable', 'GET namespaces: no answer', { cause: new AggregateError([refused], 'all failed') })
  log.error({ err: problem }, 'request failed')
  const { err } = last()
  assert.equal(err.problem, 'cluster-unreachable')
  assert.equal(err.message, 'GET namespaces: no answer')
  assert.match(err.stack, /log\.test\.ts/)
  assert.equal(err.cause.errors[0].code, 'ECONNREFUSED')
  assert.equal(err.cause.errors[0].syscall, 'connect')
})

test('an error logged alone does not become the message', () => {
  const { log, last } = capture()
  log.error(new Error('x\nBody: hunter2'))
  assert.equal(last().msg, 'failed')
  assert.equal(last().err.message, 'x')
})

test('cycles, huge values and strange ones do not break a line', () => {
  const { log, last } = capture()
  const loop: Record<string, unknown> = { at: new Date(Date.UTC(2026, 0, 1)), size: 10n, never: new Date(Number.NaN) }
  loop.self = loop
  const endless = new Error('endless')
  endless.cause = endless
  log.info({ loop, many: Array.from({ length: 1000 }, (_, i) => i), long: 'x'.repeat(1e6), endless }, 'seen')
  assert.equal(last().loop.at, '2026-01-01T00:00:00.000Z')
  assert.equal(last().many.length, 51)
  assert.ok(last().long.length < 3000)
})

function notJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    return error
  }
}
