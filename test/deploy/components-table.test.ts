import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { readComponents } from './bootstrap.ts'
import { componentsTable, installingPage } from './components-table.ts'

test('the page on installing has the components as they are brought', async () => {
  const { path, text } = await installingPage()
  assert.equal(await readFile(path, 'utf8'), text, 'rewrite it with: npm run render')
})

test('the table has a line for each component, and no cell breaks it', async () => {
  const components = await readComponents()
  const lines = componentsTable(components).trimEnd().split('\n')
  assert.equal(lines.length, components.length + 2)
  for (const line of lines) assert.equal(line.split('|').length, 8, line)
})

test('each component says why it is there, and a usual one when it was checked', async () => {
  for (const { name, why, role, checked } of await readComponents()) {
    assert.ok(why, name)
    if (role === 'usual') assert.match(checked ?? '', /^\d{4}-\d\d-\d\d: /, name)
  }
})
