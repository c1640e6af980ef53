import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { createConfig, lintFromString } from '@redocly/openapi-core'
import spectral, { type RulesetDefinition } from '@stoplight/spectral-core'
import rulesets from '@stoplight/spectral-rulesets'
import { startCluster, startStandIns, until } from '../../../cluster/index.ts'
import { regionDefinitions } from '../../../region/definitions.ts'
import { prepareRegion } from '../../../region/index.ts'

const run = promisify(execFile)
const here = import.meta.dirname

function unescapeHtml(text: string): string {
  return text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&quot;', '"').replaceAll('&amp;', '&')
}

/** A new folder from which the packages of this workspace are found. */
async function newFolder(prefix: string): Promise<string> {
  const cache = path.resolve('node_modules/.cache')
  await mkdir(cache, { recursive: true })
  return mkdtemp(path.join(cache, prefix))
}

/** The generated client and its types. */
async function writeClient(document: string): Promise<string> {
  const folder = await newFolder('openapi-client-')
  for (const file of ['main.ts', 'tsconfig.json']) await copyFile(path.join(here, 'client', file), path.join(folder, file))
  await writeFile(path.join(folder, 'openapi.json'), document)
  const generator = path.join(here, 'node_modules/.bin/openapi-typescript')
  await run(process.execPath, [generator, path.join(folder, 'openapi.json'), '--output', path.join(folder, 'schema.d.ts')])
  return folder
}

test("the agent's OpenAPI document is one that other people's tools work with", { timeout: 240_000 }, async (t) => {
  const cluster = await startCluster({ crds: regionDefinitions() })
  t.after(() => cluster.stop())
  const region = await prepareRegion(cluster)
  t.after(() => region.close())
  const standIns = await startStandIns(cluster)
  t.after(() => standIns.stop())
  const agent = await region.startAgent()
  const caFile = path.join(await newFolder('openapi-ca-'), 'ca.pem')
  t.after(() => rm(path.dirname(caFile), { recursive: true, force: true }))
  await writeFile(caFile, region.ca)
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: caFile, AGENT_URL: agent.url, AGENT_TOKEN: region.token }
  const get = `process.stdout.write(await (await fetch(process.env.AGENT_URL + '/openapi.json')).text())`
  const { stdout: document } = await run(process.execPath, ['--input-type=module', '--eval', get], { env, maxBuffer: 8 << 20 })

  await t.test('each curl line of /docs runs as it stands', async () => {
    const page = await run('curl', ['--silent', '--fail', '--cacert', caFile, '--location', agent.url])
    const lines = [...page.stdout.matchAll(/<figcaption>Request<\/figcaption><pre tabindex="0">([^<]+)<\/pre>/g)].map(([, text = '']) =>
      unescapeHtml(text),
    )
    assert.ok(lines.length > 20, `${lines.length} lines`)
    const cwd = path.dirname(caFile)
    const exported = ['--silent', '--fail', '--cacert', caFile, '--header', `Authorization: Bearer ${region.token}`]
    await run('curl', [...exported, '--output', path.join(cwd, 'region.json'), `${agent.url}/v1/region/export`])
    // What is read and changed is made first, and deleted last.
    const rank = (line: string) =>
      ['curl -X PUT', 'curl -X PATCH', 'curl -X POST', 'curl "', 'curl -N', 'curl -X DELETE'].findIndex((start) => line.startsWith(start))
    for (const line of lines.sort((one, other) => rank(one) - rank(other))) {
      const script = `${line} --silent --max-time ${line.includes('/events') ? 5 : 30} --write-out '\\n%{http_code}'`
      const shell = { url: agent.url, token: region.token, CURL_CA_BUNDLE: caFile, PATH: process.env.PATH }
      // In a fresh project the agent's rights take a moment.
      const stdout = await until('the agent has its rights', async () => {
        const answer = await run('sh', ['-c', script], { env: shell, cwd }).catch((failed) => failed as { stdout: string })
        return !answer.stdout.includes('/problems/rights-pending') && answer.stdout
      })
      // The target may be busy, or without a snapshot; but nothing is wrong with the request.
      // The database of the example has no backups.
      const status = stdout.split('\n').at(-1) ?? ''
      const isRefused = status === '422' && line.includes('/actions/restore')
      assert.ok(isRefused || /^(200|202|404|409|410)$/.test(status), `${line}\n${stdout}`)
    }
  })

  await t.test("Redocly's recommended rules find nothing", async () => {
    const config = await createConfig({ extends: ['recommended'] })
    const found = await lintFromString({ source: document, absoluteRef: pathToFileURL('openapi.json').href, config })
    assert.deepEqual(
      found.map(({ ruleId, message, location }) => `${ruleId}: ${message} at ${location[0]?.pointer}`),
      [],
    )
  })

  await t.test("Spectral's recommended rules find nothing", async () => {
    const linter = new spectral.Spectral()
    linter.setRuleset({ extends: [[rulesets.oas as RulesetDefinition, 'recommended']] })
    const found = await linter.run(document)
    assert.deepEqual(
      found.map(({ code, message, path: at }) => `${code}: ${message} at ${at.join('.')}`),
      [],
    )
  })

  await t.test('the client that openapi-typescript makes compiles, and changes the region', async (t) => {
    const folder = await writeClient(document)
    t.after(() => rm(folder, { recursive: true, force: true }))
    await run(process.execPath, [path.resolve('node_modules/typescript/bin/tsc'), '-p', folder]).catch(({ stdout }) => assert.fail(stdout))
    const { stdout } = await run(process.execPath, [path.join(folder, 'main.js')], { env })
    const { problem, ...seen } = JSON.parse(stdout)
    assert.deepEqual(seen, { project: 'Succeeded', database: 'Succeeded', read: { phase: 'Running', ready: 1 }, patched: 202 })
    assert.match(problem.type, /\/protected$/)
    assert.equal(problem.status, 409)
    assert.match(problem.action, /remove the protection first/)
  })
})
