import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ClockStep, StepMeter, StepWatch } from '../../shared/clock-steps.ts'
import { createKeptLog } from '../agent/api/harbour.ts'
import { createFakeClock } from './fake-clock.ts'
import { fc } from './property.ts'

test('a clock that NTP slews has no steps, however long that goes on', () => {
  fc.assert(
    fc.property(fc.double({ min: -5e-4, max: 5e-4, noNaN: true }), fc.array(fc.integer({ min: 1, max: 60_000 })), (rate, pauses) => {
      const meter = new StepMeter()
      let monotonic = 0
      for (const pause of pauses) {
        monotonic += pause
        assert.equal(meter.look({ now: 1e12 + monotonic * (1 + rate), monotonic }), undefined)
      }
    }),
  )
})

test('each jump of more than half a second is seen once, with its size', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -1e10, max: 1e10 }), { maxLength: 20 }), (jumps) => {
      const meter = new StepMeter()
      let now = 1e12
      meter.look({ now, monotonic: 0 })
      for (const [index, jump] of jumps.entries()) {
        now += 1_000 + jump
        assert.equal(meter.look({ now, monotonic: 1_000 * (index + 1) }), Math.abs(jump) > 500 ? jump : undefined)
      }
    }),
  )
})

test('a step is logged, counted and told within a second', async (t) => {
  const clock = createFakeClock()
  const { log, lines } = createKeptLog()
  const told: ClockStep[] = []
  const watch = new StepWatch({ clock, log, stepped: (step) => void told.push(step) })
  await watch.start()
  t.after(() => watch.stop())
  await clock.advance(5_000)
  clock.jump(-10_800_000)
  await clock.advance(1_000)
  await clock.advance(60_000)
  assert.equal(watch.count, 1)
  assert.deepEqual(
    told.map(({ byMs }) => byMs),
    [-10_800_000],
  )
  assert.deepEqual(watch.last, told[0])
  assert.equal(lines.filter(({ msg, byMs }) => msg === 'the clock was set' && byMs === -10_800_000).length, 1)
})
