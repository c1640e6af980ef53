import assert from 'node:assert/strict'
import { test } from 'node:test'
import { recorded } from '../bench/recorded.ts'

test('docs/performance.md shows the table of the last recorded run', async () => {
  const { expected, found } = await recorded()
  assert.equal(found, expected, 'npm run bench -- --record writes both')
})
