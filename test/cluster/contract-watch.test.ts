import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Body, WatchEvent } from './client/http.ts'
import { crds, definitionOf, expectCode, startContract, uniqueName } from './contract.ts'

const contract = await startContract()
const { http } = contract

const newPath = async () => `/apis/coordination.k8s.io/v1/namespaces/${await contract.namespace()}/leases`
const create = async (path: string, name: string, labels = {}) => expectCode(await http.post(path, { metadata: { name, labels } }), 201)
const label = async (path: string, name: string, labels: Body) =>
  expectCode(await http.patch('merge', `${path}/${name}`, { metadata: { labels } }), 200)
const versionOf = async (path: string): Promise<string> => expectCode(await http.get(path), 200).metadata.resourceVersion
const versionIn = (object: Body) => Number(object?.metadata.resourceVersion)
const brief = ({ type, object }: WatchEvent) => `${type} ${object.metadata.name}`

test('a watch from a version delivers what came after it, in order', async () => {
  const path = await newPath()
  await create(path, 'before')
  const from = await versionOf(path)
  const created = await create(path, 'tide')
  await using watch = await http.watch(`${path}?watch=true&resourceVersion=${from}`)
  const patched = await label(path, 'tide', { a: 'b' })
  expectCode(await http.delete(`${path}/tide`), 200)
  await create(path, 'last')

  const events = [await watch.next(), await watch.next(), await watch.next(), await watch.next()]
  assert.deepEqual(events.map(brief), ['ADDED tide', 'MODIFIED tide', 'DELETED tide', 'ADDED last'])
  assert.deepEqual(events[0]?.object, created)
  assert.deepEqual(events[1]?.object, patched)
  const versions = events.map(({ object }) => Number(object.metadata.resourceVersion))
  assert.deepEqual(
    versions,
    versions.toSorted((a, b) => a - b),
  )
})

test('a deletion carries the last state, with the version of the deletion', async () => {
  const path = await newPath()
  const created = await create(path, 'tide', { a: 'b' })
  await using watch = await http.watch(`${path}?watch=true&resourceVersion=${created.metadata.resourceVersion}`)
  expectCode(await http.delete(`${path}/tide`), 200)
  const { object } = await watch.next()
  assert.deepEqual(object.metadata.labels, { a: 'b' })
  assert.equal(object.metadata.uid, created.metadata.uid)
  assert.ok(Number(object.metadata.resourceVersion) > Number(created.metadata.resourceVersion))
})

for (const query of ['watch=true', 'watch=1&resourceVersion=0']) {
  test(`a watch with ${query} begins with what is there`, async () => {
    const path = await newPath()
    await create(path, 'a')
    await create(path, 'b')
    await using watch = await http.watch(`${path}?${query}`)
    const names = [await watch.next(), await watch.next()].map(brief).sort()
    assert.deepEqual(names, ['ADDED a', 'ADDED b'])
    await create(path, 'c')
    assert.equal(brief(await watch.next()), 'ADDED c')
  })
}

test('a change that changes nothing is no event', async () => {
  const path = await newPath()
  const created = await create(path, 'tide', { a: 'b' })
  await using watch = await http.watch(`${path}?watch=true&resourceVersion=${created.metadata.resourceVersion}`)
  await label(path, 'tide', { a: 'b' })
  await create(path, 'next')
  assert.equal(brief(await watch.next()), 'ADDED next')
})

test('what begins or ceases to fit a label selector is added or deleted', async () => {
  const path = await newPath()
  await create(path, 'tide')
  await create(path, 'other', { side: 'land' })
  await using watch = await http.watch(`${path}?watch=true&resourceVersion=${await versionOf(path)}&labelSelector=side%3Dsea`)
  await label(path, 'tide', { side: 'sea' })
  await label(path, 'tide', { depth: '3' })
  await label(path, 'other', { depth: '3' })
  await label(path, 'tide', { side: 'land' })
  expectCode(await http.delete(`${path}/tide`), 200)
  await create(path, 'new', { side: 'sea' })
  const events = [await watch.next(), await watch.next(), await watch.next(), await watch.next()]
  assert.deepEqual(events.map(brief), ['ADDED tide', 'MODIFIED tide', 'DELETED tide', 'ADDED new'])
})

test('one object can be watched by its name', async () => {
  const path = await newPath()
  await using watch = await http.watch(`${path}?watch=true&resourceVersion=${await versionOf(path)}&fieldSelector=metadata.name%3Dtide`)
  await create(path, 'other')
  await create(path, 'tide')
  assert.equal(brief(await watch.next()), 'ADDED tide')
})

