import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { root } from './files.ts'

/** A small repository with the settings of this one and the given files under `agent/`; returns what a command of it says. */
function smallRepository(t: TestContext, files: Record<string, string>) {
  const folder = mkdtempSync(path.join(tmpdir(), 'skerry-house-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  for (const name of ['biome.json', 'knip.json', 'tsconfig.json', 'package.json', '.gitignore'])
    cpSync(path.join(root, name), path.join(folder, name))
  symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'))
  mkdirSync(path.join(folder, 'agent'))
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, 'agent', name), text)
  return (program: string, ...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(path.join(root, 'node_modules/.bin', program), args, { cwd: folder, encoding: 'utf8' })
    return { status, said: `${stdout}${stderr}` }
  }
}

const faults = [
  {
    name: 'a circle of imports, of types too',
    rule: 'noImportCycles',
    files: {
      'main.ts': "import type { Mate } from './mate.ts'\n\nexport type Main = { mate: Mate }\n",
      'mate.ts': "import type { Main } from './main.ts'\n\nexport type Mate = { main: Main }\n",
    },
  },
  {
    name: 'a promise that nobody awaits',
    rule: 'noFloatingPromises',
    files: { 'main.ts': 'async function sail(): Promise<void> {}\n\nsail()\n' },
  },
  {
    name: 'a switch that forgets a case',
    rule: 'useExhaustiveSwitchCases',
    files: {
      'main.ts':
        "type Tide = 'high' | 'low'\n\nexport function wait(tide: Tide): number {\n  switch (tide) {\n    case 'high':\n      return 1\n  }\n  return 0\n}\n",
    },
  },
  {
    name: 'an import that takes all of zod into a bundle',
    rule: 'noRestrictedImports',
    files: { 'main.ts': "import { z } from 'zod'\n\nexport const name = z.string()\n" },
  },
  {
    name: 'a function that does not fit on a screen',
    rule: 'noExcessiveLinesPerFunction',
    files: { 'main.ts': `export function log(): void {\n${"  console.log('')\n".repeat(81)}}\n` },
  },
]

for (const { name, rule, files } of faults) {
  test(`npm run check finds ${name}`, (t) => {
    const { status, said } = smallRepository(t, files)('biome', 'check', '.')
    assert.notEqual(status, 0)
    assert.match(said, new RegExp(rule))
  })
}

test('npm run check finds an export that nobody imports', (t) => {
  const run = smallRepository(t, {
    'main.ts': "import { used } from './mate.ts'\n\nused()\n",
    'mate.ts': 'export function used(): void {}\n\nexport function forgotten(): void {}\n',
  })
  const { status, said } = run('knip', '--include', 'exports')
  assert.notEqual(status, 0)
  assert.match(said, /forgotten/)
  assert.doesNotMatch(said, /used +function/)
})
