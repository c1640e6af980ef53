import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type AgedSource, agesOf } from '../../../agent/region/age.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'

test('a fact is as old as the oldest of its sources, stale if one of them is broken, and absent while one was never heard of', async () => {
  const clock = createFakeClock(Date.UTC(2026, 0, 31, 12, 0, 30))
  const heard = (trouble?: string): AgedSource => ({ heardAt: clock.monotonic(), trouble })
  const [nodes, broken, never] = [heard(), heard('the watch is broken'), { heardAt: undefined, trouble: 'forbidden' }]
  await clock.advance(300_000)
  const classes = heard()
  const since = '2026-01-31T12:00:00Z'
  assert.deepEqual(
    agesOf({ hosts: [nodes], classes: [classes], both: [classes, nodes], broken: [classes, broken], never: [classes, never] }, clock),
    {
      hosts: { observedAt: since },
      classes: { observedAt: '2026-01-31T12:05:00Z' },
      both: { observedAt: since },
      broken: { observedAt: since, stale: { since, reason: 'the watch is broken' } },
    },
  )
  // Somebody sets the clock of the machine: how long ago it was stays the same.
  clock.jump(-3_600_000)
  assert.deepEqual(agesOf({ hosts: [nodes] }, clock), { hosts: { observedAt: '2026-01-31T11:00:00Z' } })
})
