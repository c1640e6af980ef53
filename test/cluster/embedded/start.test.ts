import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { parse } from 'yaml'
import { createHttp, type Http } from '../client/http.ts'
import type { TestCluster } from '../test-cluster.ts'
import { type EmbeddedOptions, startEmbeddedCluster } from './index.ts'

async function start(t: TestContext, options: EmbeddedOptions = {}): Promise<{ cluster: TestCluster; http: Http }> {
  const cluster = await startEmbeddedCluster(options)
  const http = createHttp({ url: cluster.url, ca: cluster.ca, token: cluster.adminToken })
  t.after(async () => {
    http.close()
    await cluster.stop()
  })
  return { cluster, http }
}

const definition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.sea.example}
spec:
  group: sea.example
  scope: Namespaced
  names: {kind: Boat, plural: boats}
  versions:
    - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: urgent}
value: 1000
`

test('documents given at start are there from the first request on', async (t) => {
  const { http } = await start(t, { crds: [definition] })
  assert.equal((await http.get('/apis/sea.example/v1/boats')).status, 200)
  assert.equal((await http.get('/apis/scheduling.k8s.io/v1/priorityclasses/urgent')).body.value, 1000)
})

test('a document of a kind that is not served stops the start', async () => {
  await assert.rejects(startEmbeddedCluster({ crds: ['{apiVersion: v7, kind: Boat}'] }), /no kind Boat in v7/)
})

test('a cluster that was suspended is found at the same address, with what it held', async (t) => {
  const { cluster, http } = await start(t)
  const path = '/api/v1/namespaces/default/configmaps'
  await http.post(path, { metadata: { name: 'tide' } })
  await cluster.suspend()
  await assert.rejects(http.get(path), /ECONNREFUSED/)
  await cluster.resume()
  assert.equal((await http.get(`${path}/tide`)).status, 200)
})

test('two clusters know nothing of each other, nor of each other’s tokens', async (t) => {
  const [one, two] = [await start(t), await start(t)]
  await one.http.post('/api/v1/namespaces', { metadata: { name: 'mine' } })
  assert.equal((await two.http.get('/api/v1/namespaces/mine')).status, 404)
  const token = await one.cluster.serviceAccountToken('default', 'pilot')
  assert.equal((await one.http.get('/version', { token })).status, 200)
  assert.equal((await two.http.get('/version', { token })).status, 401)
})

test('a token ends with its ServiceAccount, also when one of the same name follows', async (t) => {
  const { cluster, http } = await start(t)
  const token = await cluster.serviceAccountToken('default', 'pilot')
  await http.delete('/api/v1/namespaces/default/serviceaccounts/pilot')
  await cluster.serviceAccountToken('default', 'pilot')
  assert.equal((await http.get('/version', { token })).status, 401)
})

test('a kubeconfig holds address, authority and token', async (t) => {
  const { cluster } = await start(t)
  const { clusters, users } = parse(cluster.kubeconfig('pass'))
  assert.equal(clusters[0].cluster.server, cluster.url)
  assert.equal(Buffer.from(clusters[0].cluster['certificate-authority-data'], 'base64').toString(), cluster.ca)
  assert.equal(users[0].user.token, 'pass')
})

test('who may impersonate acts as another, and who may not is refused', async (t) => {
  const { cluster, http } = await start(t)
  const headers = { 'impersonate-user': 'jo' }
  const asJo = await http.get('/api/v1/pods', { headers })
  assert.match(asJo.body.message, /User "jo" cannot list resource "pods"/)
  const token = await cluster.serviceAccountToken('default', 'pilot')
  assert.match((await http.get('/version', { headers, token })).body.message, /cannot impersonate resource "users"/)
})

const configMap = (...fields: Buffer[]): Buffer => {
  const field = (number: number, content: Buffer): Buffer => Buffer.concat([Buffer.from([(number << 3) | 2, content.length]), content])
  const typeMeta = Buffer.concat([field(1, Buffer.from('v1')), field(2, Buffer.from('ConfigMap'))])
  const metadata = field(1, field(1, Buffer.from('tide')))
  return Buffer.concat([Buffer.from('k8s\0'), field(1, typeMeta), field(2, Buffer.concat([metadata, ...fields]))])
}

for (const { name, fields, status } of [
  { name: 'is read', fields: [], status: 201 },
  { name: 'is refused with a field that nobody knows here, instead of losing it', fields: [Buffer.from([8 * 14 + 2, 1, 65])], status: 415 },
  { name: 'may hold fields that nobody knows here when they are empty', fields: [Buffer.from([8 * 14 + 2, 2, 10, 0])], status: 201 },
]) {
  test(`a protobuf document as kubectl sends it ${name}`, async (t) => {
    const { http } = await start(t)
    const contentType = 'application/vnd.kubernetes.protobuf'
    const answer = await http.post('/api/v1/namespaces/default/configmaps', configMap(...fields).toString('latin1'), { contentType })
    assert.equal(answer.status, status, answer.text)
  })
}

test('a document nested too deep is a bad request', async (t) => {
  const { http } = await start(t)
  const deep = `{"metadata":{"name":"tide"},"spec":${'['.repeat(100_000)}${']'.repeat(100_000)}}`
  assert.equal((await http.post('/api/v1/namespaces/default/pods', deep)).status, 400)
})
