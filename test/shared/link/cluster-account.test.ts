import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../../shared/clock.ts'
import { createClusterAccount } from '../../../shared/link/index.ts'
import { startCluster } from '../../cluster/index.ts'
import { connectTo } from '../kubernetes/connected.ts'

test('what replicas add at the same moment is all there, and other keys of the ConfigMap stay', async (t) => {
  const server = await startCluster()
  t.after(() => server.stop())
  const cluster = connectTo(server)
  t.after(() => cluster.close())
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'skerry' } }
  await cluster.request({ method: 'POST', path: '/api/v1/namespaces', body: namespace })
  const collection = '/api/v1/namespaces/skerry/configmaps'
  const config = { namespace: 'skerry', name: 'skerry-link', key: 'bytes', labels: { a: 'b' }, fieldManager: 'skerry-agent' }
  const stores = [1, 2, 3].map(() => createClusterAccount(config, { cluster, clock: systemClock }))
  const day = '2026-01-31'

  assert.deepEqual(await stores[0]?.read(), {})
  await stores[0]?.add({ [day]: { cloud: { received: 1, sent: 2 } } })
  const path = `${collection}/skerry-link`
  await cluster.request({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body: { data: { bdSeq: '6' } } })
  await Promise.all(stores.map((store) => store.add({ [day]: { api: { received: 10, sent: 20 } } })))

  const account = { [day]: { cloud: { received: 1, sent: 2 }, api: { received: 30, sent: 60 } } }
  assert.deepEqual(await stores[2]?.read(), account)
  const { data, metadata } = await cluster.request({ method: 'GET', path })
  assert.deepEqual(data, { bdSeq: '6', bytes: `{"${day}":{"cloud":[1,2],"api":[30,60]}}` })
  assert.deepEqual(metadata.labels, { a: 'b' })
})
