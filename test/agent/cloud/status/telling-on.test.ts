import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TellingOn } from '../../../../agent/cloud/status/telling-on.ts'
import { createLog } from '../../../../shared/log.ts'
import { createFakeClock } from '../../../shared/fake-clock.ts'

/** A replica that leads, and what it tells. */
function replica() {
  const clock = createFakeClock()
  const listeners = new Set<(leads: boolean) => void>()
  let leads = true
  const told: number[] = []
  const pusher = {
    isHeard: true,
    push: async () => {
      told.push(clock.monotonic())
      return 60_000
    },
  }
  const lease = {
    isLeader: () => leads,
    onChange: (listener: (leads: boolean) => void) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
  const ending = new AbortController()
  const tellingOn = new TellingOn({ pusher, lease, clock, ending: ending.signal, log: createLog({ level: 'silent', name: 'test' }) })
  tellingOn.follow()
  const set = (now: boolean) => {
    leads = now
    for (const listener of listeners) listener(now)
  }
  return { clock, pusher, told, ending, tellingOn, set, pass: (minutes: number) => clock.advance(minutes * 60_000) }
}

test('whoever led goes on telling at each heartbeat until it leads again', async () => {
  const { clock, told, tellingOn, set, pass } = replica()
  set(false)
  for (let minute = 0; minute < 3; minute++) await pass(1)
  assert.ok(told.length >= 3, String(told))
  set(true)
  await new Promise<void>((resolve) => tellingOn.end(resolve))
  const before = told.length
  await pass(5)
  assert.equal(told.length, before)
  assert.ok(clock.monotonic() > 0)
})

test('it is silent once the cloud refuses, since only another one can have told something else, and once it ends', async () => {
  const refused = replica()
  refused.set(false)
  await refused.pass(1)
  refused.pusher.isHeard = false
  const before = refused.told.length
  await refused.pass(5)
  assert.equal(refused.told.length, before)

  const ended = replica()
  ended.set(false)
  await ended.pass(1)
  ended.ending.abort()
  const last = ended.told.length
  await ended.pass(5)
  assert.equal(ended.told.length, last)
})

test('one that was never heard tells nothing without the Lease', async () => {
  const { pusher, told, set, pass } = replica()
  pusher.isHeard = false
  set(false)
  await pass(3)
  assert.deepEqual(told, [])
})
