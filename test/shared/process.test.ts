import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'

/** A program of one part, in a process of its own. `stop` and `ready` are the bodies of what it does then. */
function program(
  t: TestContext,
  { start = '', ready = '', stop = '', graceMs = 5_000 }: { start?: string; ready?: string; stop?: string; graceMs?: number },
) {
  const from = (name: string) => JSON.stringify(new URL(`../../shared/${name}.ts`, import.meta.url).href)
  const source = `
    import { runParts } from ${from('lifecycle')}
    import { createLog } from ${from('log')}
    import { runProcess } from ${from('process')}
    const log = createLog({ level: 'info', name: 'program' })
    const part = { name: 'only', async start(signal) { ${start} }, async stop() { ${stop} } }
    const last = { name: 'last', async start() { setTimeout(() => { ${ready} }) }, async stop() { log.info('closing') } }
    setInterval(() => {}, 1000)
    await runProcess((stopping) => runParts([part, last], { stopping, graceMs: ${graceMs}, log }), { log, graceMs: ${graceMs} })`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', source], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  // biome-ignore lint/suspicious/noExplicitAny: a log line holds anything
  const lines: any[] = []
  const seen = new Map<string, () => void>()
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(JSON.parse(line))
    seen.get(lines.at(-1).msg)?.()
  })
  const message = (msg: string) => new Promise<void>((resolve) => seen.set(msg, resolve))
  return { child, lines, message }
}

async function exit(child: ChildProcess): Promise<number | null> {
  const [code] = await once(child, 'close')
  return code
}

const limit = { timeout: 60_000 }

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} stops the parts and ends the process with 0, though a timer is still there`, limit, async (t) => {
    const { child, lines, message } = program(t, {})
    await message('started')
    child.kill(signal)
    assert.equal(await exit(child), 0)
    assert.deepEqual(
      lines.map((line) => line.msg),
      ['started', 'stopping', 'closing', 'stopped'],
    )
  })
}

for (const [signal, code] of [
  ['SIGTERM', 143],
  ['SIGINT', 130],
] as const) {
  test(`a second ${signal} ends the process at once with ${code}`, limit, async (t) => {
    const { child, message } = program(t, { stop: 'await new Promise(() => {})', graceMs: 60_000 })
    await message('started')
    child.kill('SIGTERM')
    await message('closing')
    child.kill(signal)
    assert.equal(await exit(child), code)
  })
}

test('a part that never stops does not keep the process past its grace', limit, async (t) => {
  const { child, lines, message } = program(t, { stop: 'await new Promise(() => {})', graceMs: 200 })
  await message('started')
  child.kill('SIGTERM')
  assert.equal(await exit(child), 0)
  assert.ok(lines.some((line) => line.msg === 'part did not stop in time' && line.part === 'only'))
})

test('a part that fails to start ends the process with 1 and its reason in the log', limit, async (t) => {
  const { child, lines } = program(t, { start: "throw new Error('EADDRINUSE')" })
  assert.equal(await exit(child), 1)
  assert.deepEqual(lines.map((line) => [line.level, line.msg, line.err?.message]).at(-1), ['fatal', 'failed', 'EADDRINUSE'])
})

test('a start that fails for faults that can be corrected tells these alone', limit, async (t) => {
  const from = new URL('../../shared/process.ts', import.meta.url).href
  const { child, lines } = program(t, {
    start: `const { StartFault } = await import(${JSON.stringify(from)}); throw new StartFault('the file cannot be used', ['a.yaml:1:2: x', 'a.yaml:2:2: y'])`,
  })
  assert.equal(await exit(child), 1)
  const { level, msg, faults, err } = lines.at(-1)
  assert.deepEqual(
    { level, msg, faults, err },
    {
      level: 'fatal',
      msg: 'cannot start: correct the faults',
      faults: ['a.yaml:1:2: x', 'a.yaml:2:2: y'],
      err: undefined,
    },
  )
})

const crashes = [
  { name: 'an exception nobody caught', ready: "throw new Error('oops')", origin: 'uncaughtException' },
  { name: 'a rejection nobody handled', ready: "Promise.reject(new Error('oops'))", origin: 'unhandledRejection' },
]
for (const { name, ready, origin } of crashes) {
  test(`${name} is logged, the parts are stopped and the process ends with 70`, limit, async (t) => {
    const { child, lines } = program(t, { ready })
    assert.equal(await exit(child), 70)
    const line = lines.find((each) => each.level === 'fatal')
    assert.equal(line.origin, origin)
    assert.equal(line.err.message, 'oops')
    assert.ok(lines.some((each) => each.msg === 'closing'))
  })
}
