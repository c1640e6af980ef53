import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { inspect } from 'node:util'
import { parse } from 'yaml'
import * as z from 'zod'
import { loadConfig } from '../../../shared/config/index.ts'
import { byteSize, duration, fileToRead, secretFile } from '../../../shared/fields.ts'
import { threadMs } from '../thread-time.ts'

const check = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('http'), url: z.url().describe('Where to look.'), interval: duration({ min: '1s' }).prefault('30s') }),
  z.strictObject({ kind: z.literal('tcp'), host: z.string().min(1), port: z.int().min(1).max(65535) }),
])

const schema = z.strictObject({
  api: z
    .strictObject({
      port: z.int().min(0).max(65535).default(8443).describe('Port of the API.'),
      requestTimeout: duration({ max: '10m' }).prefault('30s').describe('How long a request may take.'),
      maxBody: byteSize().default(2 ** 20),
      hosts: z.array(z.string()).default([]),
    })
    .prefault({}),
  region: z
    .string()
    .regex(/^[a-z0-9-]+$/)
    .describe('The name of the region.'),
  mqtt: z
    .strictObject({ url: z.string().optional(), passwordFile: secretFile().optional().describe('File with the password.') })
    .prefault({}),
  memory: z
    .string()
    .regex(/^\d+Gi$/, 'must be a quantity, such as 1Gi')
    .default('1Gi'),
  level: z.enum(['debug', 'info']).default('info'),
  labels: z.record(z.string().regex(/^[a-z-]+$/), z.string()).default({}),
  checks: z.array(check).default([]),
})

function folder(t: TestContext, content: Record<string, string | Uint8Array>) {
  const path = mkdtempSync(join(tmpdir(), 'skerry-config-'))
  t.after(() => rmSync(path, { recursive: true }))
  for (const [name, text] of Object.entries(content)) writeFileSync(join(path, name), text)
  return (name: string) => join(path, name)
}

function load(argv: string[], env: Record<string, string> = {}) {
  return loadConfig(schema, { program: 'skerry-agent', version: '1.2.3', argv, env })
}

function loaded(argv: string[], env: Record<string, string> = {}) {
  const result = load(argv, env)
  assert.equal(result.kind, 'run', result.kind === 'exit' ? result.output : '')
  assert.ok(result.kind === 'run')
  return result.config
}

