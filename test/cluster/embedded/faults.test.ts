import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createHttp, type Http } from '../client/http.ts'
import type { Faults, TestCluster } from '../test-cluster.ts'
import { startEmbeddedCluster } from './index.ts'

const path = '/api/v1/namespaces/default/configmaps'

async function start(t: TestContext): Promise<{ cluster: TestCluster; faults: Faults; http: Http }> {
  const cluster = await startEmbeddedCluster()
  const http = createHttp({ url: cluster.url, ca: cluster.ca, token: cluster.adminToken })
  t.after(async () => {
    http.close()
    await cluster.stop()
  })
  assert.ok(cluster.faults)
  return { cluster, faults: cluster.faults, http }
}

const create = (http: Http, name: string) => http.post(path, { metadata: { name } })
const names = async (http: Http) => (await http.get(path)).body.items.map((item: { metadata: { name: string } }) => item.metadata.name)

/** The status codes of `count` sequential creations. */
async function creations(http: Http, count: number): Promise<number[]> {
  const codes: number[] = []
  for (let i = 0; i < count; i++) codes.push((await create(http, `n${i}`)).status)
  return codes
}

test('a share of requests is answered with 500, 503 or 429 and nothing is done', async (t) => {
  const { faults, http } = await start(t)
  faults.set({ errorRate: 0.5 })
  const codes = await creations(http, 100)
  faults.clear()
  const failed = codes.filter((code) => code !== 201)
  assert.ok(failed.length > 30 && failed.length < 70, `${failed.length} of 100 failed`)
  assert.deepEqual([...new Set(failed)].sort(), [429, 500, 503])
  const expected = codes.flatMap((code, i) => (code === 201 ? [`n${i}`] : []))
  assert.deepEqual((await names(http)).filter((name: string) => name.startsWith('n')).sort(), expected.sort())
})

test('429 and 503 say when to come back', async (t) => {
  const { faults, http } = await start(t)
  faults.set({ errorRate: 1 })
  const answers = await Promise.all(Array.from({ length: 30 }, () => http.get(path)))
  for (const { status, headers, body } of answers) {
    assert.equal(body.kind, 'Status')
    assert.equal(headers['retry-after'], status === 500 ? undefined : '1')
  }
})

test('the same settings on a fresh cluster bring the same faults', async (t) => {
  const runs: number[][] = []
  for (const { faults, http } of [await start(t), await start(t)]) {
    faults.set({ errorRate: 0.3 })
    runs.push(await creations(http, 40))
  }
  assert.deepEqual(runs[0], runs[1])
})

test('a write whose answer is lost is done, and reads are spared', async (t) => {
  const { faults, http } = await start(t)
  faults.set({ lostAnswerRate: 1 })
  await assert.rejects(create(http, 'tide'), /socket hang up|ECONNRESET/)
  assert.equal((await http.get(`${path}/tide`)).status, 200)
})

test('a conflict storm hits updates and patches, changes nothing, and leaves creations alone', async (t) => {
  const { faults, http } = await start(t)
  faults.set({ conflictRate: 1 })
  const created = await create(http, 'tide')
  assert.equal(created.status, 201)
  const put = await http.put(`${path}/tide`, { ...created.body, data: { high: '12' } })
  const patched = await http.patch('merge', `${path}/tide`, { data: { high: '12' } })
  assert.deepEqual([put.status, put.body.reason, patched.status], [409, 'Conflict', 409])
  assert.deepEqual((await http.get(`${path}/tide`)).body, created.body)
})

test('latency is added before the answer', async (t) => {
  const { faults, http } = await start(t)
  await http.get(path)
  faults.set({ latencyMs: 100 })
  const before = performance.now()
  await http.get(path)
  assert.ok(performance.now() - before >= 99)
})

test('dropped watches end in the middle of nothing, and one from the same version goes on', async (t) => {
  const { faults, http } = await start(t)
  const { resourceVersion } = (await http.get(path)).body.metadata
  const from = `${path}?watch=true&resourceVersion=${resourceVersion}`
  await using watch = await http.watch(from)
  faults.dropWatches()
  await watch.rest().catch(() => undefined)
  await create(http, 'tide')
  await using again = await http.watch(from)
  assert.equal((await again.next()).object.metadata.name, 'tide')
})
