import assert from 'node:assert/strict'
import { test } from 'node:test'
import { probeConfig } from '../../../monitor/probe/config.ts'
import { rawBytesOf, rawTextOf } from '../../../monitor/probe/modules/raw-text.ts'
import { parseConfigFile } from '../../../shared/config/file.ts'
import { start } from './asking.ts'
import { startDialogue } from './dialogue-server.ts'

test('groups of the expected line go into what is sent, as in Go, and only where something was expected', async (t) => {
  const server = await startDialogue(t, [{ say: '220 quay ESMTP\r\n' }, { wait: true }, { wait: true }])
  const { run } = await start(t, {
    modules: {
      groups: {
        prober: 'tcp',
        tcp: {
          query_response: [{ expect: '^(\\d+) (?P<name>\\w+)', send: `\${name} $name $1 \${1}x $1x $9 $$1` }, { send: `$1 \${name} $$` }],
        },
      },
    },
  })
  const found = await run({ module: 'groups', target: `127.0.0.1:${server.port}` })
  assert.equal(found.value('probe_success'), 1)
  await server.until(2)
  assert.deepEqual(server.heard, ['quay quay 220 220x   $1', `$1 \${name} $$`])
})

test('parts of the expected line become labels of probe_expect_info', async (t) => {
  const server = await startDialogue(t, [{ say: 'SSH-2.0-OpenSSH_9.2 Debian-2\r\n' }])
  const labels = [
    { name: 'protocol', value: '$1' },
    { name: 'software', value: `\${software}!` },
    { name: 'comment', value: '$9' },
  ]
  const { run } = await start(t, {
    modules: { ssh: { prober: 'tcp', tcp: { query_response: [{ expect: '^SSH-([\\d.]+)-(?P<software>\\S+)', labels }] } } },
  })
  const found = await run({ module: 'ssh', target: `127.0.0.1:${server.port}` })
  assert.deepEqual(found.all('probe_expect_info'), [
    { name: 'probe_expect_info', labels: { protocol: '2.0', software: 'OpenSSH_9.2!', comment: '' }, value: 1 },
  ])
})

const bytes = [
  { name: 'come at once', say: ['\x05\x00rest'], close: false, success: 1, byBytes: 0 },
  { name: 'come one by one', say: ['\x05', '\x00'], close: false, success: 1, byBytes: 0 },
  { name: 'are others', say: ['\x05\x01'], close: false, success: 0, byBytes: 1 },
  { name: 'are too few', say: ['\x05'], close: true, success: 0, byBytes: 0 },
  { name: 'follow a line in the same packet', say: ['hello\r\n\x05\x00'], close: false, success: 1, byBytes: 0, expect: 'hello' },
]
for (const { name, say, close, success, byBytes, expect } of bytes)
  test(`a TCP probe ${success ? 'succeeds' : 'fails'} if the bytes that it expects ${name}`, async (t) => {
    const server = await startDialogue(t, [...say.map((each) => ({ say: each })), ...(close ? [{ close: true as const }] : [])])
    const steps = [...(expect === undefined ? [] : [{ expect }]), { expect_bytes: '\x05\x00' }]
    const { run } = await start(t, { modules: { socks: { prober: 'tcp', tcp: { query_response: steps } } } })
    const found = await run({ module: 'socks', target: `127.0.0.1:${server.port}` })
    assert.equal(found.value('probe_success'), success)
    assert.equal(found.value('probe_failed_due_to_bytes'), byBytes)
    assert.equal(found.value('probe_failed_due_to_regex'), 0)
  })

test('a module without expect_bytes has no series about bytes, as in older versions', async (t) => {
  const server = await startDialogue(t, [{ say: 'hello\n' }])
  const { run } = await start(t)
  const found = await run({ module: 'tcp_connect', target: `127.0.0.1:${server.port}` })
  assert.equal(found.value('probe_failed_due_to_bytes'), undefined)
})

test('a module is read as Go reads it: numbers and words without quotes are texts, and bytes are bytes', async (t) => {
  const server = await startDialogue(t, [{ say: '220\n' }, { wait: true }, { say: '\xd2S' }])
  const file = `modules:
  raw:
    prober: tcp
    tcp:
      query_response:
      - { expect: 220, labels: [{ name: code, value: $0 }], send: 1.50, starttls: no }
      - expect_bytes: !!binary 0lM= # 0xd2, S
      - send: !!binary AAAACATSFi8= # the SSLRequest of PostgreSQL
`
  const read = parseConfigFile(file, { asGo: true })
  const { run } = await start(t, (Array.isArray(read) ? {} : read.value) as { modules: never })
  const found = await run({ module: 'raw', target: `127.0.0.1:${server.port}` })
  assert.equal(found.value('probe_success'), 1)
  assert.equal(found.value('probe_expect_info', { code: '220' }), 1)
  await server.until(2)
  assert.deepEqual(server.heard, ['1.50', Buffer.from('0000000804d2162f', 'hex').toString()])
})

test('bytes of any kind survive in a text', () => {
  const all = Uint8Array.from({ length: 256 }, (_, index) => index)
  for (const bytes of [all, Buffer.from('quay é 😀 \ufeff'), Buffer.alloc(0), Buffer.from([0xed, 0xb2, 0x80])])
    assert.deepEqual(rawBytesOf(rawTextOf(bytes)), Buffer.from(bytes))
  assert.deepEqual(
    rawBytesOf('😀\udcff$1', (part) => Buffer.from(part.replace('$1', 'x'))),
    Buffer.from('f09f9880ff78', 'hex'),
  )
})

const faults = [
  { name: 'both expect and expect_bytes', step: { expect: 'a', expect_bytes: 'b' }, message: /must not have both expect and expect_bytes/ },
  { name: 'a label of a bad name', step: { expect: 'a', labels: [{ name: '1st', value: '' }] }, message: /must be the name of a label/ },
  { name: 'two labels of one name', step: { expect: 'a', labels: [{ name: 'a' }, { name: 'a' }] }, message: /must have different names/ },
  { name: 'an expression that is none', step: { expect: '(a' }, message: /must be a regular expression/ },
]
for (const { name, step, message } of faults)
  test(`a TCP module with ${name} is refused with the reason`, () => {
    const result = probeConfig.safeParse({ modules: { m: { prober: 'tcp', tcp: { query_response: [step] } } } })
    assert.match(result.error?.issues.map((issue) => issue.message).join() ?? '', message)
  })