/** Every fault as a line, without the folder of the test. */
function faults(argv: string[], env: Record<string, string> = {}) {
  const result = load(argv, env)
  assert.ok(result.kind === 'exit', 'it was accepted')
  assert.equal(result.code, 1, result.output)
  const [first, ...lines] = result.output.trimEnd().split('\n')
  assert.equal(first, 'The configuration is invalid:')
  return lines.map((line) =>
    line
      .trim()
      .replace(/^\/\S*\/(?=[^/]*$)/, '')
      .replace(/\/\S*\/skerry-config-[^/]*\//g, ''),
  )
}

test('without a file, defaults and the environment are the configuration', () => {
  const config = loaded([], { SKERRY_AGENT__REGION: 'edge-1' })
  assert.deepEqual(config, {
    api: { port: 8443, requestTimeout: 30_000, maxBody: 1048576, hosts: [] },
    region: 'edge-1',
    mqtt: {},
    memory: '1Gi',
    level: 'info',
    labels: {},
    checks: [],
  })
})

test('the environment takes precedence over the file, and the file over the defaults', (t) => {
  const at = folder(t, { 'agent.yaml': 'region: from-file\napi: { port: 1, requestTimeout: 1m30s }\n' })
  const config = loaded(['--config', at('agent.yaml')], { SKERRY_AGENT__API__PORT: '2' })
  assert.equal(config.region, 'from-file')
  assert.equal(config.api.port, 2)
  assert.equal(config.api.requestTimeout, 90_000)
  assert.equal(config.api.maxBody, 1048576)
})

test('the file may be named by the environment, and an argument goes before that', (t) => {
  const at = folder(t, { 'a.yaml': 'region: a', 'b.yaml': 'region: b' })
  assert.equal(loaded([], { SKERRY_AGENT_CONFIG: at('a.yaml') }).region, 'a')
  assert.equal(loaded(['-c', at('b.yaml')], { SKERRY_AGENT_CONFIG: at('a.yaml') }).region, 'b')
})

test('a variable finds its field whatever its case and underscores, in lists, maps and unions too', () => {
  const config = loaded([], {
    SKERRY_AGENT__REGION: '0815',
    SKERRY_AGENT__API__REQUEST_TIMEOUT: '5s',
    SKERRY_AGENT__API__HOSTS: '[a, b]',
    SKERRY_AGENT__LABELS__TEAM_NAME: 'true',
    SKERRY_AGENT__CHECKS__0__KIND: 'tcp',
    SKERRY_AGENT__CHECKS__0__HOST: 'db',
    SKERRY_AGENT__CHECKS__0__PORT: '5432',
    SKERRY_AGENT__LEVEL: '',
    SKERRY_AGENT_SERVICE_HOST: '10.0.0.1',
  })
  assert.equal(config.region, '0815', 'a text keeps its leading zero')
  assert.equal(config.api.requestTimeout, 5_000)
  assert.deepEqual(config.api.hosts, ['a', 'b'])
  assert.deepEqual(config.labels, { 'team-name': 'true' })
  assert.deepEqual(config.checks, [{ kind: 'tcp', host: 'db', port: 5432 }])
  assert.equal(config.level, 'info', 'an empty variable counts as not set')
})

test('all faults are named at once, each with its place', (t) => {
  const at = folder(t, {
    'agent.yaml': `api:
  prot: 1
  port: eighty
  requestTimeout: 30
  maxBody: 1 apple
region: Edge One
memory: lots
level: loud
labels: { UPPER: x, a: 1 }
mqtt: []
checks:
  - kind: http
    url: nowhere
    interval: 10ms
  - { kind: tpc }
  - kind: tcp
    port: 70000
  - tcp
`,
  })
  assert.deepEqual(faults(['--config', at('agent.yaml')], { SKERRY_AGENT__API__HOST: 'x', SKERRY_AGENT__API__HOSTS: '7' }).sort(), [
    'SKERRY_AGENT__API__HOST: is not recognized; did you mean "hosts"?',
    'SKERRY_AGENT__API__HOSTS: api.hosts must be a list, not a number',
    'agent.yaml:10:1: mqtt must be an object, not a list',
    'agent.yaml:13:10: checks[0].url must be an absolute URL',
    'agent.yaml:14:15: checks[0].interval must be at least 1s',
    'agent.yaml:15:13: checks[1].kind must be one of "http", "tcp"',
    'agent.yaml:16:5: checks[2].host is required',
    'agent.yaml:17:11: checks[2].port must be at most 65535',
    'agent.yaml:18:5: checks[3] must be an object, not a string',
    'agent.yaml:2:3: api.prot is not recognized; did you mean "port"?',
    'agent.yaml:3:9: api.port must be a whole number, not a string',
    'agent.yaml:4:19: api.requestTimeout must be a duration: a number with its unit, such as 250ms, 30s, 5m or 2h',
    'agent.yaml:5:12: api.maxBody must be a size: a number with its unit, such as 512B, 64KiB, 1MiB or 2GiB',
    'agent.yaml:6:9: region must match /^[a-z0-9-]+$/',
    'agent.yaml:7:9: memory must be a quantity, such as 1Gi',
    'agent.yaml:8:8: level must be one of "debug", "info"',
    'agent.yaml:9:11: labels.UPPER is not an allowed name: it must match /^[a-z-]+$/',
    'agent.yaml:9:24: labels.a must be a string, not a number',
  ])
})

test('without a file, what is missing is named alone', () => {
  assert.deepEqual(faults([]), ['region is required'])
})

const hostile: { name: string; yaml: string | Uint8Array; want: RegExp }[] = [
  { name: 'a field that is there twice', yaml: 'region: a\nregion: b', want: /^agent.yaml:2:1: "region" is a duplicate key$/ },
  {
    name: 'a second document',
    yaml: 'region: a\n---\nregion: b',
    want: /^agent.yaml:2:1: a second document starts here; only one is allowed$/,
  },
  { name: 'a tag', yaml: 'region: !!js/function x', want: /^agent.yaml:1:9: tags are not allowed$/ },
  { name: 'a field whose name is a list', yaml: '? [a]\n: b', want: /^agent.yaml:1:3: a key must be a plain string$/ },
  { name: 'broken syntax', yaml: 'region: [a', want: /^agent.yaml:1:11: / },
  { name: 'anchors that multiply', yaml: laughs(), want: /^agent.yaml: (its aliases expand to too many values|nested deeper)/ },
  { name: 'an anchor that contains itself', yaml: 'labels: &a { a: *a }', want: /^agent.yaml: nested more than 50 levels deep/ },
  { name: 'endless nesting', yaml: '['.repeat(5_000), want: /nested more than 50 levels deep$/ },
  { name: 'a huge file', yaml: `region: ${'x'.repeat(600_000)}`, want: /^agent.yaml: cannot be read: it is larger than 512 KiB$/ },
  { name: 'bytes that are no text', yaml: Uint8Array.of(0xff, 0xfe, 0x00), want: /^agent.yaml: cannot be read: it is not UTF-8 text$/ },
  { name: 'a list', yaml: '- region', want: /^agent.yaml:1:1: the document must be an object, not a list$/ },
  { name: 'a prototype', yaml: 'region: a\n__proto__: { level: debug }', want: /^agent.yaml:2:1: __proto__ is not recognized/ },
]
for (const { name, yaml, want } of hostile) {
  test(`a file with ${name} is refused in clear words`, (t) => {
    const at = folder(t, { 'agent.yaml': yaml })
    const [first] = faults(['--config', at('agent.yaml')])
    assert.match(first ?? '', want)
  })
}

test('a file of many fields is read in a moment of processor time', (t) => {
  const at = folder(t, { 'agent.yaml': `region: a\nlabels:\n${Array.from({ length: 20_000 }, (_, i) => `  ${word(i)}: x\n`).join('')}` })
  const started = threadMs()
  assert.equal(Object.keys(loaded(['--config', at('agent.yaml')]).labels).length, 20_000)
  assert.ok(threadMs() - started < 5_000)
})

for (const [name, path] of [
  ['is not there', '/nonexistent/agent.yaml'],
  ['is a device', '/dev/zero'],
] as const) {
  test(`a file that ${name} is reported`, () => {
    const result = load(['--config', path])
    assert.ok(result.kind === 'exit')
    assert.equal(result.code, 1)
    assert.match(result.output, /cannot be read: (there is no such file|it is not a regular file)/)
  })
}

test('a secret is read from its file without the last line end, and shows itself only when asked', (t) => {
  const at = folder(t, { password: 'hunter2\n' })
  const config = loaded([], { SKERRY_AGENT__REGION: 'a', SKERRY_AGENT__MQTT__PASSWORD_FILE: at('password') })
  assert.equal(config.mqtt.passwordFile?.reveal(), 'hunter2')
  assert.equal(config.mqtt.passwordFile?.file, at('password'))
  for (const shown of [JSON.stringify(config), inspect(config, { depth: 9, showHidden: true }), `${config.mqtt.passwordFile}`])
    assert.ok(!shown.includes('hunter2'), shown)
})

test('the environment may give a secret itself', () => {
  const config = loaded([], { SKERRY_AGENT__REGION: 'a', SKERRY_AGENT__MQTT__PASSWORD: '0123' })
  assert.equal(config.mqtt.passwordFile?.reveal(), '0123')
  assert.equal(config.mqtt.passwordFile?.file, undefined)
})

test('a secret whose file is missing or empty is a fault at its place', (t) => {
  const at = folder(t, { empty: '\n' })
  const env = { SKERRY_AGENT__REGION: 'a' }
  assert.deepEqual(faults([], { ...env, SKERRY_AGENT__MQTT__PASSWORDFILE: '/nonexistent' }), [
    'SKERRY_AGENT__MQTT__PASSWORDFILE: mqtt.passwordFile names /nonexistent: there is no such file',
  ])
  assert.deepEqual(faults([], { ...env, SKERRY_AGENT__MQTT__PASSWORDFILE: at('empty') }), [
    'SKERRY_AGENT__MQTT__PASSWORDFILE: mqtt.passwordFile names empty, which is empty',
  ])
})

test('--check-config says ok with 0, or the faults with 1', () => {
  assert.deepEqual(load(['--check-config'], { SKERRY_AGENT__REGION: 'a' }), { kind: 'exit', code: 0, output: 'ok\n' })
  assert.deepEqual(faults(['--check-config']), ['region is required'])
})

test('--check-config reads what the configuration names, and tells all faults at once', (t) => {
  const at = folder(t, { 'tls.crt': 'PEM', 'der.crl': new Uint8Array([0x30, 0x82, 0xff]), empty: '' })
  const named = z.strictObject({
    port: z.int().default(1),
    tls: z.array(z.strictObject({ certFile: fileToRead(), keyFile: fileToRead().optional(), note: z.string().optional() })).default([]),
  })
  const examine = (settings: unknown) => [`checks.yaml:1:1: seen beside port ${(settings as { port: unknown }).port}`]
  const faultsOf = (text: string, given = {}) => {
    const config = folder(t, { 'a.yaml': text })('a.yaml')
    const result = loadConfig(named, { program: 'x', version: '1', argv: ['--check-config', '--config', config], env: {}, ...given })
    assert.ok(result.kind === 'exit')
    return result.output
      .split('\n')
      .slice(1, -1)
      .map((line) =>
        line
          .trim()
          .replace(/^\S*\/a\.yaml/, 'a.yaml')
          .replace(/names \S*\//, 'names '),
      )
  }
  const good = `tls: [{ certFile: ${at('tls.crt')}, keyFile: ${at('der.crl')}, note: /nonexistent }]`
  assert.deepEqual(faultsOf(good), [])
  assert.deepEqual(faultsOf(`tls: [{ certFile: /nonexistent, keyFile: ${at('empty')} }]`, { examine }), [
    'a.yaml:1:19: tls[0].certFile names nonexistent: there is no such file',
    `a.yaml:1:42: tls[0].keyFile names empty, which is empty`,
    'checks.yaml:1:1: seen beside port undefined',
  ])
  assert.deepEqual(faultsOf('port: x', { examine }), [
    'a.yaml:1:7: port must be a whole number, not a string',
    'checks.yaml:1:1: seen beside port x',
  ])
})

test('--print-config prints what is in effect as a file that gives the same again, with secrets masked', (t) => {
  const at = folder(t, {
    'agent.yaml':
      'region: a\nmqtt: { url: "mqtts://edge:hunter2@broker:8883" }\nchecks: [{ kind: http, url: "http://x" }]\nlabels: { team: sea }',
  })
  const env = { SKERRY_AGENT__MQTT__PASSWORD: 'hunter2', SKERRY_AGENT__API__PORT: '1' }
  const result = load(['--print-config', '--config', at('agent.yaml')], env)
  assert.ok(result.kind === 'exit' && result.code === 0, JSON.stringify(result))
  assert.ok(!result.output.includes('hunter2'))
  assert.deepEqual(parse(result.output), {
    api: { port: 1, requestTimeout: '30s', maxBody: '1MiB', hosts: [] },
    region: 'a',
    mqtt: { url: 'mqtts://<secret>@broker:8883', passwordFile: '<secret>' },
    memory: '1Gi',
    level: 'info',
    labels: { team: 'sea' },
    checks: [{ kind: 'http', url: 'http://x', interval: '30s' }],
  })
  const again = folder(t, { 'again.yaml': result.output })
  const { mqtt: _, ...config } = loaded(['--config', again('again.yaml')], env)
  const { mqtt: __, ...first } = loaded(['--config', at('agent.yaml')], env)
  assert.deepEqual(config, first)
})

test('--version prints the version', () => {
  assert.deepEqual(load(['--version']), { kind: 'exit', code: 0, output: 'skerry-agent 1.2.3\n' })
})

test('--help lists every setting with type, default, description and variable', () => {
  const result = load(['--help'])
  assert.ok(result.kind === 'exit' && result.code === 0)
  const golden = new URL('./help.golden.txt', import.meta.url)
  if (process.env.UPDATE_GOLDEN) writeFileSync(golden, result.output)
  assert.equal(result.output, readFileSync(golden, 'utf8'), 'rewrite with: UPDATE_GOLDEN=1 node --test test/shared/config/config.test.ts')
})

for (const argv of [['--confg', 'x'], ['serve'], ['--config']]) {
  test(`arguments nobody knows are refused with 2: ${argv.join(' ')}`, () => {
    const result = load(argv)
    assert.ok(result.kind === 'exit')
    assert.equal(result.code, 2)
    assert.match(result.output, /^skerry-agent: .+\nTry skerry-agent --help\n$/)
  })
}

function laughs(): string {
  const levels = ['a: &a [x, x, x, x, x, x, x, x, x, x]']
  for (const name of 'bcdefghi')
    levels.push(
      `${name}: &${name} [${Array(10)
        .fill(`*${String.fromCharCode(name.charCodeAt(0) - 1)}`)
        .join(', ')}]`,
    )
  return levels.join('\n')
}

function word(index: number): string {
  return [...String(index)].map((digit) => 'abcdefghij'[Number(digit)]).join('')
}
