import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { exec } from '../../../monitor/checks/exec.ts'
import { until } from '../../cluster/index.ts'
import { assertResult, endByTime, measured, run } from './run.ts'

const shell = (script: string) => ({ command: ['/bin/sh', '-c', script] })
const mayExec = { mayExec: true }

const cases = [
  {
    name: 'is up when the program ends with 0',
    script: 'echo OK - load 0.1; echo more',
    state: 'up',
    detail: /^Exit code 0: OK - load 0\.1$/,
  },
  {
    name: 'is degraded by exit code 1, a warning',
    script: 'echo hot; exit 1',
    state: 'degraded',
    reason: 'failing',
    detail: /^Exit code 1: hot$/,
  },
  { name: 'is down by exit code 2', script: 'echo gone >&2; exit 2', state: 'down', reason: 'failing', detail: /^Exit code 2: gone$/ },
  { name: 'is unknown by exit code 3', script: 'exit 3', state: 'unknown', reason: 'error', detail: /^Exit code 3: It wrote nothing\.$/ },
  { name: 'is down by any other code', script: 'exit 127', state: 'down', reason: 'failing', detail: /^Exit code 127/ },
  { name: 'is down when the program is killed', script: 'kill -9 $$', state: 'down', reason: 'failing', detail: /killed by SIGKILL/ },
  { name: 'keeps only the beginning of a flood', script: 'yes | head -c 5000000', state: 'up', detail: /^Exit code 0: y$/ },
] as const
for (const { name, script, state, detail, ...rest } of cases)
  test(`an exec check ${name}`, async () =>
    assertResult(await run(exec, shell(script), mayExec), state, 'reason' in rest ? rest.reason : undefined, detail))

test('an exec check runs nothing unless the monitor allows it', async () => {
  assertResult(await run(exec, shell('exit 0')), 'down', 'misconfigured', /checks\.allowExec: true/)
})

test('an exec check does not inherit the environment, and gets what it is given', async (t) => {
  process.env.SKERRY_SECRET = 'hunter2'
  t.after(() => delete process.env.SKERRY_SECRET)
  const result = await run(exec, { ...shell('echo "$SITE:$SKERRY_SECRET:$HOME"'), env: { SITE: 'quay' } }, mayExec)
  assertResult(result, 'up', undefined, /^Exit code 0: quay::$/)
  assert.equal(measured(result, 'skerry_exec_exit_code'), 0)
})

test('an exec check compares the output', async () => {
  assertResult(await run(exec, { ...shell('echo load 3'), expectOutput: '^load [0-2]$' }, mayExec), 'down', 'unexpected_answer', /load 3/)
})

test('an exec check that times out ends the program with its children, also one that a finished program left behind', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'skerry-exec-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = path.join(folder, 'pid')
  const alive = () => {
    try {
      // A process that has ended and is not waited for yet counts as ended.
      return !readFileSync(`/proc/${readFileSync(file, 'utf8').trim()}/stat`, 'utf8').includes(') Z ')
    } catch {
      return false
    }
  }
  for (const script of [`sleep 100 & echo $! > ${file}; wait`, `sleep 100 & echo $! > ${file}`]) {
    writeFileSync(file, '')
    const timeUp = new AbortController()
    const ended = run(exec, shell(script), { ...mayExec, signal: timeUp.signal })
    await until('its child is there', async () => readFileSync(file, 'utf8').endsWith('\n'))
    endByTime(timeUp)
    await ended
    await until('its child has ended', async () => !alive())
  }
})

test('a daemon that a program left behind does not hold up the check', async () => {
  const began = performance.now()
  assertResult(await run(exec, shell('setsid sleep 20 & echo started'), { ...mayExec, timeoutMs: 15_000 }), 'up', undefined, /started/)
  assert.ok(performance.now() - began < 15_000)
})

test('a program that is not there, and a command with a relative path, are told', async () => {
  assertResult(await run(exec, { command: ['/nowhere/check_load'] }, mayExec), 'down', 'misconfigured', /cannot be started \(ENOENT\)/)
  assert.match(exec.options.safeParse({ command: ['check_load'] }).error?.issues[0]?.message ?? '', /absolute path/)
})
