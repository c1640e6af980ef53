import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import test, { type TestContext } from 'node:test'
import { checkKinds } from '../../../monitor/checks/index.ts'
import { freePort } from '../../cluster/index.ts'
import { programs } from '../../programs.ts'

type Ended = { code: number; out: string; err: string }

/** Runs the program to its end, with nothing in its environment but what is given. */
function run(args: string[], env: Record<string, string> = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const { PATH = '', NODE_COMPILE_CACHE } = process.env
    const options = { env: { PATH, ...(NODE_COMPILE_CACHE !== undefined && { NODE_COMPILE_CACHE }), ...env }, timeout: 30_000 }
    execFile(process.execPath, [programs.monitor, ...args], options, (error, out, err) => {
      assert.doesNotMatch(out + err, /^\s+at .*\.(ts|mjs):\d+/m, 'no stack trace')
      resolve({ code: error === null ? 0 : Number(error.code), out, err })
    })
  })
}

async function file(t: TestContext, text: string): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'skerry-cli-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await writeFile(path.join(folder, 'given.yaml'), text)
  return path.join(folder, 'given.yaml')
}

async function listener(t: TestContext): Promise<number> {
  const server = createServer((socket) => socket.on('error', () => {}).end('220 quay\r\n')).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  t.after(() => server.close())
  return (server.address() as { port: number }).port
}

const tcp = (name: string, port: number, more = '') =>
  `  - { name: ${name}, kind: tcp, host: 127.0.0.1, port: ${port}, retries: 0${more} }\n`

test('check --once prints a table, and ends with 0 when all are up', async (t) => {
  const port = await listener(t)
  const { code, out, err } = await run(['check', '--config', await file(t, `checks:\n${tcp('quay', port)}`), '--once'])
  assert.deepEqual([code, err], [0, ''])
  assert.match(out, /^STATE +NAME +KIND +TARGET +TOOK +DETAIL\nup +quay +tcp +127\.0\.0\.1:\d+ +\d+ ms +\S/)
})

test('check ends with 1 when one is down, and does not run what depends on it', async (t) => {
  const [open, closed] = [await listener(t), await freePort()]
  const checks = `checks:\n${tcp('quay', open)}${tcp('gate', closed)}${tcp('behind', open, ', dependsOn: [gate]')}${tcp('far', open, ', dependsOn: [behind]')}`
  const { code, out } = await run(['check', '--config', await file(t, checks)])
  assert.equal(code, 1)
  const states = out
    .split('\n')
    .slice(1, -1)
    .map((line) => line.split(/ +/).slice(0, 2))
  assert.deepEqual(states, [
    ['up', 'quay'],
    ['down', 'gate'],
    ['unknown', 'behind'],
    ['unknown', 'far'],
  ])
})

test('check --json and test --json print what they saw as one JSON object, with the same exit codes', async (t) => {
  const [open, closed] = [await listener(t), await freePort()]
  const checks = `checks:\n${tcp('gate', closed)}${tcp('"web & api"', open, ', labels: { team: quay }')}${tcp('behind', open, ', dependsOn: [gate]')}`
  const { code, out, err } = await run(['check', '--json', '--config', await file(t, checks)])
  assert.deepEqual([code, err], [1, ''])
  const { summary, checks: found } = JSON.parse(out)
  assert.deepEqual(summary, { total: 3, up: 1, degraded: 0, down: 1, unknown: 1 })
  const [gate, web, behind] = found
  const { durationSeconds, finishedAt, measurements, detail, ...rest } = web
  assert.deepEqual(rest, {
    ...{ name: 'web & api', kind: 'tcp', target: `127.0.0.1:${open}`, group: 'checks', severity: 'warning', labels: { team: 'quay' } },
    ...{ state: 'up', failures: 0 },
  })
  assert.ok(durationSeconds > 0 && Date.parse(finishedAt) > 0 && detail !== '' && measurements[0].name.startsWith('skerry_tcp_'))
  assert.deepEqual([gate.state, gate.reason, gate.failures], ['down', 'connection_refused', 1])
  assert.deepEqual([behind.state, behind.reason, 'finishedAt' in behind], ['unknown', 'dependency', false])

  const one = await run(['test', 'tcp', 'host=127.0.0.1', `port=${closed}`, '--json'])
  assert.equal(one.code, 1)
  const { kind, target, state, reason } = JSON.parse(one.out)
  assert.deepEqual(
    { kind, target, state, reason },
    { kind: 'tcp', target: `127.0.0.1:${closed}`, state: 'down', reason: 'connection_refused' },
  )
})

