import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { cures } from '../../../agent/region/obstacles/cures.ts'
import type { CureKind } from '../../../agent/resources/cure.ts'

const table = 'agent/region/obstacles/cures.ts'
const entries = Object.entries(cures).flatMap(([code, kinds]) =>
  Object.entries(kinds).map(([name, kind]) => ({ name: `${code}.${name}`, ...(kind as unknown as CureKind) })),
)
const commands = entries.flatMap(({ name, command }) => (command === undefined ? [] : [{ name, command }]))

test('a command is alone in its field: one line that begins with a program, without gaps for a person to fill', () => {
  for (const { name, command } of commands) {
    assert.match(command, /^(kubectl|curl) /, name)
    assert.doesNotMatch(command, /\n|…|\.\.\.|[;|]|&&|\b[A-Z]{2,}=[A-Z]/, name)
  }
})

test('what a command takes from variables is named in its effect', () => {
  for (const { name, effect, command = '' } of entries)
    for (const [variable] of command.matchAll(/\$\w+/g)) assert.ok(effect.includes(variable), `${name} does not say what ${variable} is`)
})

test('what destroys says what is lost, and nothing else says so', () => {
  for (const { name, does, effect } of entries) assert.equal(effect.includes('This loses '), does === 'destroys', name)
})

test('no command deletes a database, a namespace, a claim or a volume, or takes all finalizers off', () => {
  for (const { name, command } of commands) {
    assert.doesNotMatch(command, /delete (cratedb|namespace|ns|pvc|pv|persistentvolume\w*|project|crd|customresourcedefinition\w*) /, name)
    assert.doesNotMatch(command, /"finalizers":(null|\[\])/, name)
    assert.doesNotMatch(command, /retainVolumes=false|--all(?!-)/, name)
  }
})

test('commands that look have no verb that writes, and those that write none that only looks', () => {
  for (const { name, does, command } of entries) {
    if (command === undefined) assert.equal(does, 'advises', name)
    else assert.equal(/^kubectl .*\b(get|describe|logs)\b/.test(command), does === 'looks', name)
  }
})

test('what is proposed about an obstacle, or said in a condition, stands in the table and nowhere else', async () => {
  const files = globSync(['agent/region/**/*.ts', 'agent/controllers/*.ts', 'agent/operations/**/*.ts', 'shared/errors.ts'])
  assert.ok(files.includes(table))
  for (const file of files.filter((each) => each !== table)) {
    const code = (await readFile(file, 'utf8')).replace(/^\s*(\/\/|\/?\*).*$/gm, '')
    assert.doesNotMatch(code, /\b(kubectl|curl|helm) /, file)
  }
})

test('the documentation has every code', async () => {
  const page = await readFile('docs/what-stands-in-the-way.md', 'utf8')
  assert.deepEqual(
    Object.keys(cures).filter((code) => !page.includes(`\`${code}\``)),
    [],
  )
})
