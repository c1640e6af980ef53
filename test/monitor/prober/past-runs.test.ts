import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keptRuns, PastRuns } from '../../../monitor/prober/past-runs.ts'
import { checkOf, down, scene, up } from './scene.ts'

test('the last 20 runs are remembered, the oldest first', () => {
  const past = new PastRuns()
  assert.deepEqual([...past], [])
  assert.equal(past.heardAt, undefined)
  for (let count = 1; count <= 27; count++)
    past.add({ at: count, state: count % 5 === 0 ? 'down' : 'up', seconds: count / 10, reason: undefined, detail: `run ${count}` }, count)
  const runs = [...past]
  assert.equal(runs.length, keptRuns)
  assert.deepEqual(runs[0], { at: 8, state: 'up', seconds: 0.8, reason: undefined, detail: 'run 8' })
  assert.deepEqual(runs.at(-1), { at: 27, state: 'up', seconds: 2.7, reason: undefined, detail: 'run 27' })
  assert.deepEqual(
    [...past.states()],
    runs.map(({ state }) => state),
  )
  assert.equal(past.heardAt, 27)
})

test('the runs of a check are those that ended, as each saw it, and a failed one is logged at debug level', async (t) => {
  const { prober, clock, does, start, settle, lines } = scene(t)
  does('a', up)
  prober.set([checkOf({ name: 'a', retries: 3, retryDelayMs: 60_000 })])
  await start()
  await clock.advance(10_000)
  await settle()
  does('a', down)
  await clock.advance(10_000)
  await settle()
  const status = prober.status('a')
  assert.equal(status?.state, 'up', 'it is down only after its retries')
  const states = [...(status?.past.states() ?? [])]
  assert.equal(states.at(-1), 'down')
  assert.equal(states[0], 'up')
  assert.deepEqual(
    lines.filter(({ msg }) => msg === 'run failed').map(({ level, check, reason, detail }) => ({ level, check, reason, detail })),
    [{ level: 'debug', check: 'a', reason: down.reason, detail: down.detail }],
  )
})

test('a text of any length is cut, and equal texts are one', () => {
  const past = new PastRuns()
  past.add({ at: 0, state: 'down', seconds: 0, reason: 'error', detail: 'x'.repeat(100_000) }, 0)
  assert.equal([...past][0]?.detail.length, 200)
})
