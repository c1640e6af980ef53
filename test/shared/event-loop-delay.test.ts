import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'

/** A program that rests for a second, and then works for 60 ms in one turn; it tells how often it was woken up, and what it measured. */
const program = `
  const { createProcessRegistry, familiesOf } = await import(${JSON.stringify(new URL('../../shared/prometheus.ts', import.meta.url).href)})
  const { readFileSync } = await import('node:fs')
  const wakeUps = () => Number(/^voluntary_ctxt_switches:\\s+(\\d+)/m.exec(readFileSync('/proc/self/task/' + process.pid + '/status', 'utf8'))[1])
  const rest = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
  const registry = createProcessRegistry()
  const read = async () => Object.fromEntries((await familiesOf(registry)).map(({ name, values }) => [name, values[0]?.value]))
  await rest(200)
  await read()
  const before = wakeUps()
  await rest(1_000)
  const woken = wakeUps() - before
  const idle = await read()
  const until = performance.now() + 60
  while (performance.now() < until);
  await rest(1)
  console.log(JSON.stringify({ woken, idle, busy: await read() }))
`

test('the delay of the event loop is measured without waking up a program at rest', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program])
  const { woken, idle, busy } = JSON.parse(stdout)
  assert.ok(woken < 50, `woken up ${woken} times in a second`)
  const told = (found: Record<string, number>) => Object.keys(found).filter((name) => name.startsWith('nodejs_eventloop_lag_'))
  assert.deepEqual(told(idle).toSorted(), [
    'nodejs_eventloop_lag_max_seconds',
    'nodejs_eventloop_lag_mean_seconds',
    'nodejs_eventloop_lag_min_seconds',
    'nodejs_eventloop_lag_p50_seconds',
    'nodejs_eventloop_lag_p90_seconds',
    'nodejs_eventloop_lag_p99_seconds',
    'nodejs_eventloop_lag_seconds',
    'nodejs_eventloop_lag_stddev_seconds',
  ])
  assert.ok(idle.nodejs_eventloop_lag_max_seconds < 1, `at rest it took ${idle.nodejs_eventloop_lag_max_seconds} s`)
  assert.ok(busy.nodejs_eventloop_lag_max_seconds >= 0.06, `at work it took ${busy.nodejs_eventloop_lag_max_seconds} s`)
})
