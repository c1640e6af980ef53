import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { readObject } from '../../../shared/kubernetes/read.ts'
import { type ServedCloud, serveCloud } from '../../cloud/serve.ts'
import { startCluster, type TestCluster, until } from '../../cluster/index.ts'
import { prepareRegion, type Region } from '../../region/index.ts'

let cluster: TestCluster
let region: Region
let served: ServedCloud
let folder: string

before(async () => {
  cluster = await startCluster()
  served = await serveCloud()
  folder = await mkdtemp(join(tmpdir(), 'skerry-cloud-'))
  await writeFile(join(folder, 'ca.pem'), served.ca)
  region = await prepareRegion(cluster, { config: { cloud: { url: served.origin, caFile: join(folder, 'ca.pem'), gather: '1s' } } })
})

after(async () => {
  await region.close()
  await served.close()
  await cluster.stop()
  await rm(folder, { recursive: true })
})

const registration = () => readObject(region.admin, pathOf(kinds.Registration, region.namespace, 'cloud'))
const whenState = (state: string) =>
  until(`the registration is ${state}`, async () => {
    const status = (await registration())?.status
    return status?.state === state && status
  })

test('a region shows a pairing code, joins once somebody has typed it, and tells its status', async () => {
  await region.startAgent()
  const unpaired = await until('a code is shown', async () => (await registration())?.status?.pairing)
  served.cloud.registry.typed(unpaired.code)
  const { id } = await whenState('Ready')
  const status = await until('the cloud has heard of it', async () => served.cloud.registry.records.regions[id]?.status)
  assert.equal((status.region as { id: string }).id, 'harbour-1')
})
