import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'

async function start(...options: string[]): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(process.execPath, ['test/region/main.ts', ...options], { stdio: ['ignore', 'pipe', 'pipe'] })
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  return { code, out, err }
}

test('npm start -- --once shows a project and a database become real, and exits 0', async () => {
  const plane = process.env.SKERRY_CLUSTER === 'real' ? ['--real'] : []
  const { code, out, err } = await start('--once', '--log', '.skerry/test-agent.log', ...plane)
  assert.equal(code, 0, `${out}\n${err}`)
  assert.match(out, /✔ op-0000000001 Succeeded/)
  assert.match(out, /✔ op-0000000003 Succeeded/)
  assert.match(out, /A disk that shrinks is refused/)
  assert.match(out, /harbour +Harbour authority +True/)
  assert.match(out, /tidal-gauge +tidal-gauge +5\.10\.1 +3 .*GREEN/)
})

test('npm start says what it can do, and what it cannot read', async () => {
  assert.match((await start('--help')).out, /--kubeconfig FILE/)
  const wrong = await start('--kubeconfig', '/nowhere', '--once')
  assert.equal(wrong.code, 1)
  assert.match(wrong.err, /\/nowhere/)
  assert.doesNotMatch(wrong.err, /at .*\.ts:/)
  assert.equal((await start('--unknown')).code, 1)
})
