import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { systemClock } from '../../../shared/clock.ts'
import { Problem } from '../../../shared/errors.ts'
import { createCache } from '../../../shared/kubernetes/cache.ts'
import { type Kind, kinds } from '../../../shared/kubernetes/objects.ts'
import type { Part } from '../../../shared/lifecycle.ts'
import { limitConcurrency } from '../../../shared/limit-concurrency.ts'
import { createLog } from '../../../shared/log.ts'
import { startEmbeddedCluster } from '../../cluster/index.ts'
import { connectTo } from './connected.ts'

const log = createLog({ level: 'silent', name: 'test' })

/** A cluster with some objects of two kinds, and how many lists were under way at once. */
async function clusterWith(t: TestContext, count: number) {
  const testCluster = await startEmbeddedCluster()
  t.after(() => testCluster.stop())
  const admin = connectTo(testCluster)
  t.after(() => admin.close())
  for (const kind of [kinds.ConfigMap, kinds.Secret])
    for (let index = 0; index < count; index++) {
      const metadata = { name: `object-${index}`, namespace: 'default', labels: { test: 'yes' } }
      await admin.request({
        method: 'POST',
        path: `/api/v1/namespaces/default/${kind.plural}`,
        body: { apiVersion: 'v1', kind: kind.kind, metadata },
      })
    }
  const seen = { lists: 0, now: 0, most: 0 }
  const cluster: typeof admin = {
    ...admin,
    async request(request) {
      seen.lists++
      seen.most = Math.max(seen.most, ++seen.now)
      return admin.request(request).finally(() => seen.now--)
    },
  }
  return { seen, cluster }
}

const starting = async (t: TestContext, cache: Part) => {
  t.after(() => cache.stop(0))
  await cache.start(new AbortController().signal)
}
const config = (kind: Kind) => ({ kind, labelSelector: 'test=yes', pageSize: 3 })

test('a cache sees a collection whole that takes several pages', async (t) => {
  const { cluster, seen } = await clusterWith(t, 7)
  const cache = createCache(config(kinds.ConfigMap), { cluster, clock: systemClock, log })
  await starting(t, cache)
  assert.equal(seen.lists, 3)
  assert.deepEqual(
    [...cache.values()].map(({ metadata }) => metadata.name).sort(),
    Array.from({ length: 7 }, (_, i) => `object-${i}`),
  )
})

test('caches that share their turns read one page at a time', async (t) => {
  const { cluster, seen } = await clusterWith(t, 7)
  const tools = { cluster, clock: systemClock, log, limitReads: limitConcurrency(1) }
  const caches = [kinds.ConfigMap, kinds.Secret].map((kind) => createCache(config(kind), tools))
  await Promise.all(caches.map((cache) => starting(t, cache)))
  assert.deepEqual([caches.map(({ size }) => size), seen.lists, seen.most], [[7, 7], 6, 1])
})

test('a page that fails does not hold up the caches that wait for their turn', async (t) => {
  const { cluster } = await clusterWith(t, 1)
  const tools = { cluster, clock: systemClock, log, limitReads: limitConcurrency(1) }
  const missing = createCache({ kind: { ...kinds.CrateDB, plural: 'nothings' } }, tools)
  t.after(() => missing.stop(0))
  void missing.start(new AbortController().signal).catch(() => {})
  const cache = createCache(config(kinds.ConfigMap), tools)
  await starting(t, cache)
  assert.equal(cache.size, 1)
})

test('whoever hears that the trouble of a cache is over finds it whole, also the first time', async (t) => {
  const { cluster } = await clusterWith(t, 1)
  let fails = true
  const late: typeof cluster = {
    ...cluster,
    async request(request) {
      if (fails) throw new Problem('not-served', 'no such kind')
      return cluster.request(request)
    },
  }
  const cache = createCache(config(kinds.ConfigMap), { cluster: late, clock: systemClock, log })
  const heard: [isInTrouble: boolean, isWhole: boolean][] = []
  cache.onTrouble(() => {
    fails = false
    heard.push([cache.trouble !== undefined, cache.synced])
  })
  await starting(t, cache)
  assert.deepEqual(heard, [
    [true, false],
    [false, true],
  ])
})
