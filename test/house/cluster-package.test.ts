import assert from 'node:assert/strict'
import { test } from 'node:test'
import { filesOf, importsOf } from './files.ts'

test('test/cluster is used through its index.ts, as anybody else would use it', () => {
  const outside = filesOf().filter((file) => file.endsWith('.ts') && !file.startsWith('test/cluster/'))
  const targets = outside.flatMap((file) => importsOf(file).map((target) => ({ file, target })))
  const ofCluster = targets.filter(({ target }) => target.startsWith('test/cluster/'))
  assert.ok(ofCluster.length > 50, 'the tests use it')
  assert.deepEqual(
    ofCluster.filter(({ target }) => target !== 'test/cluster/index.ts'),
    [],
  )
})
