import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { readRegionFile } from '../../../agent/region-file/reading.ts'
import { startCluster, type TestCluster, until } from '../../cluster/index.ts'
import type { AgentProcess } from '../../region/agent-process.ts'
import { type Client, createClient } from '../../region/client.ts'
import { prepareRegion, type Region } from '../../region/index.ts'

let cluster: TestCluster
let region: Region
let folder: string

before(async () => {
  cluster = await startCluster()
  folder = await mkdtemp(join(tmpdir(), 'skerry-exported-'))
  const lease = { duration: '2s', renewDeadline: '1500ms', retryPeriod: '100ms' }
  region = await prepareRegion(cluster, { config: { lease, recovery: { export: { file: join(folder, 'region.json'), debounce: '1s' } } } })
})
after(async () => {
  await region?.close()
  await cluster?.stop()
  await rm(folder, { recursive: true })
})

/** The name of the project in the file; undefined as long as there is no file. Whatever there is, is whole. */
async function nameInFile(): Promise<string | undefined> {
  const bytes = await readFile(join(folder, 'region.json')).catch(() => undefined)
  if (bytes === undefined) return undefined
  const read = await readRegionFile(bytes)
  assert.ok(read.ok, JSON.stringify(read))
  return read.document.projects[0]?.displayName
}

const clientOf = ({ url }: AgentProcess): Client => createClient({ url, ca: region.ca, token: region.token })

async function rename(client: Client, displayName: string): Promise<void> {
  const put = await client.call('PUT', '/v1/projects/harbour', { body: { displayName }, headers: { prefer: 'wait=30' } })
  assert.ok(put.status === 200 || put.status === 202, put.text)
}

const whenNamed = (name: string) => until(`the file says ${name}`, async () => (await nameInFile()) === name, 60_000)

test('of two agents one writes the file, both say how old it is, and whoever is killed leaves a whole one', {
  timeout: 300_000,
}, async (t) => {
  let agents = await Promise.all([region.startAgent(), region.startAgent()])
  t.after(() => Promise.all(agents.map((agent) => agent.stop().catch(() => {}))))
  const [first, second] = agents as [AgentProcess, AgentProcess]
  const clients = [clientOf(first), clientOf(second)] as const
  t.after(() => clients.map((client) => client.close()))
  await rename(clients[0], 'Round 0')
  await whenNamed('Round 0')
  for (const client of clients) {
    const shown = await until('it says so', async () => {
      const { body } = await client.call('GET', '/v1/region')
      return body.export?.file.writtenAt !== null && body.export
    })
    assert.equal(shown.file.failing, null)
    assert.ok(Date.parse(shown.file.confirmedAt) >= Date.parse(shown.file.writtenAt))
  }
  for (let round = 1; round <= 6; round++) {
    const [old = assert.fail()] = agents.splice(0, 1)
    const [other = assert.fail()] = agents
    const client = clientOf(other)
    await rename(client, `Round ${round}`)
    // Anywhere between the change and its file: before it is made, while it is written, or after. Whichever it is, the outcome is the same.
    await new Promise((resolve) => setTimeout(resolve, 850 + 60 * round))
    if (round % 2 === 0) await old.kill()
    else await old.stop()
    await whenNamed(`Round ${round}`)
    client.close()
    agents = [other, await region.startAgent()]
  }
  const left = await readdir(folder)
  assert.ok(left.includes('region.json') && left.length <= 2, `beside the file there is at most what the last one killed has left: ${left}`)
})
