import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PatientTime } from '../../../agent/clock/index.ts'
import { systemClock } from '../../../shared/clock.ts'

const hour = 60 * 60_000
const start = Date.UTC(2026, 10, 30)

function handledClock() {
  const state = { now: start, monotonic: 1_000 }
  const time = new PatientTime({ ...systemClock, now: () => state.now, monotonic: () => state.monotonic })
  const pass = (ms: number) => {
    state.now += ms
    state.monotonic += ms
  }
  const set = (byMs: number) => {
    state.now += byMs
  }
  return { time, pass, set, state }
}

test('time passes as the clock says', () => {
  const { time, pass } = handledClock()
  assert.equal(time.now(), start)
  pass(100 * hour)
  assert.equal(time.now(), start + 100 * hour)
})

test('a clock that is set forward is not believed for a day, however far', () => {
  const { time, pass, set, state } = handledClock()
  time.now()
  set(365 * 24 * hour)
  assert.equal(time.now(), start)
  pass(23 * hour)
  assert.equal(time.now(), start + 23 * hour)
  pass(hour)
  assert.equal(time.now(), state.now)
})

test('a clock that is put right within the day has never been believed', () => {
  const { time, pass, set } = handledClock()
  time.now()
  set(400 * hour)
  time.now()
  pass(20 * hour)
  set(-400 * hour)
  assert.equal(time.now(), start + 20 * hour)
  set(400 * hour)
  assert.equal(time.now(), start + 20 * hour)
  pass(20 * hour)
  assert.equal(time.now(), start + 40 * hour, 'the day begins again')
})

test('a clock that is set back is believed at once', () => {
  const { time, set } = handledClock()
  time.now()
  set(-3 * hour)
  assert.equal(time.now(), start - 3 * hour)
})

test('the drift that NTP corrects is followed', () => {
  const { time, pass, set } = handledClock()
  time.now()
  for (let day = 0; day < 30; day++) {
    pass(24 * hour)
    set(40_000)
    time.now()
  }
  assert.equal(time.now(), start + 30 * (24 * hour + 40_000))
})
