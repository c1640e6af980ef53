import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { RegionDocument } from '../../../agent/api/representations/region-schema.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { readObject } from '../../../shared/kubernetes/read.ts'
import { type ServedCloud, serveCloud } from '../../cloud/serve.ts'
import { startCluster, type TestCluster, until } from '../../cluster/index.ts'
import type { AgentProcess } from '../../region/agent-process.ts'
import { createClient } from '../../region/client.ts'
import { prepareRegion, type Region } from '../../region/index.ts'

let cluster: TestCluster
let region: Region
let served: ServedCloud
let agent: AgentProcess
let folder: string
/** Whole statuses that the cloud got. */
let puts = 0
let startedAt: number

before(async () => {
  cluster = await startCluster()
  served = await serveCloud(Date.now, (cloud) => (request) => {
    if (request.method === 'PUT') puts++
    return cloud.app.fetch(request)
  })
  folder = await mkdtemp(join(tmpdir(), 'skerry-cloud-'))
  await writeFile(join(folder, 'ca.pem'), served.ca)
  region = await prepareRegion(cluster, {
    config: {
      cloud: { url: served.origin, caFile: join(folder, 'ca.pem'), gather: '1s', heartbeat: '15s' },
      // A machine that stands still for a while takes the Lease from nobody: whoever leads next would tell the whole status again.
      lease: { duration: '10m', renewDeadline: '9m' },
    },
  })
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
  startedAt = Date.now()
  agent = await region.startAgent()
  const unpaired = await until('a code is shown', async () => (await registration())?.status?.pairing)
  served.cloud.registry.typed(unpaired.code)
  const { id } = await whenState('Ready')
  const status = await until('the cloud has heard of it', async () => served.cloud.registry.records.regions[id]?.status)
  assert.equal((status.region as { id: string }).id, 'harbour-1')
})

/** The status that the cloud has, once it fits. */
const whenTold = <T>(what: string, look: (status: Told) => T | undefined | false) =>
  until(what, async () => {
    const [registered] = Object.values(served.cloud.registry.records.regions)
    return registered?.status && look(registered.status as unknown as Told)
  })
type Told = { sequence: number; region: RegionDocument }

test('a database that is put is heard of at the cloud, by patches', async () => {
  const client = createClient({ url: () => agent.url, ca: region.ca, token: region.token })
  const body = {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name: 'crate-premium' },
    provisioner: 'example.org/disks',
    allowVolumeExpansion: true,
  }
  await region.admin.request({ method: 'POST', path: pathOf(kinds.StorageClass), body })
  const first = await whenTold(
    'the storage class',
    (told) => told.region.storageClasses.some(({ name }) => name === 'crate-premium') && told,
  )
  assert.equal(first.region.databases, 0)
  const before = puts
  const nodes = { count: 2, cpu: '500m', memory: '2Gi', disk: { size: '16Gi', storageClass: 'crate-premium' } }
  assert.equal((await client.call('PUT', '/v1/projects/harbour', { body: { id: 'harbour' } })).status, 202)
  const database = { id: 'tide', version: '5.10.1', nodes }
  assert.equal((await client.call('PUT', '/v1/projects/harbour/databases/tide', { body: database })).status, 202)
  const told = await whenTold('the database', (told) => told.region.databaseStates['harbour/tide'] && told)
  assert.deepEqual([told.region.databaseStates['harbour/tide']?.desired, told.region.databaseStates['harbour/tide']?.ready], [2, 0])
  assert.ok(told.sequence > first.sequence)
  assert.equal(puts, before, 'the whole status was told once')
  assert.ok(served.cloud.isAlive(Object.keys(served.cloud.registry.records.regions)[0] ?? ''))
  const { ledger } = (await whenTold('both operations', (told) => (told.region.ledger?.sequence ?? 0) >= 2 && told)).region
  const { body: since } = await client.call('GET', '/v1/operations?since=0')
  assert.equal(ledger?.hash, since.items.at(-1).hash)
})

test('hosts that the agent can no longer follow are stale at the cloud, and fresh again when it can', async () => {
  const path = '/apis/rbac.authorization.k8s.io/v1/clusterroles/skerry-agent'
  const role = await region.admin.request<KubernetesObject>({ method: 'GET', path })
  const withRules = (rules: { resources: string[] }[]) =>
    region.admin.request({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body: { rules } })
  await withRules(role.rules.filter(({ resources }: { resources: string[] }) => !resources.includes('nodes')))
  // A watch that is open stays open: only the next one is refused.
  await cluster.suspend()
  await cluster.resume()
  const { hosts } = await whenTold(
    'that hosts are stale',
    ({ region: { parts } }) => parts.hosts?.stale?.reason.includes('forbidden') && parts,
  )
  assert.match(hosts?.stale?.reason ?? '', /nodes/)
  const since = Date.parse(hosts?.stale?.since ?? '')
  assert.ok(since > startedAt - 60_000 && since <= Date.now(), 'since they were last heard of, to the minute')
  await withRules(role.rules)
  await region.admin.request({
    method: 'POST',
    path: pathOf(kinds.Node),
    body: { apiVersion: 'v1', kind: 'Node', metadata: { name: 'quay-9', labels: { 'kubernetes.io/hostname': 'quay-9' } } },
  })
  const told = await whenTold('the new host', ({ region }) => region.hosts.some(({ hostname }) => hostname === 'quay-9') && region)
  assert.equal(told.parts.hosts?.stale, undefined)
})