test("check takes the monitor's configuration too, and looks into the checks file that it names", async (t) => {
  const checks = await file(t, `checks:\n${tcp('quay', await listener(t))}`)
  const config = await file(t, `checks: { file: ${checks} }\n`)
  assert.equal((await run(['check', '--once', '--config', config])).code, 0)
  const byEnvironment = await run(['check', '--once'], { SKERRY_MONITOR__CHECKS__FILE: checks })
  assert.equal(byEnvironment.code, 0, byEnvironment.err)
})

test('check repeats a failing run as often as its retries say', async (t) => {
  let connections = 0
  const server = createServer((socket) => socket.on('error', () => {}).end(connections++ === 0 ? 'no' : 'yes')).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  t.after(() => server.close())
  const { port } = server.address() as { port: number }
  const check = `checks: [{ name: quay, kind: tcp, host: 127.0.0.1, port: ${port}, expect: 'yes', retries: 1, retryDelay: 10ms }]\n`
  assert.equal((await run(['check', '--once', '--config', await file(t, check)])).code, 0)
  assert.equal(connections, 2)
})

const broken = `checks:
  - { name: a, kind: tpc }
  - { name: b, kind: tcp, host: 127.0.0.1, port: 70000, intervall: 1s }
`
for (const command of ['check', 'validate'])
  test(`${command} ends with 2 and names every fault of the checks, each with its line`, async (t) => {
    const { code, out, err } = await run([command, '--config', await file(t, broken)])
    assert.deepEqual([code, out], [2, ''])
    assert.match(err, /given\.yaml:2:\d+: checks\[0\]\.kind is not a kind of check; did you mean "tcp"\?/)
    assert.match(err, /given\.yaml:3:\d+: checks\[1\]\.port must be at most 65535/)
    assert.match(err, /given\.yaml:3:\d+: checks\[1\]\.intervall is not recognized; did you mean "interval"\?/)
  })

test("validate ends with 2 and names every fault of the monitor's configuration", async (t) => {
  const config = 'metrics: { port: x }\nsparkplug: { group: a/b, node: n, servers: [] }\nlease: { duration: 1s }\n'
  const { code, err } = await run(['validate', '--config', await file(t, config)])
  assert.equal(code, 2)
  for (const fault of [
    /metrics\.port must be a whole number/,
    /sparkplug\.group must not contain/,
    /sparkplug\.servers must have at least 1 item/,
  ])
    assert.match(err, fault)
})

test('--check-config names the faults of the configuration, of the files in it and of the checks at once; a Secret may be read later', async (t) => {
  const checks = await file(t, `${broken}  - { name: c, kind: redis, host: h, passwordFile: { secretName: db, key: password } }\n`)
  const config = `checks: { file: ${checks} }\nmetrics: { tls: { certFile: /nowhere, keyFile: /nowhere } }\n`
  const { code, out, err } = await run(['--check-config', '--config', await file(t, config)])
  assert.deepEqual([code, out], [1, ''])
  assert.match(err, /given\.yaml:2:\d+: metrics\.tls\.certFile names \/nowhere: there is no such file/)
  assert.match(err, /given\.yaml:2:\d+: checks\[0\]\.kind is not a kind of check/)
  assert.match(err, /given\.yaml:3:\d+: checks\[1\]\.port must be at most 65535/)
  assert.doesNotMatch(err, /checks\[2\]/)
})

test('a monitor whose checks are broken says so and ends, without a stack', async (t) => {
  const config = `{ checks: { file: ${await file(t, broken)} }, metrics: { host: 127.0.0.1, port: 0 } }\n`
  const { code, out } = await run(['--config', await file(t, config)])
  assert.equal(code, 1)
  const { msg, faults, err } = JSON.parse(out.trim().split('\n').at(-1) ?? '')
  assert.equal(msg, 'cannot start: correct the faults')
  assert.equal(faults.length, 3)
  assert.equal(err, undefined)
})

