import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CheckKind } from '../../../monitor/checks/kind.ts'
import { createProber } from '../../../monitor/prober/index.ts'
import { type SchedulerFacts, stallOf } from '../../../monitor/prober/stall.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'
import { checkOf, hangs, logLines, scene } from './scene.ts'

const well: SchedulerFacts = {
  now: 100_000,
  first: { name: 'shop', at: 100_500 },
  queued: undefined,
  lastEnd: 99_000,
  shortestMs: 12_000,
  gap: undefined,
}
const cases: { name: string; given: Partial<SchedulerFacts>; want: RegExp | undefined }[] = [
  { name: 'when all is well', given: {}, want: undefined },
  { name: 'without checks, however long', given: { first: undefined, shortestMs: undefined, lastEnd: 0 }, want: undefined },
  { name: 'when a start is a little late', given: { first: { name: 'shop', at: 95_001 } }, want: undefined },
  {
    name: 'when a start is more than five seconds late',
    given: { first: { name: 'shop', at: 94_000 } },
    want: /shop has been due for 6 s/,
  },
  { name: 'when no run has ended for long', given: { lastEnd: 70_000 }, want: /No run of a check has ended for 30 s/ },
  { name: 'when the process has just stood still', given: { gap: { at: 95_000, ms: 8_000 } }, want: /stood still for 8 s/ },
  { name: 'no more some time after it stood still', given: { gap: { at: 84_000, ms: 8_000 } }, want: undefined },
  {
    name: 'when a check waits for a slot',
    given: { queued: { name: 'shop', since: 60_000, intervalMs: 10_000 } },
    want: /shop has waited 40 s/,
  },
  {
    name: 'not when what waits has a long interval',
    given: { queued: { name: 'shop', since: 60_000, intervalMs: 60_000 } },
    want: undefined,
  },
]
for (const { name, given, want } of cases)
  test(`a stall is ${want ? 'told' : 'not told'} ${name}`, () => {
    const found = stallOf({ ...well, ...given })
    if (want === undefined) assert.equal(found, undefined)
    else assert.match(found ?? '', want)
  })

test('a prober that is not started, works, or was stopped has no stall', async (t) => {
  const { prober, clock, start, does } = scene(t)
  does('hung', hangs)
  prober.set([checkOf({ name: 'shop' }), checkOf({ name: 'hung' })])
  await clock.advance(600_000)
  assert.equal(prober.stall(), undefined)
  await start()
  for (let second = 0; second < 120; second++) {
    await clock.advance(1_000)
    assert.equal(prober.stall(), undefined)
  }
  await prober.stop(clock.monotonic())
  await clock.advance(600_000)
  assert.equal(prober.stall(), undefined)
})

test('a process that is stopped for a while tells it, excuses who waited, and recovers', async (t) => {
  const machine = createFakeClock()
  const clock = machine.process()
  const { log, lines } = logLines()
  const kind = {
    check: async () => {
      await machine.sleep(1_000)
      return { state: 'up', detail: 'It answered.' }
    },
  } as unknown as CheckKind
  const prober = createProber({}, { context: {}, clock, log, kindNamed: () => kind })
  t.after(() => prober.stop(clock.monotonic()))
  prober.set([checkOf({ name: 'shop', timeoutMs: 3_000 })])
  await prober.start(new AbortController().signal)
  await machine.advance(30_000)
  const { skipped } = prober.statistics
  clock.pause()
  await machine.advance(60_000)
  assert.match(prober.stall() ?? '', /^The scheduler is stuck: shop has been due for \d+ s/)
  clock.resume()
  await machine.advance(0)
  assert.match(prober.stall() ?? '', /^The process stood still for \d+ s/)
  assert.equal(lines.filter(({ msg }) => msg.includes('stood still')).length, 1)
  await machine.advance(30_000)
  assert.equal(prober.stall(), undefined)
  assert.equal(prober.status('shop')?.state, 'up')
  assert.equal(prober.statistics.runs.down, 0)
  assert.ok(prober.statistics.skipped >= skipped + 5, 'what fell out is not made up for, but counted')
})
