import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DateClock } from '../../shared/clock-offset.ts'
import { createFakeClock } from './fake-clock.ts'
import { fc } from './property.ts'

/** An exchange: a pause before it, the way there and the way back, in milliseconds. */
const exchange = fc.record({
  pause: fc.integer({ min: 0, max: 20_000 }),
  there: fc.integer({ max: 400, min: 0 }),
  back: fc.integer({ max: 400, min: 0 }),
})
const aheadMs = fc.integer({ min: -40 * 365 * 86_400_000, max: 40 * 365 * 86_400_000 })

/** A server whose clock is so far ahead; it writes its time when the request arrives. */
function serverAhead(clock: ReturnType<typeof createFakeClock>, dates: DateClock) {
  return async (ahead: number, { pause, there, back }: { pause: number; there: number; back: number }) => {
    await clock.advance(pause)
    const sentAt = clock.monotonic()
    await clock.advance(there)
    const date = new Date(clock.now() + ahead).toUTCString()
    await clock.advance(back)
    dates.heard(date, sentAt)
  }
}

test('the offset of a server is never further from the truth than its uncertainty, whatever the ways take', async () => {
  await fc.assert(
    fc.asyncProperty(aheadMs, fc.array(exchange, { minLength: 1, maxLength: 20 }), async (ahead, exchanges) => {
      const clock = createFakeClock()
      const dates = new DateClock(clock)
      const ask = serverAhead(clock, dates)
      for (const each of exchanges) {
        await ask(ahead, each)
        const { offsetMs, uncertaintyMs } = dates.offset() as { offsetMs: number; uncertaintyMs: number }
        assert.ok(Math.abs(offsetMs - ahead) <= uncertaintyMs + 1, `${offsetMs} ± ${uncertaintyMs} is not ${ahead}`)
      }
    }),
  )
})

test('two answers a second apart by a bit tell more than the second', async () => {
  const clock = createFakeClock(Date.UTC(2026, 0, 1) + 990)
  const dates = new DateClock(clock)
  const ask = serverAhead(clock, dates)
  await ask(0, { pause: 0, there: 2, back: 2 })
  assert.deepEqual(dates.offset(), { offsetMs: -492, uncertaintyMs: 502 }, 'one answer: half a second either way')
  await ask(0, { pause: 10, there: 2, back: 2 })
  const { offsetMs, uncertaintyMs } = dates.offset() as { offsetMs: number; uncertaintyMs: number }
  assert.ok(Math.abs(offsetMs) <= 10 && uncertaintyMs <= 12, `${offsetMs} ± ${uncertaintyMs}`)
})

test('a server whose clock was set is believed at its next answer', async () => {
  const clock = createFakeClock()
  const dates = new DateClock(clock)
  const ask = serverAhead(clock, dates)
  for (let i = 0; i < 5; i++) await ask(0, { pause: 300, there: 5, back: 5 })
  await ask(-10_800_000, { pause: 300, there: 5, back: 5 })
  assert.ok(Math.abs((dates.offset()?.offsetMs ?? 0) + 10_800_000) <= 520)
})

test('the offset changes at the moment at which our own clock is set, before anybody has answered', async () => {
  const clock = createFakeClock()
  const dates = new DateClock(clock)
  await serverAhead(clock, dates)(500, { pause: 0, there: 1, back: 1 })
  const before = dates.offset()?.offsetMs ?? 0
  clock.jump(-3_600_000)
  assert.equal(dates.offset()?.offsetMs, before + 3_600_000)
})

test('a header that is missing or no date says nothing', () => {
  const dates = new DateClock(createFakeClock())
  dates.heard(undefined, 0)
  dates.heard('yesterday', 0)
  assert.equal(dates.offset(), undefined)
})
