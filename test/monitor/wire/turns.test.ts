import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inTurns } from '../../../monitor/wire/turns.ts'

function* short(): Generator<void, string> {
  yield
  return 'done'
}

test('what is done between two short computations counts as well, so that thousands of them do not hold the event loop', async (t) => {
  let now = 0
  t.mock.method(performance, 'now', () => now)
  let hasTurned = false
  setImmediate(() => {
    hasTurned = true
  })
  assert.equal(await inTurns(short()), 'done')
  assert.equal(hasTurned, false, 'a short computation ends in the first turn')
  now += 12
  assert.equal(await inTurns(short()), 'done')
  assert.equal(hasTurned, true)
})
