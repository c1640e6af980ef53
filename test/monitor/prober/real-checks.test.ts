import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import { checkKindNamed } from '../../../monitor/checks/index.ts'
import type { Check, ProbeEvent, Prober } from '../../../monitor/prober/check.ts'
import { createProber } from '../../../monitor/prober/index.ts'
import { systemClock } from '../../../shared/clock.ts'
import { freePort } from '../../cluster/index.ts'
import { listen, serve } from '../checks/servers.ts'
import { checkOf, logLines } from './scene.ts'

/** A check of a kind with its options as a file would give them, four times a second. It has time enough on a busy machine, too. */
function real(name: string, kind: Check['kind'], given: object, more: Partial<Check> = {}): Check {
  const { options, target } = checkKindNamed(kind) ?? assert.fail()
  const parsed = options.parse(given)
  return checkOf({ name, kind, options: parsed, target: target(parsed), intervalMs: 250, timeoutMs: 5_000, ...more })
}

async function running(t: TestContext, checks: Check[], parallelism?: number): Promise<Prober> {
  const prober = createProber({ parallelism }, { context: {}, clock: systemClock, log: logLines().log })
  prober.set(checks)
  t.after(() => prober.stop(systemClock.monotonic() + 2_000))
  await prober.start(new AbortController().signal)
  return prober
}

/** Resolves with the first event that fits. */
function heard(prober: Prober, fits: (event: ProbeEvent) => boolean): Promise<void> {
  return new Promise((resolve) => {
    const forget = prober.subscribe((event) => {
      if (!fits(event)) return
      forget()
      resolve()
    })
  })
}

const ran = (prober: Prober, name: string, times: number) =>
  heard(prober, ({ type, status }) => type === 'finished' && status.check.name === name && status.durations.count >= times)

test('real servers are up, ones that fail are down with why, and a server that comes back is up', { timeout: 60_000 }, async (t) => {
  const url = await serve(t, { '/well': 'fine', '/sick': () => ({ status: 503, body: 'sorry' }) })
  const port = await listen(t, () => {})
  // Nobody gets this port by chance before the server is back.
  const gone = await freePort()
  const prober = await running(t, [
    real('well', 'http', { url: `${url}/well` }),
    real('sick', 'http', { url: `${url}/sick` }),
    real('port', 'tcp', { host: '127.0.0.1', port }),
    real('away', 'tcp', { host: '127.0.0.1', port: gone }),
  ])
  await Promise.all(['well', 'sick', 'port', 'away'].map((name) => ran(prober, name, 2)))
  assert.deepEqual(
    [...prober.statuses()].map(({ check, state, reason }) => [check.name, state, reason]),
    [
      ['well', 'up', undefined],
      ['sick', 'down', 'unexpected_answer'],
      ['port', 'up', undefined],
      ['away', 'down', 'connection_refused'],
    ],
  )
  assert.equal(
    prober.status('well')?.measurements.some(({ name }) => name.startsWith('skerry_http_')),
    true,
  )
  const back = createServer((socket) => socket.destroy())
  t.after(() => void back.close())
  back.listen(gone, '127.0.0.1')
  await heard(prober, ({ type, status }) => type === 'changed' && status.check.name === 'away' && status.state === 'up')
})

test('servers that hang, drip or flood cost their timeout only, and the others go on', { timeout: 60_000 }, async (t) => {
  const open = new Set<NodeJS.Timeout>()
  t.after(() => {
    for (const timer of open) clearInterval(timer)
  })
  const mute = await listen(t, () => {})
  const drip = await listen(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nX-Slow: ')
    const timer = setInterval(() => socket.write('x'), 20)
    open.add(timer)
    socket.on('close', () => clearInterval(timer))
  })
  const flood = await listen(t, (socket) => {
    const more = () => {
      while (!socket.destroyed && socket.write(Buffer.alloc(65_536, 'x')));
    }
    socket.write('HTTP/1.1 200 OK\r\n\r\n')
    socket.on('drain', more)
    more()
  })
  const url = await serve(t, { '/': 'fine' })
  const hostile = [mute, drip].flatMap((port, index) =>
    Array.from({ length: 3 }, (_, n) => real(`hostile-${index}-${n}`, 'http', { url: `http://127.0.0.1:${port}/` }, { timeoutMs: 200 })),
  )
  const prober = await running(
    t,
    [...hostile, real('flood', 'http', { url: `http://127.0.0.1:${flood}/`, expectBody: 'never there' }), real('well', 'http', { url })],
    4,
  )
  await ran(prober, 'well', 8)
  const all = [...hostile.map(({ name }) => name), 'flood']
  await Promise.all(all.map((name) => (prober.status(name)?.durations.count ? undefined : ran(prober, name, 1))))
  for (const { name } of hostile) {
    const status = prober.status(name)
    assert.deepEqual([status?.state, status?.reason], ['down', 'timeout'], name)
    assert.ok((status?.lastDuration ?? 9) < 3, `${name} took ${status?.lastDuration} s`)
  }
  assert.equal(prober.status('flood')?.state, 'down')
  assert.equal(prober.status('well')?.state, 'up')
  assert.equal(prober.statistics.abandoned, 0, 'every kind ends when it is told to')
  assert.equal(prober.stall(), undefined)
})
