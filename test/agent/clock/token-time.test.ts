import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Measured, TokenTime } from '../../../agent/clock/token-time.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'

const noon = Date.UTC(2026, 0, 31, 12)
const hour = 3_600_000
const behind: Measured = { by: 'cloud', offset: { offsetMs: 3 * hour, uncertaintyMs: 40 } }

test('tokens are judged by the time of the cloud, if ours is wrong', () => {
  const time = new TokenTime(createFakeClock(noon), () => behind)
  assert.equal(time.now(), noon + 3 * hour)
  assert.equal(
    time.told(),
    'it is 2026-01-31T15:00:00Z by the clock of the cloud. The clock of this machine is 3 h behind. Synchronize it: timedatectl set-ntp true',
  )
})

test('a clock that agrees with another one is not worth a word', () => {
  const time = new TokenTime(createFakeClock(noon), () => ({ by: 'API server', offset: { offsetMs: -300, uncertaintyMs: 500 } }))
  assert.equal(time.told(), 'it is 2026-01-31T11:59:59Z.')
})

test('a clock that was compared with no other may be wrong', () => {
  const time = new TokenTime(createFakeClock(noon))
  assert.equal(
    time.told(),
    'it is 2026-01-31T12:00:00Z by the clock of this machine, which was compared with no other. If it is wrong, synchronize it: timedatectl set-ntp true',
  )
})

test('the leeway is a minute and what could not be measured, but no more than ten', () => {
  const leewayAt = (uncertaintyMs: number) =>
    new TokenTime(createFakeClock(noon), () => ({ by: 'cloud', offset: { offsetMs: 0, uncertaintyMs } })).leewayMs()
  assert.deepEqual([0, 500, 3_600_000].map(leewayAt), [60_000, 60_500, 600_000])
  assert.equal(new TokenTime(createFakeClock(noon)).leewayMs(), 60_000)
})

test('while the clock is unset and no other one is known, no token is judged: old ones would be valid', () => {
  assert.throws(() => new TokenTime(createFakeClock(5_000)).now(), {
    type: 'not-ready',
    detail: /^The clock of this machine is not set: it says 1970/,
  })
  const ahead: Measured = { by: 'API server', offset: { offsetMs: noon, uncertaintyMs: 500 } }
  assert.equal(new TokenTime(createFakeClock(5_000), () => ahead).now(), noon + 5_000)
})