test('validate says how many checks there are', async (t) => {
  const { code, out } = await run(['validate', '--config', await file(t, `checks:\n${tcp('a', 1)}${tcp('b', 2)}`)])
  assert.deepEqual([code, out], [0, 'ok, 2 checks\n'])
})

test('test tries one check, prints what it saw, and ends with 0 when it is up and 1 when it is down', async (t) => {
  const up = await run(['test', 'tcp', 'host=127.0.0.1', `port=${await listener(t)}`, 'expect=220'])
  assert.equal(up.code, 0, up.err)
  assert.match(up.out, /^tcp 127\.0\.0\.1:\d+: up\n/)
  assert.match(up.out, /took \d+ ms/)
  const down = await run(['test', 'tcp', 'host=127.0.0.1', `port=${await freePort()}`])
  assert.equal(down.code, 1)
  assert.match(down.out, /: down\n.*\n {2}reason connection_refused\n/)
})

test('test does not wait longer than it is told', async (t) => {
  const server = createServer(() => {}).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  t.after(() => server.close())
  const { port } = server.address() as { port: number }
  const { code, out } = await run(['test', 'tcp', 'host=127.0.0.1', `port=${port}`, 'expect=hello', '--timeout', '300ms'])
  assert.equal(code, 1)
  assert.match(out, /reason timeout/)
})

test('test ends with 2 and names every fault of the options at once', async () => {
  const { code, err } = await run(['test', 'tcp', 'hst=127.0.0.1', 'port=x', 'foo'])
  assert.equal(code, 2)
  for (const fault of ['"foo" is not key=value', 'host is required', 'port must be a whole number, not a string', 'did you mean "host"?'])
    assert.ok(err.includes(fault), `${fault}: ${err}`)
})

const misused: [string, string[], RegExp][] = [
  ['a kind that there is not', ['test', 'tpc'], /"tpc" is not a kind of check; did you mean "tcp"\?/],
  ['an option that there is not', ['check', '--twice'], /Unknown option '--twice'/],
  ['a file that is not there', ['check', '--config', '/nowhere'], /\/nowhere: cannot be read: there is no such file/],
  ['a time that is none', ['test', 'tcp', '--timeout', 'soon'], /--timeout must be a duration/],
  ['a kubeconfig that is not there', ['test', 'kubernetes', '--kubeconfig', '/nowhere'], /the kubeconfig \/nowhere cannot be used/],
]
for (const [name, args, said] of misused)
  test(`${args[0]} ends with 2 and says so in one line: ${name}`, async () => {
    const { code, out, err } = await run(args)
    assert.deepEqual([code, out], [2, ''])
    assert.match(err, said)
  })

test('test --help lists every kind, and test KIND --help its options', async () => {
  const kinds = await run(['test', '--help'])
  assert.equal(kinds.code, 0)
  for (const kind of Object.keys(checkKinds)) assert.match(kinds.out, new RegExp(`^  ${kind} `, 'm'))
  const one = await run(['test', 'http', '--help'])
  assert.equal(one.code, 0)
  assert.match(one.out, /^ {2}url\n {6}\S+, required$/m)
})

test('--help tells of the commands and of every setting; a configuration that is not valid ends the program with 1', async () => {
  const help = await run(['--help'])
  assert.equal(help.code, 0)
  for (const word of ['skerry-monitor check', 'skerry-monitor test', 'sparkplug.servers[].url', 'SKERRY_MONITOR__SPARKPLUG__GROUP'])
    assert.ok(help.out.includes(word), word)
  const wrong = await run([], { SKERRY_MONITOR__METRICS__PORT: 'x', SKERRY_MONITOR__SPARKPLUG__GROUP: 'harbour' })
  assert.equal(wrong.code, 1)
  assert.match(wrong.err, /SKERRY_MONITOR__METRICS__PORT: metrics\.port must be a whole number/)
  assert.match(wrong.err, /sparkplug\.node is required/)
})

test('the environment alone can configure the edge node', async () => {
  const { code, out, err } = await run(['--print-config'], {
    SKERRY_MONITOR__SPARKPLUG__GROUP: 'harbour',
    SKERRY_MONITOR__SPARKPLUG__NODE: 'quay-7',
    SKERRY_MONITOR__SPARKPLUG__SERVERS__0__URL: 'mqtt://broker.example.net:1883',
  })
  assert.equal(code, 0, err)
  assert.match(out, /group: harbour\n {2}node: quay-7\n {2}servers:\n {4}- url: mqtt:\/\/broker\.example\.net:1883/)
})

