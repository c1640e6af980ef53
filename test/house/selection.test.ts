import assert from 'node:assert/strict'
import { test } from 'node:test'
import { longOnEmbedded, longOnReal, onReal } from '../selection.ts'
import { filesOf } from './files.ts'

test('each test file runs in one of the commands', () => {
  const selected = new Set([...onReal, ...longOnEmbedded])
  const forgotten = filesOf().filter((file) => {
    if (!file.endsWith('.test.ts') || /^test\/(faults|pods)\//.test(file)) return false // these run whole folders
    return /\.(real|long)\.test\.ts$/.test(file)
      ? !selected.has(file)
      : !/^test\/(agent|cluster|deploy|house|monitor|region|shared|words)\//.test(file)
  })
  assert.deepEqual(forgotten, [])
})

test('what takes long runs on one of the control planes', () => {
  const files = filesOf()
  for (const file of longOnReal) assert.ok(files.includes(file), `${file} is not there`)
  assert.deepEqual(
    longOnEmbedded.filter((file) => onReal.includes(file)),
    [],
  )
})
