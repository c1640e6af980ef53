import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { FollowedModules, readModules } from '../../../monitor/probe/index.ts'
import { systemFiles } from '../../../shared/config/file.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'
import { serve } from '../checks/servers.ts'
import { startEndpoint } from '../metrics/endpoint-in-hand.ts'
import { readPage } from '../metrics/reading.ts'
import { logLines } from '../prober/scene.ts'

/** The module `x` of a file, or why it is refused. */
function moduleOf(text: string) {
  const read = readModules(`modules:\n  x: ${text}\n`, systemFiles)
  assert.ok(!('faults' in read), JSON.stringify(read))
  const module = read.get('x')
  assert.ok(module !== undefined)
  if ('refused' in module) return { refused: module.refused }
  const { prober, timeout, settings } = module.module
  return { prober, timeout, settings: settings as Record<string, unknown> }
}

test('an empty section is one that is left out, and so is an empty field at any depth', () => {
  assert.deepEqual(moduleOf('{ prober: http, http: }'), moduleOf('{ prober: http }'))
  assert.deepEqual(moduleOf('{ prober: http, timeout: , http: { headers: , tls_config: { ca_file: } } }'), moduleOf('{ prober: http }'))
})

test('sections of other probers beside the own one say nothing, whatever is in them', () => {
  const dump = '{ prober: http, tcp: { ip_protocol_fallback: true }, icmp: { ttl: 3 }, dns: { ip_protocol_fallback: true }, websocket: }'
  assert.deepEqual(moduleOf(dump), moduleOf('{ prober: http }'))
})

const durations = [
  ['1h30m', 5_400_000],
  ['1m0.5s', 60_500],
  ['1500us', 1.5],
  ['.5s', 500],
  ['0s', undefined],
  ['-3s', undefined],
] as const
for (const [timeout, ms] of durations)
  test(`the timeout ${timeout} is what it is in Go`, () => {
    const read = moduleOf(`{ prober: http, timeout: ${timeout} }`)
    assert.equal('timeout' in read && read.timeout, ms)
  })

test('a timeout without a unit is refused, as in Go', () => {
  assert.match(String(moduleOf('{ prober: http, timeout: 5 }').refused), /timeout must be a duration with its unit/)
  assert.match(String(moduleOf('{ prober: http, timeout: "5" }').refused), /timeout must be a duration with its unit/)
})

test('texts and booleans are read as Go reads them', () => {
  const read = moduleOf('{ prober: http, http: { fail_if_ssl: yes, headers: { A: 0123, B: 1.0, C: true, D: 7 } } }')
  assert.deepEqual(read.settings?.fail_if_ssl, true)
  assert.deepEqual(read.settings?.headers, { A: '0123', B: '1.0', C: 'true', D: '7' })
})

test('merge keys and anchors are read', () => {
  const read = readModules('modules:\n  a: &a { prober: http, timeout: 5s }\n  b: { <<: *a, timeout: 7s }\n')
  assert.ok(!('faults' in read))
  const b = read.get('b')
  assert.ok(b !== undefined && 'module' in b)
  assert.deepEqual([b.module.prober, b.module.timeout], ['http', 7_000])
})

test('a module that cannot be had is refused by itself, with what to do instead', () => {
  const read = readModules(
    'modules: { good: { prober: http }, sock: { prober: unix }, odd: { prober: http, http: { methd: GET } }, none: }',
  )
  assert.ok(!('faults' in read))
  const refused = (name: string) => {
    const module = read.get(name)
    return module !== undefined && 'refused' in module ? module.refused.join() : undefined
  }
  assert.equal(refused('good'), undefined)
  assert.match(refused('sock') ?? '', /Use a check with socketPath/)
  assert.match(refused('odd') ?? '', /^http\.methd is not recognized; did you mean "method"\?$/)
  assert.ok(refused('none') !== undefined)
})

for (const text of [
  '',
  '[]',
  'modules: 3',
  'modules: []',
  'checks: []',
  'modules: {}\nx: 1',
  'modules: {a: {prober: http}, a: {prober: tcp}}',
])
  test(`${JSON.stringify(text)} is no file of modules`, () => {
    assert.ok('faults' in readModules(text))
  })

