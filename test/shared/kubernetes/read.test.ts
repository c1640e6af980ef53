import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { listObjects, readObject } from '../../../shared/kubernetes/read.ts'
import { startCluster, type TestCluster } from '../../cluster/index.ts'
import { connectTo } from './connected.ts'

let cluster: TestCluster
let admin: Cluster

before(async () => {
  cluster = await startCluster()
  admin = connectTo(cluster)
})
after(async () => {
  admin?.close()
  await cluster?.stop()
})

const namespace = 'default'

test('an object that does not exist is undefined, and its list is empty', async () => {
  assert.equal(await readObject(admin, pathOf(kinds.ConfigMap, namespace, 'tide')), undefined)
  assert.deepEqual(await listObjects(admin, kinds.ConfigMap, { namespace, query: { labelSelector: 'tide=high' } }), [])
})

test('an object of a list says its kind', async () => {
  const metadata = { name: 'tide', labels: { tide: 'high' } }
  await admin.request({ method: 'POST', path: pathOf(kinds.ConfigMap, namespace), body: { apiVersion: 'v1', kind: 'ConfigMap', metadata } })
  const [listed] = await listObjects(admin, kinds.ConfigMap, { namespace, query: { labelSelector: 'tide=high' } })
  assert.deepEqual([listed?.apiVersion, listed?.kind, listed?.metadata.name], ['v1', 'ConfigMap', 'tide'])
})

test('an empty list may be null', async () => {
  const empty = { request: async () => ({ items: null }) } as unknown as Cluster
  assert.deepEqual(await listObjects(empty, kinds.CrateDB, { namespace }), [])
})

for (const [what, answer] of [
  ['no items', {}],
  ['items that are no list', { items: 'none' }],
] as const)
  test(`an answer with ${what} is not an empty list`, async () => {
    const odd = { request: async () => answer } as unknown as Cluster
    await assert.rejects(listObjects(odd, kinds.CrateDB, { namespace }), { type: 'cluster-error', message: /without a list of cratedbs/ })
  })
