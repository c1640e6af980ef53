import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createHttp, type Http } from '../client/http.ts'
import type { TestCluster } from '../test-cluster.ts'
import { type EmbeddedOptions, startEmbeddedCluster } from './index.ts'

const path = '/apis/coordination.k8s.io/v1/namespaces/default/leases'

async function start(t: TestContext, options: EmbeddedOptions = {}): Promise<{ cluster: TestCluster; http: Http }> {
  const cluster = await startEmbeddedCluster(options)
  const http = createHttp({ url: cluster.url, ca: cluster.ca, token: cluster.adminToken })
  t.after(async () => {
    http.close()
    await cluster.stop()
  })
  return { cluster, http }
}

async function create(http: Http, name: string): Promise<string> {
  const { status, body } = await http.post(path, { metadata: { name } })
  assert.equal(status, 201)
  return body.metadata.resourceVersion
}

async function pageOf(http: Http, token = ''): Promise<{ names: string[]; next: string; status: number; reason: string }> {
  const { status, body } = await http.get(`${path}?limit=2&continue=${token}`)
  const names = (body.items ?? []).map((item: { metadata: { name: string } }) => item.metadata.name)
  return { names, next: body.metadata?.continue ?? '', status, reason: body.reason }
}

test('a list in pages shows the moment of its first page, whatever comes and goes meanwhile', async (t) => {
  const { http } = await start(t)
  for (const name of ['a', 'b', 'c', 'd', 'e']) await create(http, name)
  const first = await pageOf(http)
  await create(http, 'cc')
  await http.delete(`${path}/d`)
  await http.patch('merge', `${path}/e`, { spec: { holderIdentity: 'me' } })
  const second = await pageOf(http, first.next)
  const third = await pageOf(http, second.next)
  assert.deepEqual([first.names, second.names, third.names, third.next], [['a', 'b'], ['c', 'd'], ['e'], ''])
})

test('a list in pages goes on after a compaction only if nothing changed since its first page', async (t) => {
  const { cluster, http } = await start(t)
  for (const name of ['a', 'b', 'c']) await create(http, name)
  const { next } = await pageOf(http)
  cluster.faults?.compact()
  assert.deepEqual((await pageOf(http, next)).names, ['c'])
  await create(http, 'd')
  cluster.faults?.compact()
  const { status, reason } = await pageOf(http, next)
  assert.deepEqual({ status, reason }, { status: 410, reason: 'Expired' })
})

test('a compaction leaves open watches alone, and a watch from the newest version begins', async (t) => {
  const { cluster, http } = await start(t)
  const version = await create(http, 'a')
  await using open = await http.watch(`${path}?watch=true&resourceVersion=${version}`)
  cluster.faults?.compact()
  await using begun = await http.watch(`${path}?watch=true&resourceVersion=${version}`)
  await create(http, 'b')
  for (const watch of [open, begun]) assert.equal((await watch.next()).object.metadata.name, 'b')
})

test('more changes than the history holds are forgotten by themselves, oldest first', async (t) => {
  const { http } = await start(t, { history: 4 })
  const versions: string[] = []
  for (let i = 0; i < 7; i++) versions.push(await create(http, `n${i}`))
  const firstEventFrom = async (version = '') => {
    await using watch = await http.watch(`${path}?watch=true&resourceVersion=${version}`)
    const { type, object } = await watch.next()
    return type === 'ERROR' ? object.code : object.metadata.name
  }
  assert.equal(await firstEventFrom(versions[0]), 410)
  assert.equal(await firstEventFrom(versions[2]), 'n3')
})

test('a list at an exact version shows that version', async (t) => {
  const { http } = await start(t)
  const version = await create(http, 'a')
  await create(http, 'b')
  const { body } = await http.get(`${path}?resourceVersion=${version}&resourceVersionMatch=Exact`)
  assert.deepEqual([body.metadata.resourceVersion, body.items.length], [version, 1])
})

test('a watch that asks for initial events gets them, then a bookmark that says they are all', async (t) => {
  const { http } = await start(t)
  await create(http, 'a')
  await using watch = await http.watch(
    `${path}?watch=true&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan`,
  )
  const [added, bookmark] = [await watch.next(), await watch.next()]
  assert.deepEqual([added.type, added.object.metadata.name, bookmark.type], ['ADDED', 'a', 'BOOKMARK'])
  assert.equal(bookmark.object.metadata.annotations['k8s.io/initial-events-end'], 'true')
})