/** A followed file on a clock that stands still: it is read when the test says so. */
async function follow(t: TestContext, text: string) {
  const folder = mkdtempSync(path.join(tmpdir(), 'skerry-modules-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = path.join(folder, 'blackbox.yml')
  writeFileSync(file, text)
  const { log, lines } = logLines()
  const clock = createFakeClock()
  const modules = new FollowedModules(file, { clock, log })
  await modules.start()
  t.after(() => modules.stop())
  return { file, folder, modules, lines, clock, names: () => [...modules.modules().keys()] }
}

test('a changed file is taken up, and one that cannot be used leaves the modules from before, said once', async (t) => {
  const { file, modules, names, lines } = await follow(t, 'modules: { a: { prober: http } }')
  writeFileSync(file, 'modules: { b: { prober: http } }')
  assert.deepEqual([await modules.reload(), names(), modules.last()?.ok], [true, ['b'], true])
  for (const broken of ['', 'modules: [', 'modules: [']) {
    writeFileSync(file, broken)
    assert.deepEqual([await modules.reload(), names(), modules.last()?.ok], [false, ['b'], false])
  }
  assert.equal(lines.filter(({ level }) => level === 'error').length, 2)
  writeFileSync(file, 'modules: { b: { prober: http } }')
  assert.deepEqual([await modules.reload(), modules.last()?.ok], [true, true])
})

test('the file is looked at now and then even if nothing tells of a change', async (t) => {
  const { file, names, clock } = await follow(t, 'modules: { a: { prober: http } }')
  writeFileSync(file, 'modules: { b: { prober: http } }')
  await clock.advance(30_050)
  assert.deepEqual(names(), ['b'])
})

test('a file that cannot be used at the start stops it, with what is wrong', async (t) => {
  await assert.rejects(follow(t, 'modules: 3'), /the modules file cannot be used:\n.*blackbox\.yml: modules must be a map/)
})

test('a module whose secret is not there is refused until it is, and a secret that rotates is taken up', async (t) => {
  const { file, folder, modules } = await follow(t, 'modules: {}')
  const secret = path.join(folder, 'password')
  writeFileSync(file, `modules: { a: { prober: http, http: { basic_auth: { username: u, password_file: ${secret} } } } }`)
  await modules.reload()
  const found = () => modules.modules().get('a')
  const refused = found()
  assert.match(
    refused !== undefined && 'refused' in refused ? refused.refused.join() : '',
    /http\.basic_auth\.password_file names .*there is no such file/,
  )
  for (const text of ['hunter2', 'hunter3']) {
    writeFileSync(secret, text)
    await modules.reload()
    const module = found()
    assert.ok(module !== undefined && 'module' in module)
    const settings = module.module.settings as { basic_auth: { password_file: { reveal(): string } } }
    assert.equal(settings.basic_auth.password_file.reveal(), text)
    assert.ok(!JSON.stringify(module).includes(text))
  }
})

test('probes of a refused module are answered with 400 and the reason, and counted; the other modules work', async (t) => {
  const target = await serve(t, { '/': 'hello' })
  const { modules } = await follow(t, 'modules: { any: { prober: http }, http_2xx: { prober: unix } }')
  const allow = [{ addresses: ['127.0.0.0/8'], ports: ['1-65535'] }]
  const { url } = await startEndpoint(t, { probe: { allow, modules: { own: { prober: 'http' } } } }, { modules })
  const ask = (module: string) => fetch(`${url}/probe?${new URLSearchParams({ target, module })}`)
  for (const module of ['any', 'own', 'http_post_2xx']) assert.equal((await ask(module)).status, 200, module)
  // The file's module takes precedence over the built-in one of its name, though it is refused.
  const answer = await ask('http_2xx')
  assert.deepEqual([answer.status, answer.headers.get('content-type')], [400, 'application/problem+json'])
  const problem = (await answer.json()) as Record<string, string>
  assert.match(problem.type ?? '', /module-refused$/)
  assert.match(problem.detail ?? '', /^Module "http_2xx" is refused: Unix sockets are not probed/)
  assert.match(problem.action ?? '', /skerry-monitor modules --file/)
  assert.equal((await ask('nothing')).status, 400)
  const page = readPage(await (await fetch(`${url}/metrics`)).text())
  assert.equal(page.value('skerry_monitor_probes_total', { outcome: 'module_refused' }), 1)
  assert.equal(page.value('skerry_monitor_probes_total', { outcome: 'module_unknown' }), 1)
  assert.equal(page.value('skerry_monitor_probe_modules', { state: 'works' }), 1)
  assert.equal(page.value('skerry_monitor_probe_modules', { state: 'refused' }), 1)
  assert.equal(page.value('skerry_monitor_probe_modules_reload_successful'), 1)
  const ready = (await (await fetch(`${url}/readyz`)).json()) as { facts: Record<string, string> }
  assert.equal(ready.facts.modulesFile, '2 modules, 1 refused')
})

test('the documentation says what is left as the report does', () => {
  const page = readFileSync('docs/checks.md', 'utf8')
  assert.match(page, /\| `prober: unix` \| the module is refused \| Unix sockets are not probed on request/)
})
