import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isAlarm } from '../../../../agent/cloud/status/alarm.ts'

const before = {
  id: 'harbour-1',
  leader: { state: 'leads', holder: 'a' },
  ledger: { last: 7 },
  hosts: [{ hostname: 'node-1', ready: true, os: 'Debian 12' }],
  databaseStates: { 'tides/main': { health: 'GREEN' } },
  capacity: { requested: { cpu: 1 } },
  link: { budget: { usedPercent: 10 } },
  parts: { hosts: { observedAt: '2026-01-01T00:00:00Z' } },
}
type Status = typeof before

const cases: { name: string; now: object; is: boolean }[] = [
  { name: 'an operation that was accepted', now: { ledger: { last: 8 } }, is: true },
  { name: 'a host that is no longer ready', now: { hosts: [{ hostname: 'node-1', ready: false, os: 'Debian 12' }] }, is: true },
  { name: 'a host that is gone', now: { hosts: [] }, is: true },
  { name: 'a database whose health has changed', now: { databaseStates: { 'tides/main': { health: 'RED' } } }, is: true },
  { name: 'a region without a leader', now: { leader: { state: 'nobody' } }, is: true },
  { name: 'a broken watch', now: { parts: { hosts: { observedAt: 'x', stale: { since: 'x', reason: 'gone' } } } }, is: true },
  { name: 'another capacity', now: { capacity: { requested: { cpu: 2 } } }, is: false },
  { name: 'another operating system', now: { hosts: [{ hostname: 'node-1', ready: true, os: 'Debian 13' }] }, is: false },
  { name: 'the age of a part', now: { parts: { hosts: { observedAt: '2026-01-01T00:01:00Z' } } }, is: false },
  { name: 'more of the budget', now: { link: { budget: { usedPercent: 20 } } }, is: false },
]
for (const { name, now, is } of cases) {
  test(`${name} is ${is ? 'an' : 'no'} alarm`, () => assert.equal(isAlarm(before, { ...before, ...now } as Status), is))
}
