import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createClocks } from '../../../agent/clock/index.ts'
import type { Offset } from '../../../shared/clock-offset.ts'
import { Problem } from '../../../shared/errors.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import type { Occasion } from '../../../shared/kubernetes/event-recorder.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'
import { createKeptLog } from '../api/harbour.ts'

/** A cluster whose Leases may not be read. */
const closed: Cluster = {
  server: new URL('https://127.0.0.1:1'),
  request: async () => {
    throw new Problem('cluster-forbidden', 'leases is forbidden')
  },
  async *watch() {},
  close() {},
}

function clocksWith(offsets: { cloud?: Offset; apiServer?: Offset }) {
  const clock = createFakeClock()
  const recorded: Occasion[] = []
  const clocks = createClocks(
    {
      cloud: { offset: () => offsets.cloud },
      apiServer: { offset: () => offsets.apiServer },
      pod: { name: 'skerry-agent-0', namespace: 'skerry' },
      recorder: { record: (occasion) => void recorded.push(occasion) },
    },
    { cluster: closed, clock, log: createKeptLog().log },
  )
  return { clock, clocks, recorded }
}

test('what must not happen early goes by the earliest clock that is known: a cloud of the year 2099 makes nobody throw things away', () => {
  const cloud = { offsetMs: 73 * 31_557_600_000, uncertaintyMs: 40 }
  const apiServer = { offsetMs: -700, uncertaintyMs: 20 }
  for (const [offsets, aheadMs] of [
    [{ cloud, apiServer }, -700],
    [{ cloud }, 0],
    [{ cloud: { offsetMs: -10_800_000, uncertaintyMs: 40 }, apiServer }, -10_800_000],
    [{}, 0],
  ] as const) {
    const { clock, clocks } = clocksWith(offsets)
    assert.equal(clocks.careful.now(), clock.now() + aheadMs)
    assert.equal(clocks.careful.monotonic(), clock.monotonic())
  }
})

test('what is shown stays as it is while an estimate moves by milliseconds, and follows a clock that is set', () => {
  const offsets = { cloud: { offsetMs: 12, uncertaintyMs: 40 } }
  const { clocks } = clocksWith(offsets)
  assert.deepEqual(clocks.shown().cloud, { offsetMs: 12, uncertaintyMs: 40 })
  offsets.cloud = { offsetMs: -60, uncertaintyMs: 25 }
  assert.deepEqual(clocks.shown().cloud, { offsetMs: 12, uncertaintyMs: 40 })
  assert.deepEqual(clocks.read().cloud, { offsetMs: -60, uncertaintyMs: 25 })
  offsets.cloud = { offsetMs: 3_600_000, uncertaintyMs: 25 }
  assert.deepEqual(clocks.shown().cloud, { offsetMs: 3_600_000, uncertaintyMs: 25 })
})

test('an agent that may not read the Leases starts all the same, and tells that its clock was set', async (t) => {
  const { clock, clocks, recorded } = clocksWith({})
  await clocks.start(AbortSignal.timeout(10_000))
  t.after(() => clocks.stop(0))
  clock.jump(-7_200_000)
  await clock.advance(1_000)
  assert.deepEqual([clocks.read().nodes.size, clocks.read().steps, clocks.read().lastStep?.byMs], [0, 1, -7_200_000])
  assert.deepEqual(
    recorded.map(({ about, type, reason, message }) => [about.kind, about.metadata.name, type, reason, message]),
    [['Pod', 'skerry-agent-0', 'Warning', 'ClockStepped', 'The clock was set back by 2 h. Times that were written before that are late.']],
  )
})
