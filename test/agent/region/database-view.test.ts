import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDatabaseViews } from '../../../agent/region/database-view.ts'
import { systemClock } from '../../../shared/clock.ts'
import { cachesInHand } from '../caches-in-hand.ts'

const namespace = 'project-harbour'
const labels = { 'app.kubernetes.io/part-of': 'cratedb', 'app.kubernetes.io/name': 'tidal-gauge' }
const database = (name = 'tidal-gauge') => ({ apiVersion: 'cloud.crate.io/v1', kind: 'CrateDB', metadata: { name, namespace }, spec: {} })
const pod = (name: string) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace, labels }, spec: { containers: [] } })
const operation = (sequence: number) => ({
  apiVersion: 'skerry.dev/v1',
  kind: 'Operation',
  metadata: { name: `op-${sequence}`, namespace: 'skerry-system' },
  spec: { sequence, target: { kind: 'database', project: 'harbour', database: 'tidal-gauge' } },
})

test('a database view holds the object with its pods and operations in order, and of no other database', async (t) => {
  const { caches, set, stop } = await cachesInHand()
  t.after(stop)
  const views = createDatabaseViews(caches, { clock: systemClock })
  await set(pod('b'))
  await set(database())
  await set(database('other'))
  await set(pod('a'))
  await set(operation(12))
  await set(operation(9))

  const view = views.get(namespace, 'tidal-gauge')
  assert.equal(view?.object?.metadata.name, 'tidal-gauge')
  assert.deepEqual(
    view?.pods.map(({ metadata }) => metadata.name),
    ['a', 'b'],
  )
  assert.deepEqual(
    view?.operations.map(({ spec }) => spec.sequence),
    [9, 12],
  )
  assert.deepEqual(views.get(namespace, 'other')?.pods, [])
  assert.deepEqual(
    views.within(namespace).map(({ name }) => name),
    ['other', 'tidal-gauge'],
  )
})

test('a change raises the revision of its own database and its namespace, and of no other', async (t) => {
  const { caches, set, stop } = await cachesInHand()
  t.after(stop)
  const views = createDatabaseViews(caches, { clock: systemClock })
  await set(database())
  await set(database('other'))
  const before = {
    own: views.get(namespace, 'tidal-gauge')?.revision ?? 0,
    other: views.get(namespace, 'other')?.revision,
    room: views.revisionOf(namespace),
  }
  await set(pod('a'))
  assert.ok((views.get(namespace, 'tidal-gauge')?.revision ?? 0) > before.own)
  assert.ok(views.revisionOf(namespace) > before.room)
  assert.equal(views.get(namespace, 'other')?.revision, before.other)
  assert.equal(views.revisionOf('project-elsewhere'), 0)
})

test('a database of which nothing is left has no view, and one that comes back never repeats a revision', async (t) => {
  const { caches, set, remove, stop } = await cachesInHand()
  t.after(stop)
  const views = createDatabaseViews(caches, { clock: systemClock })
  const object = await set(database())
  const left = await set(pod('a'))
  const revision = views.get(namespace, 'tidal-gauge')?.revision ?? 0
  await remove(object)
  assert.equal(views.get(namespace, 'tidal-gauge')?.object, undefined, 'a pod is left, so there is a view without an object')
  await remove(left)
  assert.equal(views.get(namespace, 'tidal-gauge'), undefined)
  assert.deepEqual(views.within(namespace), [])
  await set(database())
  assert.ok((views.get(namespace, 'tidal-gauge')?.revision ?? 0) > revision)
})

test('a view made late knows what the caches held before', async (t) => {
  const { caches, set, stop } = await cachesInHand()
  t.after(stop)
  await set(database())
  await set(pod('a'))
  assert.equal(createDatabaseViews(caches, { clock: systemClock }).get(namespace, 'tidal-gauge')?.pods.length, 1)
})

test('a database view knows when the health changed, and does not claim to know when it did not see it', async (t) => {
  const { caches, set, stop } = await cachesInHand()
  t.after(stop)
  let now = 1_000
  const views = createDatabaseViews(caches, { clock: { ...systemClock, now: () => now } })
  const withHealth = (health: string) => ({ ...database(), status: { crateDBStatus: { health } } })
  await set(withHealth('GREEN'))
  assert.equal(views.get(namespace, 'tidal-gauge')?.healthChangedAt, undefined)
  now = 2_000
  await set(withHealth('YELLOW'))
  now = 3_000
  await set(withHealth('YELLOW'))
  assert.equal(views.get(namespace, 'tidal-gauge')?.healthChangedAt, 2_000)
})
