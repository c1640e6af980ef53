import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'

// deploy/audit.ts against registries of our own.

async function listen(t: TestContext, answer: RequestListener): Promise<string> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

/** npm keeps what it concludes from an advisory: each test has a cache of its own. */
function audit(t: TestContext, registry: string): Promise<{ code: number; stdout: string; stderr: string }> {
  const cache = mkdtempSync(path.join(tmpdir(), 'skerry-audit-'))
  t.after(() => rmSync(cache, { recursive: true, force: true }))
  const env = { ...process.env, npm_config_registry: registry, npm_config_cache: cache, NO_PROXY: '127.0.0.1' }
  return new Promise((resolve) =>
    execFile(process.execPath, ['deploy/audit.ts'], { env }, (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    ),
  )
}

/** A registry with these advisories. It knows no packages: npm then takes every version for affected. */
const withAdvisories =
  (advisories: object): RequestListener =>
  (request, response) => {
    if (request.method === 'POST') response.end(JSON.stringify(advisories))
    else response.writeHead(404).end('{}')
  }

const advisory = (severity: string) => ({
  hono: [{ id: 1, url: 'https://example.org/advisory', title: 'Sinks', severity, vulnerable_versions: '>=0', cwe: [], cvss: { score: 0 } }],
})

test('a registry without advisories is said, and does not fail', async (t) => {
  const { code, stdout } = await audit(t, await listen(t, (_, response) => response.writeHead(405).end()))
  assert.match(stdout, /NOT checked.*405/)
  assert.equal(code, 0)
})

test('a registry that cannot be reached is said, and does not fail', async (t) => {
  const { code, stdout } = await audit(t, 'http://127.0.0.1:9/')
  assert.match(stdout, /NOT checked/)
  assert.equal(code, 0)
})

test('no advisory is the count of what was asked about', async (t) => {
  const { code, stdout } = await audit(t, await listen(t, withAdvisories({})))
  assert.match(stdout, /^\d+ production dependencies: 0 with a high or critical advisory, 0 with a lesser one$/m)
  assert.equal(code, 0)
})

test('a high advisory fails, with its address', async (t) => {
  const { code, stderr } = await audit(t, await listen(t, withAdvisories(advisory('high'))))
  assert.match(stderr, /^hono .*: high: Sinks https:\/\/example\.org\/advisory$/m)
  assert.equal(code, 1)
})

test('a moderate advisory is counted, and does not fail', async (t) => {
  const { code, stdout } = await audit(t, await listen(t, withAdvisories(advisory('moderate'))))
  assert.match(stdout, /0 with a high or critical advisory, [1-9]\d* with a lesser one/)
  assert.equal(code, 0)
})
