import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'

const run = promisify(execFile)

const folder = import.meta.dirname
const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
const own = 'package.test.ts' // it quotes the imports that it looks for
const files = globSync('**/*.ts', { cwd: folder, exclude: (path) => path === own || path === 'node_modules' })

/** The forbidden imports of a file's text: from outside the folder, or of a package that the manifest does not declare. */
function strangers(path: string, text: string): string[] {
  const imported = [...text.matchAll(/\b(?:from|import|import\(|new URL\()\s*'([^']+)'/g)].map(([, specifier = '']) => specifier)
  const declared = Object.keys({ ...manifest.dependencies, ...(isForTests(path) && manifest.devDependencies) })
  return imported.filter((specifier) => {
    if (specifier.startsWith('node:') || URL.canParse(specifier)) return false
    if (specifier.startsWith('.')) return relative(folder, join(folder, dirname(path), specifier)).startsWith('..')
    return !declared.some((name) => specifier === name || specifier.startsWith(`${name}/`))
  })
}

const isForTests = (path: string) => path.endsWith('.test.ts') || path.endsWith('property.ts')

test('the package imports nothing but its own files, Node, and the dependencies that it declares', () => {
  assert.ok(files.includes('embedded/server.ts') && files.includes('stand-ins/crate-operator/index.ts'))
  const found = files.flatMap((path) => strangers(path, readFileSync(join(folder, path), 'utf8')).map((what) => `${path}: ${what}`))
  assert.deepEqual(found, [])
})

const imports = [
  { text: "import { Problem } from '../../shared/errors.ts'", path: 'start.ts', found: ['../../shared/errors.ts'] },
  { text: "const { given } = await import('../../region/given.ts')", path: 'real/index.ts', found: ['../../region/given.ts'] },
  {
    text: "new URL('../../deploy/crds/projects.yaml', import.meta.url)",
    path: 'crds/index.ts',
    found: ['../../deploy/crds/projects.yaml'],
  },
  { text: "import pino from 'pino'", path: 'start.ts', found: ['pino'] },
  { text: "import fc from 'fast-check'", path: 'start.ts', found: ['fast-check'] },
  { text: "import fc from 'fast-check'", path: 'start.test.ts', found: [] },
  { text: "import { parse } from 'yaml'\nimport '../start.ts'\nimport { test } from 'node:test'", path: 'real/index.ts', found: [] },
]
for (const { text, path, found } of imports) {
  test(`in ${path}, the imports of ${JSON.stringify(text)} that do not belong there are ${found.join(', ') || 'none'}`, () => {
    assert.deepEqual(strangers(path, text), found)
  })
}

test('what the package exports exists, and its dependencies are used', () => {
  for (const target of Object.values<string>(manifest.exports)) assert.ok(globSync(target, { cwd: folder }).length > 0, target)
  const texts = files.map((path) => readFileSync(join(folder, path), 'utf8'))
  for (const name of Object.keys({ ...manifest.dependencies, ...manifest.devDependencies }))
    assert.ok(
      texts.some((text) => text.includes(`from '${name}`)),
      name,
    )
})

const examples = [...readFileSync(join(folder, 'README.md'), 'utf8').matchAll(/```ts\n(.*?)```/gs)].map(([, code = '']) => code)
test('the examples of the README run', async () => {
  assert.equal(examples.length, 2)
  const runs = examples.map((code) =>
    run(process.execPath, ['--input-type=module-typescript', '--eval', code], { cwd: folder, timeout: 30_000 }),
  )
  for (const { stderr } of await Promise.all(runs)) assert.equal(stderr, '')
})
