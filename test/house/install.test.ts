import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'

// The scripts run on the Node that npm ci installs, so that the version of Node that runs npm does not matter, and npm does not warn of it.

const folder = mkdtempSync(path.join(tmpdir(), 'skerry-install-'))
after(() => rmSync(folder, { recursive: true }))
for (const file of ['package-lock.json', 'test/cluster/package.json', '.npmrc']) cpSync(file, path.join(folder, file))
const ours = JSON.parse(readFileSync('package.json', 'utf8'))
writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ ...ours, engines: { node: '>=99' } }))

function npmCi(...options: string[]): string {
  const words = ['ci', '--dry-run', '--offline', '--ignore-scripts', '--no-audit', ...options]
  const { status, stderr } = spawnSync('npm', words, { cwd: folder, encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  return stderr
}

test('npm ci with a Node that the programs themselves do not run on says nothing that looks like a failure', () => {
  assert.match(npmCi('--loglevel=warn'), /EBADENGINE[\s\S]*'>=99'/)
  assert.equal(npmCi(), '')
})
