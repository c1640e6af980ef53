import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'
import { namespace, type QuietRegion, startQuietRegion, storageClasses, usualDatabase } from './region.ts'

let region: QuietRegion
before(async () => {
  region = await startQuietRegion()
  for (const storageClass of storageClasses) await region.stand(storageClass)
  for (const id of ['harbour', 'open', 'other']) await region.standProject({ id, ...(id !== 'open' && { quota: { storage: '500Gi' } }) })
})
after(() => region.close())

const name = 'tide.00000001'
const record = (spec: object = {}): KubernetesObject => ({
  apiVersion: 'skerry.dev/v1',
  kind: 'RetainedDatabase',
  metadata: { name, namespace },
  spec: {
    project: 'harbour',
    database: 'tide',
    origin: 'operation',
    deletedAt: '2026-11-30T10:00:00Z',
    deletedBy: 'token:cloud',
    volumes: [0, 1, 2].map((node) => ({
      volume: `pvc-${node}`,
      uid: `uid-${node}`,
      claim: `project-harbour/data0-crate-data-hot-tide-${node}`,
      capacity: '64Gi',
    })),
    secrets: [],
    ...spec,
  },
})
async function stand(object: KubernetesObject): Promise<void> {
  const { metadata } = await region.stand(object)
  await until(
    'it is known',
    async () => region.caches.retained.get(`${namespace}/${name}`)?.metadata.resourceVersion === metadata.resourceVersion,
  )
}
const put = (project: string, id: string, count = 3) =>
  region.call('PUT', `/v1/projects/${project}/databases/${id}?dryRun=true`, {
    body: { ...usualDatabase, nodes: { ...usualDatabase.nodes, count } },
  })

test('what deleted databases hold counts against the storage of their project, until they are purged', async () => {
  assert.equal((await put('harbour', 'ebb')).status, 200)
  await stand(record())
  const { status, body } = await put('harbour', 'ebb')
  assert.equal(status, 422)
  assert.match(body.type, /quota-exceeded$/)
  assert.deepEqual(body.faults, [
    {
      path: '/nodes/disk/size',
      message:
        "384 GiB of storage wanted, the heap-dump volume of each node included, 0 bytes of storage used by the project's other databases, 192 GiB in 3 volumes of 1 deleted database kept, which a purge frees, 500 GiB of storage allowed",
    },
  ])
  assert.match(body.action, /purge its deleted databases/)
  assert.equal((await put('harbour', 'ebb', 1)).status, 200, 'it fits beside them')
  assert.deepEqual([(await put('other', 'ebb')).status, (await put('open', 'ebb', 5)).status], [200, 200], 'another quota, and none')
})

test('the region says what deleted databases hold, and when the next one is purged', async () => {
  const shown = async () => (await region.call('GET', '/v1/region')).body
  await stand(record())
  assert.deepEqual((await shown()).retained, { databases: 1, volumes: 3, storage: '192Gi', nextExpiry: null })
  await stand(record({ expiresAt: '2099-12-07T10:00:00Z', deletedAt: '2099-11-30T10:00:00Z' }))
  assert.deepEqual((await shown()).retained.nextExpiry, '2099-12-07T10:00:00.000Z')
  assert.ok((await shown()).parts.retained.observedAt)
})

test('a record that somebody edited into nonsense counts as one whose volumes are unknown', async () => {
  await stand(record({ database: '../tide', expiresAt: '2020-01-01T00:00:00Z' }))
  assert.deepEqual((await region.call('GET', '/v1/region')).body.retained, { databases: 1, volumes: 0, storage: '0', nextExpiry: null })
  assert.equal((await put('harbour', 'ebb')).status, 200)
})
