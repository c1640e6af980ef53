import assert from 'node:assert/strict'
import test from 'node:test'
import type { WatchedState } from '../../../monitor/sparkplug/watched-node.ts'
import { watchedStateOf } from '../../../monitor/sparkplug/watched-state.ts'

const heard: WatchedState = {
  liveness: 'alive',
  address: { group: 'harbour', node: 'crane-7' },
  lastSeen: 1_000,
  silentMs: 5,
  isDead: false,
  rebirthRequests: 2,
}

function watching(state: WatchedState) {
  return watchedStateOf({ keys: () => ['site/crane'], state: (key) => (key === 'site/crane' ? state : undefined) })
}

test('a watched node is found by the name of its resource and by its address', () => {
  const found = { state: 'online', lastSeen: 1_000, rebirthRequests: 2 }
  assert.deepEqual(watching(heard)('site/crane'), found)
  assert.deepEqual(watching(heard)('harbour/crane-7'), found)
  assert.equal(watching(heard)('harbour/crane-8'), undefined)
})

const words: [Partial<WatchedState>, string][] = [
  [{ liveness: 'silent' }, 'silent'],
  [{ liveness: 'offline' }, 'offline'],
  [{ liveness: 'unknown', lastSeen: undefined }, 'unseen'],
  [{ liveness: 'unknown' }, 'online'], // heard on the connection before; its interval is not over on this one
  [{ isDead: true }, 'dead'],
]
for (const [given, word] of words)
  test(`a watched node of which ${JSON.stringify(given)} is known is ${word}`, () => {
    const found = watching({ ...heard, ...given })('site/crane')
    assert.equal(typeof found === 'object' && found.state, word)
  })

test('a monitor that is not connected itself blames no node', () => {
  const ask = watching({ ...heard, liveness: 'unknown', silentMs: undefined })
  assert.equal(ask('site/crane'), 'unheard')
  assert.equal(ask('site/pump'), undefined)
})
