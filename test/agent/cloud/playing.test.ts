import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { Agent, request } from 'undici'
import { readInstallToken } from '../../../agent/cloud/install-token.ts'

test('npm run cloud serves a cloud that makes tokens, passes npm run check:cloud, and shows what it has heard', async (t) => {
  const cloud = spawn(process.execPath, ['test/cloud/main.ts'], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => cloud.kill('SIGKILL'))
  let out = ''
  await new Promise<void>((resolve) => {
    cloud.stdout.on('data', (chunk) => {
      out += chunk
      if (out.includes('Ctrl-C ends it.')) resolve()
    })
  })
  const [, origin = ''] = /listens at (\S+),/.exec(out) ?? []
  const [, ca = ''] = /Its CA is in (\S+),/.exec(out) ?? []
  const dispatcher = new Agent({ connect: { ca: await readFile(ca, 'utf8') } })
  t.after(() => dispatcher.close())
  const ask = async (method: 'GET' | 'POST', path: string, body: string | null = null) => {
    const answer = await request(`${origin}${path}`, { method, body, dispatcher })
    return answer.body.text()
  }
  const token = await ask('POST', '/tokens', 'harbour-1')
  const { id, pin } = readInstallToken(token) ?? assert.fail(token)
  assert.match(id ?? '', /^[0-9a-f]{32}$/)
  assert.match(pin ?? '', /^[\w-]{43}$/)
  const tokenFile = join(dirname(ca), 'token')
  await writeFile(tokenFile, token)
  const args = ['test/cloud/conformance/main.ts', '--url', origin, '--ca', ca, '--token-file', tokenFile, '--idle', '0']
  const check = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let found = ''
  check.stdout.on('data', (chunk) => {
    found += chunk
  })
  const [code] = await once(check, 'close')
  assert.equal(code, 0, found)
  const { regions } = JSON.parse(await ask('GET', '/heard'))
  const locked = regions.find(({ state }: { state: string }) => state === 'locked')
  assert.equal(locked?.region.id, 'conformance')
  assert.match(await ask('GET', '/'), new RegExp(`<td>${locked.id}</td><td>locked</td>`))
  assert.equal(await ask('POST', `/regions/${locked.id}/unlock`), `${locked.id}: unlock\n`)
  cloud.kill('SIGINT')
  const [ended] = await once(cloud, 'close')
  assert.equal(ended, 0)
})