test('a watch across namespaces sees each of them', async () => {
  const paths = [await newPath(), await newPath()]
  const name = uniqueName('across')
  const all = '/apis/coordination.k8s.io/v1/leases'
  await using watch = await http.watch(`${all}?watch=true&resourceVersion=${await versionOf(all)}`)
  for (const path of paths) await create(path, name)
  const fits = ({ object }: WatchEvent) => object.metadata.name === name
  const namespaces = [await watch.next(fits), await watch.next(fits)].map(({ object }) => object.metadata.namespace)
  assert.deepEqual(
    namespaces,
    paths.map((path) => path.split('/')[5]),
  )
})

test('list and watch together miss nothing while others write', async () => {
  const path = await newPath()
  const { promise: someWritten, resolve } = Promise.withResolvers<void>()
  async function write(): Promise<void> {
    for (let i = 0; i < 40; i++) {
      await create(path, `n${i}`)
      if (i === 10) resolve()
    }
  }
  const writing = write()
  await someWritten
  const list = expectCode(await http.get(path), 200)
  await using watch = await http.watch(`${path}?watch=true&resourceVersion=${list.metadata.resourceVersion}`)
  await writing
  const seen = new Set<string>(list.items.map((item: Body) => item.metadata.name))
  while (seen.size < 40) {
    const { type, object } = await watch.next()
    assert.equal(type, 'ADDED')
    assert.equal(seen.has(object.metadata.name), false, 'nothing comes twice')
    seen.add(object.metadata.name)
  }
})

test('bookmarks carry a version to go on from, and a watch ends by itself after timeoutSeconds', async () => {
  const path = await newPath()
  const created = await create(path, 'tide')
  const query = `watch=true&allowWatchBookmarks=true&timeoutSeconds=4&resourceVersion=${created.metadata.resourceVersion}`
  const other = await newPath()
  // The real API server sends one two seconds before the end, with the version that it has seen by then; none if it is late itself.
  const attempts = contract.cluster.kind === 'real' ? 10 : 1
  let [bookmark, elsewhere]: Body[] = []
  for (let attempt = 0; attempt < attempts && !(versionIn(bookmark) >= versionIn(elsewhere)); attempt++) {
    await using watch = await http.watch(`${path}?${query}`)
    elsewhere = await create(other, `elsewhere-${attempt}`)
    bookmark = (await watch.rest()).findLast((event) => event.type === 'BOOKMARK')?.object
  }
  assert.equal(bookmark.kind, 'Lease')
  assert.equal(bookmark.apiVersion, 'coordination.k8s.io/v1')
  assert.equal(bookmark.metadata.name, undefined)
  assert.ok(versionIn(bookmark) >= versionIn(elsewhere))
})

test('without asking there are no bookmarks', async () => {
  const path = await newPath()
  await using watch = await http.watch(`${path}?watch=true&timeoutSeconds=3&resourceVersion=${await versionOf(path)}`)
  assert.deepEqual(await watch.rest(), [])
})

test('a watch from a version that is no longer known is Gone, and a new list goes on', async () => {
  // The real API server has no history of a kind from before its definition; the test makes the embedded one forget it.
  const definition = await contract.define(definitionOf('Boat'))
  const path = await contract.pathOf(definition)
  const boat = (name: string) => ({ apiVersion: `${definition.spec.group}/v1`, kind: 'Boat', metadata: { name } })
  expectCode(await http.post(path, boat('first')), 201)
  contract.cluster.faults?.compact()

  await using watch = await http.watch(`${path}?watch=true&resourceVersion=1`)
  const { type, object } = await watch.next()
  assert.equal(type, 'ERROR')
  assert.deepEqual({ kind: object.kind, code: object.code, reason: object.reason }, { kind: 'Status', code: 410, reason: 'Expired' })
  assert.match(object.message, /^too old resource version: 1 \(\d+\)$/)

  await using again = await http.watch(`${path}?watch=true&resourceVersion=${await versionOf(path)}`)
  expectCode(await http.post(path, boat('second')), 201)
  assert.equal(brief(await again.next()), 'ADDED second')
})

test('definitions can be watched', async () => {
  await using watch = await http.watch(`${crds}?watch=true&resourceVersion=${await versionOf(crds)}`)
  const { metadata } = await contract.define(definitionOf('Boat'))
  const isEstablished = (condition: Body) => condition.type === 'Established' && condition.status === 'True'
  await watch.next(({ object }) => object.metadata.name === metadata.name && object.status?.conditions?.some(isEstablished))
})

test('a watch of a kind that is not served, or not yet, is answered with a text', async () => {
  await using watch = await http.watch('/apis/harbours.example.org/v1/quays?watch=true')
  assert.equal(watch.status, 404)
  await assert.rejects(watch.next(), /no event: 404 page not found/)
})
