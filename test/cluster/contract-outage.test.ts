import assert from 'node:assert/strict'
import { test } from 'node:test'
import { expectCode, startContract } from './contract.ts'

const contract = await startContract()
const { cluster, http } = contract
const given = process.env.SKERRY_KUBECONFIG ? 'a cluster that somebody gave is not ours to take away' : false

test('while the API server is away connections are refused and watches have ended; then all is as it was', { skip: given }, async () => {
  const path = `/api/v1/namespaces/${await contract.namespace()}/configmaps`
  const created = expectCode(await http.post(path, { metadata: { name: 'tide' }, data: { high: '12' } }), 201)
  const token = await cluster.serviceAccountToken('default', 'pilot')
  // Only this one: sooner or later, a controller adds its own ConfigMap to each namespace.
  const watched = `${path}?watch=true&fieldSelector=metadata.name%3Dtide`
  await using watch = await http.watch(`${watched}&resourceVersion=${created.metadata.resourceVersion}`)

  await cluster.suspend()
  assert.deepEqual(await watch.rest(), [])
  await assert.rejects(http.get('/readyz'), /ECONNREFUSED/)
  await cluster.resume()

  assert.deepEqual(expectCode(await http.get(`${path}/tide`), 200), created)
  expectCode(await http.get('/version', { token }), 200)
  // Not from the previous version: a restarted API server may have forgotten it.
  const { resourceVersion } = expectCode(await http.get(path), 200).metadata
  await using again = await http.watch(`${watched}&resourceVersion=${resourceVersion}`)
  expectCode(await http.patch('merge', `${path}/tide`, { data: { high: '13' } }), 200)
  assert.equal((await again.next()).object.data.high, '13')
})

test('what the controllers owe after an outage they do', { skip: given }, async () => {
  const namespace = await contract.namespace()
  const path = `/api/v1/namespaces/${namespace}/configmaps`
  expectCode(await http.post(path, { metadata: { name: 'tide' } }), 201)
  await using watch = await http.watch(`/api/v1/namespaces?watch=true&fieldSelector=metadata.name%3D${namespace}`)
  expectCode(await http.delete(`/api/v1/namespaces/${namespace}`), 200)
  await cluster.suspend()
  watch.close()
  await cluster.resume()
  await using again = await http.watch(`/api/v1/namespaces?watch=true&fieldSelector=metadata.name%3D${namespace}`)
  if ((await http.get(`/api/v1/namespaces/${namespace}`)).status !== 404) await again.next(({ type }) => type === 'DELETED', 120_000)
})
