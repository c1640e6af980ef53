import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inTurns } from '../../../monitor/wire/turns.ts'

function* short(): Generator<void, string> {
  yield
  return 'done'
}

test('what is done between two short computations counts as well, so that thousands of them do not hold the event loop', async () => {
  let hasTurned = false
  setImmediate(() => {
    hasTurned = true
  })
  assert.equal(await inTurns(short()), 'done')
  assert.equal(hasTurned, false, 'a short computation ends in the first turn')
  const until = performance.now() + 12
  while (performance.now() < until);
  assert.equal(await inTurns(short()), 'done')
  assert.equal(hasTurned, true)
})