test('check does not say that all is well when the Secrets that its checks need cannot be read', async (t) => {
  const server = `https://127.0.0.1:${await freePort()}`
  const kubeconfig = await file(
    t,
    `{ apiVersion: v1, kind: Config, current-context: a, contexts: [{ name: a, context: { cluster: a, user: a } }],
       clusters: [{ name: a, cluster: { server: '${server}' } }], users: [{ name: a, user: { token: x } }] }\n`,
  )
  const reference = '{ secretName: db, key: password }'
  const checks = await file(t, `checks: [{ name: db, kind: postgresql, host: 127.0.0.1, username: x, passwordFile: ${reference} }]\n`)
  const config = await file(t, `{ cluster: { kubeconfig: ${kubeconfig} }, checks: { file: ${checks} } }\n`)
  const { code, out, err } = await run(['check', '--once', '--config', config])
  assert.deepEqual([code, out], [2, ''])
  assert.match(err, /the Secrets that the checks file refers to cannot be read/)
})

test('convert prints the checks file of a configuration of another tool, which then is valid; notes go elsewhere', async (t) => {
  const endpoints = [
    { name: 'web & api', url: 'https://a.example.com', conditions: ['[STATUS] == 200'] },
    { name: 'ping', url: 'icmp://a.example.com', conditions: [] },
  ]
  const given = await file(t, JSON.stringify({ endpoints }))
  const refused = await run(['check', '--config', given, '--once'])
  assert.equal(refused.code, 2)
  const { code, out, err } = await run(['convert', '--file', given])
  assert.equal(code, 0)
  assert.match(err, /^note: .*there is no check that pings.*\n1 check, 1 note\n$/)
  const { out: verdict } = await run(['validate', '--config', await file(t, out)])
  assert.equal(verdict, 'ok, 1 check\n')
})

test('convert says what is wrong with a file, in one line', async (t) => {
  const cases = [
    { args: [], why: /--file is required/ },
    { args: ['--file', '/nowhere'], why: /\/nowhere: there is no such file/ },
    { args: ['--file', await file(t, 'checks: []')], why: /is neither a configuration of Gatus nor/ },
    { args: ['--fil', 'x'], why: /Unknown option/ },
  ]
  for (const { args, why } of cases) {
    const { code, out, err } = await run(['convert', ...args])
    assert.deepEqual([code, out], [2, ''])
    assert.match(err, why)
  }
})

test('modules tells what becomes of each module of a blackbox.yml, without its secrets', async (t) => {
  const good = '{ prober: http, http: { headers: { Authorization: Bearer s3cret } } }'
  const given = await file(t, `modules: { good: ${good}, sock: { prober: unix }, odd: { prober: http, http: { bdy: s3cret } } }`)
  const { code, out } = await run(['modules', '--file', given])
  assert.equal(code, 1)
  assert.match(
    out,
    /^good {2}works\nsock {2}refused\n +Unix sockets are not probed.*\nodd {3}refused\n +http\.bdy is not recognized; did you mean "body"\?\n/,
  )
  assert.match(out, /\n1 work, 0 work with a difference, 2 refused\n$/)
  const asJson = await run(['modules', '--file', given, '--json'])
  assert.deepEqual(
    (JSON.parse(asJson.out) as { module: string; state: string }[]).map(({ module, state }) => [module, state]),
    [
      ['good', 'works'],
      ['sock', 'refused'],
      ['odd', 'refused'],
    ],
  )
  assert.doesNotMatch(out + asJson.out, /s3cret/)
})

test('modules ends with 0 if no module is refused, and with 2 if the file is no blackbox.yml', async (t) => {
  assert.equal((await run(['modules', '--file', await file(t, 'modules: { good: { prober: http } }')])).code, 0)
  const wrong = await run(['modules', '--file', await file(t, 'checks: []')])
  assert.equal(wrong.code, 2)
  assert.match(wrong.err, /it is no configuration of blackbox_exporter, which has no field "checks"/)
  assert.equal((await run(['modules'])).code, 2)
})
