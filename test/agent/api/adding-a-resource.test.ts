import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { stringify } from 'yaml'
import { startCluster, until } from '../../cluster/index.ts'
import { createClient } from '../../region/client.ts'
import { prepareRegion } from '../../region/index.ts'

/** The agent with one more resource: the file lighthouses.ts and its line in the table. */
async function agentWithLighthouses(directory: string): Promise<string> {
  for (const folder of ['agent', 'shared', 'package.json']) await cp(folder, path.join(directory, folder), { recursive: true })
  await symlink(path.resolve('node_modules'), path.join(directory, 'node_modules'))
  const file = await readFile('test/agent/api/lighthouses.ts', 'utf8')
  const atHome = file.replaceAll("'../../../agent/api/", "'./").replaceAll("'../../../agent/", "'../").replaceAll("'../../../", "'../../")
  await writeFile(path.join(directory, 'agent/api/lighthouses.ts'), atHome)
  const table = path.join(directory, 'agent/api/resources.ts')
  const lines = await readFile(table, 'utf8')
  const added = lines.replace('\n  tunnel,\n', '\n  tunnel,\n  lighthouses,\n')
  assert.notEqual(added, lines)
  await writeFile(table, `import { lighthouses } from './lighthouses.ts'\n${added}`)
  return path.join(directory, 'agent/main.ts')
}

test('one file and its line in the table make a resource of the API', { timeout: 180_000 }, async (t) => {
  const directory = await mkdtemp(path.join(tmpdir(), 'skerry-lighthouses-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  const program = await agentWithLighthouses(directory)
  const tokensFile = path.join(directory, 'tokens.yaml')
  const token = (name: string, scopes: string[]) => ({ name, sha256: createHash('sha256').update(name).digest('hex'), scopes })
  await writeFile(tokensFile, stringify([token('keeper', ['region:read', 'lighthouses:write']), token('visitor', ['region:read'])]))

  const cluster = await startCluster()
  t.after(() => cluster.stop())
  const region = await prepareRegion(cluster)
  t.after(() => region.close())
  const lines: string[] = []
  const config = { identity: { tokensFile }, api: { limits: { requestsPerSecond: 0.001, burst: 6 } } }
  const agent = await region.startAgent({ program, config, onLog: (line) => lines.push(line) })
  const as = (name: string) => {
    const client = createClient({ url: agent.url, ca: region.ca, token: name })
    t.after(() => client.close())
    return client
  }
  const [keeper, visitor, stranger] = [as('keeper'), as('visitor'), as('nobody')]
  const bell = '/v1/lighthouses/bell-rock'

  await t.test('its collection is followed: readiness and metrics name it', async () => {
    const admin = async (path: string) => (await fetch(`${agent.adminUrl}${path}`)).text()
    assert.match(await admin('/readyz'), /"cache of lighthouses","ready":true/)
    assert.match(await admin('/metrics'), /^skerry_agent_cache_synced\{cache="lighthouses"\} 1$/m)
  })

  await t.test('the OpenAPI document has its routes, its scope and its events', async () => {
    const { body } = await stranger.call('GET', '/openapi.json')
    assert.equal(body.paths['/v1/lighthouses/{lighthouse}'].put['x-skerry-scope'], 'lighthouses:write')
    assert.match(body.info.description, /`lighthouses:write`/)
    assert.match(body.paths['/v1/events'].get.description, /`lighthouse`/)
    assert.ok(body.tags.some(({ name }: { name: string }) => name === 'Lighthouses'))
  })

  await t.test('who may not write is refused, and the record says so', async () => {
    assert.equal((await stranger.call('PUT', bell, { body: { height: 36 } })).status, 401)
    const refused = await visitor.call('PUT', bell, { body: { height: 36 } })
    assert.equal(refused.status, 403)
    assert.equal(refused.body.scope, 'lighthouses:write')
  })

  await t.test('its input is validated', async () => {
    const { status, body } = await keeper.call('PUT', `${bell}?dryrun=true`, { body: { height: 36, colour: 'white' } })
    assert.equal(status, 422)
    assert.deepEqual(
      body.faults.map((fault: { path?: string; in?: string; name?: string }) => fault.path ?? `${fault.in}:${fault.name}`).sort(),
      ['/colour', 'query:dryrun'],
    )
  })

  await t.test('a write is an event and an audit record, and its controller runs', async () => {
    const ending = new AbortController()
    const events = keeper.events('/v1/events?kinds=lighthouse', ending.signal)
    const first = events.next()
    // The stream is open once the agent counts it.
    await until('the stream is open', async () => /subscribers 1$/m.test(await (await fetch(`${agent.adminUrl}/metrics`)).text()))
    const put = await keeper.call('PUT', bell, { body: { height: 36 } })
    assert.deepEqual(put.body, { id: 'bell-rock', height: 36, lit: true })
    const { value } = await first
    assert.equal(value?.event, 'lighthouse')
    assert.deepEqual(JSON.parse(value?.data ?? '').object, put.body)
    ending.abort()
    await events.return(undefined).catch(() => {})
    const audited = () => lines.map((line) => JSON.parse(line)).filter(({ audit }) => audit)
    await until('the records are written', async () => audited().length >= 4)
    assert.deepEqual(
      audited().map(({ identity, route, target, status }) => ({ identity, route, lighthouse: target.lighthouse, status })),
      [
        [undefined, 401],
        ['token:visitor', 403],
        ['token:keeper', 422],
        ['token:keeper', 200],
      ].map(([identity, status]) => ({ identity, route: '/v1/lighthouses/{lighthouse}', lighthouse: 'bell-rock', status })),
    )
  })

  await t.test('its requests are counted and limited like all others', async () => {
    const statuses = []
    for (let round = 0; round < 4; round++) statuses.push((await keeper.call('GET', bell)).status)
    assert.deepEqual(statuses, [200, 200, 200, 429])
    const metrics = await (await fetch(`${agent.adminUrl}/metrics`)).text()
    assert.match(metrics, /^skerry_agent_http_request_duration_seconds_count\{[^}]*route="\/v1\/lighthouses\/\{lighthouse\}"[^}]*\} \d+$/m)
  })
})
