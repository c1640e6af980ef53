import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { collections, createMonitorCaches, followRegion, isCurrent, isKnown } from '../../../monitor/region/caches.ts'
import { systemClock } from '../../../shared/clock.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { startCluster, type TestCluster, until } from '../../cluster/index.ts'
import { definitions } from '../../region/definitions.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'
import { connectTo, install } from '../../shared/kubernetes/connected.ts'
import { cachesOn, clusterInHand, components, crateDB, silent, sparkplugNode } from './in-hand.ts'

let testCluster: TestCluster
let admin: Cluster

before(async () => {
  testCluster = await startCluster()
  admin = connectTo(testCluster)
})
after(async () => {
  admin.close()
  await testCluster.stop()
})

test('a cluster without any of the definitions is followed, and they are noticed when they are installed', async (t) => {
  const tools = { cluster: admin, clock: systemClock, log: silent }
  const caches = createMonitorCaches({ components, lookMs: 200 }, tools)
  const part = followRegion(caches, { ...tools, patienceMs: 30_000 })
  await part.start(new AbortController().signal)
  t.after(() => part.stop(0))
  const absent = () => [caches.projects, caches.databases, caches.sparkplugNodes].map((cache) => cache.absent)
  assert.deepEqual(absent(), [true, true, true])
  for (const name of collections) assert.ok(isKnown(caches[name]) && isCurrent(caches[name], systemClock.monotonic()), name)

  await install(admin, [...definitions.skerry, ...definitions.crateDB])
  await admin.request({
    method: 'POST',
    path: '/apis/skerry.dev/v1/projects',
    body: { apiVersion: 'skerry.dev/v1', kind: 'Project', metadata: { name: 'harbour' }, spec: {} },
  })
  await until('they are noticed', async () => absent().every((each) => !each) && caches.projects.size === 1 && caches.databases.synced)

  const made = { name: 'orders-rehearsal', labels: { 'skerry.dev/rehearsal': 'op-0000000042' } }
  for (const metadata of [made, { name: 'orders' }])
    await admin.request({
      method: 'POST',
      path: '/apis/cloud.crate.io/v1/namespaces/default/cratedbs',
      body: { ...crateDB('default', 'any'), metadata },
    })
  await until('the one that no rehearsal made is seen, alone', async () => caches.databases.size === 1)
  assert.deepEqual(
    [...caches.databases.values()].map(({ metadata }) => metadata.name),
    ['orders'],
  )
})

test('a monitor starts when the API server does not answer, and sees the region when it does', async (t) => {
  const other = connectTo(testCluster)
  t.after(() => other.close())
  await testCluster.suspend()
  const tools = { cluster: other, clock: systemClock, log: silent }
  const caches = createMonitorCaches({ components }, tools)
  const part = followRegion(caches, { ...tools, patienceMs: 200 })
  await part.start(new AbortController().signal)
  t.after(() => part.stop(0))
  assert.equal(isKnown(caches.hosts), false)
  await testCluster.resume()
  await until('everything is seen', async () => collections.every((name) => isKnown(caches[name])))
})

test('a start that is told to stop gives up at once', async () => {
  const world = clusterInHand()
  world.setAway(true)
  const tools = { cluster: world.cluster, clock: createFakeClock(), log: silent }
  const stopping = new AbortController()
  const starting = followRegion(createMonitorCaches({ components }, tools), tools).start(stopping.signal)
  stopping.abort(new Error('told to stop'))
  await assert.rejects(starting, /told to stop/)
})

const secret = (namespace: string, name: string, text: string) => ({
  ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace } },
  data: { key: Buffer.from(text).toString('base64') },
})

test('Secrets are followed only in namespaces with a SparkplugNode that names one, and only news is told', async (t) => {
  const clock = createFakeClock()
  const world = clusterInHand([
    sparkplugNode('site', 'crane', ['crane-config']),
    sparkplugNode('yard', 'truck'),
    secret('site', 'crane-config', 'one'),
    secret('yard', 'other', 'one'),
  ])
  const paths: string[] = []
  const { watch } = world.cluster
  world.cluster.watch = (path, ...rest) => {
    if (path.endsWith('/secrets')) paths.push(path)
    return watch(path, ...rest)
  }
  const caches = await cachesOn(t, world, clock)
  const told: string[] = []
  caches.secrets.subscribe(({ type, key }) => told.push(`${type} ${key}`))
  await clock.advance(1_000)
  assert.deepEqual([told, paths], [[], ['/api/v1/namespaces/site/secrets']])

  world.set(secret('site', 'crane-config', 'two'))
  world.set(secret('yard', 'other', 'two'))
  await clock.advance(1_000)
  assert.deepEqual(told, ['changed site/crane-config'])

  world.set(sparkplugNode('yard', 'truck', ['other']))
  await clock.advance(1_000)
  world.set(secret('yard', 'other', 'three'))
  await clock.advance(1_000)
  assert.deepEqual(told.slice(1), ['changed yard/other'])

  world.remove(sparkplugNode('site', 'crane'))
  await clock.advance(1_000)
  world.set(secret('site', 'crane-config', 'three'))
  await clock.advance(1_000)
  assert.equal(told.length, 2)
})
