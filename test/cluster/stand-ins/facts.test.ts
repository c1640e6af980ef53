import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const folder = fileURLToPath(new URL('.', import.meta.url))

for (const { about, page } of [
  { about: 'the operator', page: 'crate-operator/facts.md' },
  { about: 'CrateDB', page: 'cratedb-facts.md' },
])
  test(`each fact of ${about} names its source, and a test that holds the stand-in to it`, () => {
    const rows = readFileSync(folder + page, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('| ') && !line.startsWith('| fact'))
      .map((line) => line.split('|').map((cell) => cell.trim()))
    assert.ok(rows.length >= 6)
    const tests = globSync('*.test.ts', { cwd: folder }).map((name) => readFileSync(folder + name, 'utf8'))
    for (const [, fact, source = '', held = ''] of rows) {
      assert.match(source, /\.(py|go|java|rst|toml|xml)/, fact)
      assert.ok(held.length > 10 && tests.some((text) => text.includes(held)), `no test holds: ${fact}`)
    }
  })
