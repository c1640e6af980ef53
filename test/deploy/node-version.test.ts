import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'

// What package.json asks for is also in the build, and in the installer, which runs the bundle only with such a Node.

const engine = /^>=(\d+)\.(\d+)$/.exec(JSON.parse(readFileSync('package.json', 'utf8')).engines.node)
const [major, minor] = [Number(engine?.[1]), Number(engine?.[2])]

const folder = mkdtempSync(path.join(tmpdir(), 'skerry-node-'))
after(() => rmSync(folder, { recursive: true, force: true }))
writeFileSync(path.join(folder, 'pretend.cjs'), "Object.defineProperty(process, 'versions', { value: { node: process.env.PRETENDED } })")
writeFileSync(path.join(folder, 'node'), `#!/bin/sh\nexec '${process.execPath}' --require '${folder}/pretend.cjs' "$@"\n`)
chmodSync(path.join(folder, 'node'), 0o755)

for (const [version, runs] of [
  [`${major}.${minor}.0`, true],
  [`${major}.${minor - 1}.9`, false],
  [`${major + 1}.0.0`, true],
  [`${major - 1}.${minor + 1}.0`, false],
] as const)
  test(`the installer ${runs ? 'runs' : 'does not run'} the bundle with Node ${version}`, () => {
    const env = { PATH: `${folder}:${process.env.PATH}`, PRETENDED: version }
    const { status, stderr } = spawnSync('sh', ['-c', '. deploy/bootstrap/preflight.sh && runs_bundle'], { env, encoding: 'utf8' })
    assert.deepEqual([status, stderr], [runs ? 0 : 1, ''])
  })

test('the bundle is built for that Node, and the installer names it', () => {
  assert.ok(readFileSync('deploy/build.ts', 'utf8').includes(`target: 'node${major}.${minor}'`))
  assert.ok(readFileSync('deploy/bootstrap/preflight.sh', 'utf8').includes(`Without Node ${major}.${minor} and agent.mjs`))
})
