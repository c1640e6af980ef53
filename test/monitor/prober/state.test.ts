import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CheckResult } from '../../../monitor/checks/kind.ts'
import { afterRun, blocked, type Health, longestDoubtMs, newHealth, type Policy, unblocked } from '../../../monitor/prober/state.ts'
import { fc } from '../../shared/property.ts'
import { degraded, down, unheard, up } from './scene.ts'

const policy: Policy = { retries: 2, retryDelayMs: 1_000, recoveryDelayMs: 0 }
const results = { up, degraded, down, unheard }

/** Runs that each took a second, ten seconds apart; the states after each of them. */
function states(runs: (keyof typeof results)[], given: Partial<Policy> = {}, from: Health = newHealth(0)): string[] {
  let health = from
  return runs.map((name, index) => {
    const at = index * 10_000
    const ended = { now: 1_000_000 + at, at: at + 1_000 }
    health = afterRun(health, { result: results[name], startedAt: at, ended }, { ...policy, ...given }).health
    return health.state
  })
}

const cases: { name: string; runs: (keyof typeof results)[]; given?: Partial<Policy>; want: string[] }[] = [
  { name: 'is up after one run', runs: ['up'], want: ['up'] },
  { name: 'is down only when all retries failed', runs: ['up', 'down', 'down', 'down'], want: ['up', 'up', 'up', 'down'] },
  { name: 'is down at once without retries', runs: ['up', 'down'], given: { retries: 0 }, want: ['up', 'down'] },
  { name: 'stays unknown until its first failures are sure', runs: ['down', 'down', 'down'], want: ['unknown', 'unknown', 'down'] },
  {
    name: 'begins to count anew after a run that succeeded',
    runs: ['up', 'down', 'down', 'up', 'down', 'down'],
    want: ['up', 'up', 'up', 'up', 'up', 'up'],
  },
  { name: 'is degraded at once, and up at once after that', runs: ['up', 'degraded', 'up'], want: ['up', 'degraded', 'up'] },
  { name: 'stays degraded while a failure is repeated', runs: ['degraded', 'down'], want: ['degraded', 'degraded'] },
  { name: 'is up at once after it was down, without a recovery delay', runs: ['down', 'up'], given: { retries: 0 }, want: ['down', 'up'] },
  {
    name: 'must be up for the recovery delay after it was down',
    runs: ['down', 'up', 'up', 'up', 'up'],
    given: { retries: 0, recoveryDelayMs: 25_000 },
    want: ['down', 'down', 'down', 'down', 'up'],
  },
  {
    name: 'waits the whole recovery delay again after a failure in between',
    runs: ['down', 'up', 'up', 'down', 'up', 'up', 'up'],
    given: { retries: 0, recoveryDelayMs: 15_000 },
    want: ['down', 'down', 'down', 'down', 'down', 'down', 'up'],
  },
  {
    name: 'is degraded at once after it was down, but that is no recovery',
    runs: ['down', 'degraded', 'up', 'up', 'up'],
    given: { retries: 0, recoveryDelayMs: 15_000 },
    want: ['down', 'degraded', 'degraded', 'degraded', 'up'],
  },
  { name: 'is unknown at once when a run could not know', runs: ['up', 'unheard', 'up'], want: ['up', 'unknown', 'up'] },
  {
    name: 'begins to count its failures anew after a run that could not know',
    runs: ['up', 'down', 'down', 'unheard', 'down', 'down', 'down'],
    want: ['up', 'up', 'up', 'unknown', 'unknown', 'unknown', 'down'],
  },
  {
    name: 'has not recovered while nobody could know',
    runs: ['down', 'unheard', 'up', 'up'],
    given: { retries: 0, recoveryDelayMs: 5_000 },
    want: ['down', 'unknown', 'unknown', 'up'],
  },
]
for (const { name, runs, given, want } of cases) test(`a check ${name}`, () => assert.deepEqual(states(runs, given), want))

const ended = (at: number) => ({ now: at, at })
const run = (result: CheckResult, startedAt: number) => ({ result, startedAt, ended: ended(startedAt + 1_000) })

test('a failed run is wanted again after the retry delay, and no more once it is down', () => {
  const first = afterRun(newHealth(0), run(down, 0), policy)
  assert.equal(first.rerunAt, 2_000)
  assert.equal(first.health.detail, 'Failed 1 of 3 times: It is not ready.')
  const second = afterRun(first.health, run(down, 2_000), policy)
  const third = afterRun(second.health, run(down, 4_000), policy)
  assert.deepEqual([second.rerunAt, third.rerunAt, third.health.state], [4_000, undefined, 'down'])
  assert.deepEqual([third.health.reason, third.health.detail, third.health.since], ['unavailable', 'It is not ready.', 5_000])
})

