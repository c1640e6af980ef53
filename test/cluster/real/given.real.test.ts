import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createHttp } from '../client/http.ts'
import { startRealCluster } from './index.ts'

test('a cluster named by SKERRY_KUBECONFIG is used by an account of its own, and left as it was', async (t) => {
  const own = await startRealCluster()
  const folder = await mkdtemp(join(tmpdir(), 'skerry-given-'))
  const http = createHttp({ url: own.url, ca: own.ca, token: own.adminToken })
  t.after(async () => {
    delete process.env.SKERRY_KUBECONFIG
    http.close()
    await own.stop()
    await rm(folder, { recursive: true })
  })
  const accounts = async () => {
    const { body } = await http.get('/api/v1/namespaces/kube-system/serviceaccounts')
    return body.items.filter((item: { metadata: { name: string } }) => item.metadata.name.startsWith('skerry-test-')).length
  }
  process.env.SKERRY_KUBECONFIG = join(folder, 'kubeconfig')
  await writeFile(process.env.SKERRY_KUBECONFIG, own.kubeconfig())

  const given = await startRealCluster()
  assert.deepEqual([given.kind, given.url, given.ca, given.faults], ['real', own.url, own.ca, undefined])
  assert.notEqual(given.adminToken, own.adminToken)
  const review = { spec: { resourceAttributes: { verb: '*', group: '*', resource: '*' } } }
  const reviews = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'
  assert.equal((await http.post(reviews, review, { token: given.adminToken })).body.status.allowed, true)
  assert.equal(await accounts(), 1)
  await assert.rejects(given.suspend(), /does not belong to the test/)

  await given.stop()
  assert.equal(await accounts(), 0)
  assert.equal((await http.get('/readyz')).status, 200)
})
