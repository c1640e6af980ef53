import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { Agent, request } from 'undici'
import { readInstallToken } from '../../../agent/cloud/install-token.ts'
import { points } from '../../cloud/points.ts'
import { serveCloud } from '../../cloud/serve.ts'

test('npm run cloud serves a cloud that makes tokens, passes npm run check:cloud, and shows what it has heard', async (t) => {
  const cloud = spawn(process.execPath, ['test/cloud/main.ts'], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => cloud.kill('SIGKILL'))
  let out = ''
  await new Promise<void>((resolve, reject) => {
    cloud.stdout.on('data', (chunk) => {
      out += chunk
      if (out.includes('Ctrl-C ends it.')) resolve()
    })
    cloud.once('close', (code) => reject(new Error(`npm run cloud ended with ${code}: ${out}`)))
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

test('npm run check:cloud prints a line for each point, and waits for somebody to type a code if it has no token', async (t) => {
  const served = await serveCloud()
  await served.cloud.publish({ anchors: [served.ca] })
  const folder = await mkdtemp(join(tmpdir(), 'skerry-conformance-'))
  t.after(async () => {
    await served.close()
    await rm(folder, { recursive: true })
  })
  await writeFile(join(folder, 'ca.pem'), served.ca)
  await writeFile(join(folder, 'cloud.pem'), served.cloud.key)
  const args = ['--url', served.origin, '--ca', join(folder, 'ca.pem'), '--key', join(folder, 'cloud.pem'), '--idle', '1']
  const run = execFile(process.execPath, ['test/cloud/conformance/main.ts', ...args])
  let out = ''
  run.stdout?.on('data', (chunk) => {
    out += chunk
    const [, code] = /^Type the pairing code (\S+) at/m.exec(out) ?? []
    const isWaiting = Object.values(served.cloud.registry.records.regions).every(({ state }) => state === 'awaiting')
    if (code !== undefined && isWaiting) served.cloud.registry.typed(code)
  })
  const code = await new Promise((resolve) => run.once('close', resolve))
  assert.equal(code, 0, out)
  for (const point of points) assert.match(out, new RegExp(`^(pass|not tried) +${point}\\. \\S`, 'm'))
  assert.match(out, /^\d+ pass, 0 fail, \d+ not tried$/m)
})

test('npm run check:cloud says what it needs, and ends with 2', async () => {
  const ended = await new Promise<{ code: number | null; err: string }>((resolve) => {
    const run = execFile(process.execPath, ['test/cloud/conformance/main.ts', '--url', 'http://cloud.example.org'], (_error, _out, err) =>
      resolve({ code: run.exitCode, err }),
    )
  })
  assert.equal(ended.code, 2)
  assert.match(ended.err, /--url is needed: https:/)
})