test('a check that is up again is run when its recovery delay ends', () => {
  const isDown = afterRun(newHealth(0), run(down, 0), { ...policy, retries: 0 }).health
  const { health, rerunAt } = afterRun(isDown, run(up, 10_000), { ...policy, recoveryDelayMs: 5_000 })
  assert.deepEqual([health.state, rerunAt], ['down', 16_000])
  assert.equal(health.detail, 'Up again, but not yet for 5 s: It answered.')
})

test('a check is not called down while what it depends on is in doubt, but not for ever', () => {
  const strict = { ...policy, retries: 0 }
  const held = afterRun(newHealth(0), run(down, 0), strict, 'network')
  assert.deepEqual([held.health.state, held.rerunAt], ['unknown', 2_000])
  assert.match(held.health.detail, /^Failed, and network, on which it depends, may have failed too/)
  assert.equal(afterRun(held.health, run(down, 2_000), strict).health.state, 'down')
  assert.equal(afterRun(held.health, run(down, longestDoubtMs), strict, 'network').health.state, 'down')
})

test('the reason why a run could not know ends with the next run that could', () => {
  const lost = afterRun(newHealth(0), run(unheard, 0), policy)
  assert.deepEqual([lost.health.reason, lost.health.detail, lost.rerunAt], ['monitor_disconnected', 'Nothing is heard.', undefined])
  const failing = afterRun(lost.health, run(down, 10_000), policy)
  assert.deepEqual([failing.health.state, failing.health.reason, failing.rerunAt], ['unknown', undefined, 12_000])
})

test('a check whose dependency is down is unknown whatever it sees, and begins anew when that is back', () => {
  const failing = afterRun(newHealth(0), run(down, 0), policy).health
  const health = blocked(failing, 'network', 7)
  assert.deepEqual([health.state, health.reason, health.detail], ['unknown', 'dependency', 'It depends on network, which is down.'])
  for (const result of [up, degraded, down]) assert.equal(afterRun(health, run(result, 10_000), policy).health, health)
  const free = unblocked(health)
  assert.deepEqual([free.state, free.reason, free.failures], ['unknown', undefined, 0])
  assert.equal(afterRun(free, run(up, 20_000), policy).health.state, 'up')
})

test('the state keeps its promises over any runs', () => {
  const step = fc.record({
    result: fc.constantFrom(up, degraded, down, unheard),
    pause: fc.nat(20_000),
    move: fc.constantFrom('run', 'run', 'run', 'block', 'unblock'),
  })
  const policies = fc.record({ retries: fc.nat(4), retryDelayMs: fc.nat(5_000), recoveryDelayMs: fc.nat(60_000) })
  fc.assert(
    fc.property(policies, fc.array(step, { maxLength: 60 }), (given, steps) => {
      let health = newHealth(0)
      let at = 0
      let failures = 0
      for (const { result, pause, move } of steps) {
        at += pause
        const before = health
        if (move === 'block') health = blocked(health, 'network', at)
        else if (move === 'unblock') health = unblocked(health)
        else {
          const judged = afterRun(health, { result, startedAt: at, ended: ended(at) }, given)
          health = judged.health
          failures = result.state === 'down' && before.blockedBy === undefined ? failures + 1 : 0
          assert.ok(judged.rerunAt === undefined || judged.rerunAt >= at, 'the next run is not in the past')
          assert.ok(judged.rerunAt === undefined || health.state !== 'down' || result.state === 'up', 'what is down has no retries')
        }
        if (move === 'block') failures = 0
        if (health.state === 'down' && before.state !== 'down') assert.ok(failures > given.retries, 'down only after all retries')
        if (health.state === 'up' && before.state !== 'up') assert.equal(result.state, 'up')
        if (health.blockedBy !== undefined) assert.equal(health.state, 'unknown')
        assert.equal(health.since === before.since || health.state !== before.state, true, 'since moves with the state only')
        assert.equal(health.state === 'up' && health.reason !== undefined, false, 'what is up has no reason')
        assert.ok(health.detail.length <= 400)
      }
    }),
    { numRuns: 300 },
  )
})
