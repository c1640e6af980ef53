import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { storageReadiness } from '../../../monitor/metrics/readiness.ts'
import { createClusterBdSeq, sessionConfigMap } from '../../../monitor/sparkplug/bd-seq.ts'
import { createFileBdSeq } from '../../../monitor/sparkplug/bd-seq-file.ts'
import { systemClock } from '../../../shared/clock.ts'
import { startCluster } from '../../cluster/index.ts'
import { connectTo } from '../../shared/kubernetes/connected.ts'
import { logInHand, nodeInHand } from './node-in-hand.ts'
import { startWireServer } from './wire-server.ts'

const { signal } = new AbortController()

test('bdSeq in a file begins with 0, survives, and goes from 255 to 0', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'skerry-bdseq-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  const file = path.join(directory, 'state', 'bdSeq')
  const { log } = logInHand()
  const first = createFileBdSeq(file, { log })
  assert.equal(await first.wasUsed(signal), false)
  assert.equal(await first.next(signal), 0)
  const second = createFileBdSeq(file, { log })
  assert.equal(await second.wasUsed(signal), true)
  assert.deepEqual([await second.next(signal), await second.next(signal)], [1, 2])
  writeFileSync(file, '255\n')
  assert.equal(await createFileBdSeq(file, { log }).next(signal), 0)
})

test('a file of bdSeq without a number is warned of', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'skerry-bdseq-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  const { log, lines } = logInHand()
  writeFileSync(path.join(directory, 'bdSeq'), 'garbage')
  assert.equal(await createFileBdSeq(path.join(directory, 'bdSeq'), { log }).next(signal), 0)
  assert.equal(lines.length, 1)
})

test('a number that cannot be kept is used by nobody: no CONNECT goes out, readiness says why, and when the disk is back the node is born', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'skerry-bdseq-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  const folder = path.join(directory, 'state')
  const file = path.join(folder, 'bdSeq')
  writeFileSync(folder, 'no folder')
  const server = await startWireServer(t)
  const { log } = logInHand()
  const { node, lines } = nodeInHand(t, [server.url], {}, { bdSeq: createFileBdSeq(file, { log }) })
  const readiness = storageReadiness(node)
  assert.equal(readiness.trouble(), undefined)
  await node.start(signal)
  const until = async (is: () => boolean) => {
    for (const end = performance.now() + 10_000; !is() && performance.now() < end; ) await systemClock.sleep(5, signal)
  }
  await until(() => node.observe().reconnects >= 3)
  assert.deepEqual(server.packets, [])
  assert.match(readiness.trouble() ?? '', /bdSeq cannot be kept.* make room for .*bdSeq or make it writable: ENOTDIR/)
  assert.ok(lines.some(({ detail }) => String(detail).startsWith('bdSeq cannot be kept')))
  rmSync(folder)
  await until(() => node.observe().isOnline)
  assert.deepEqual([node.observe().isOnline, readiness.trouble()], [true, undefined])
  assert.equal(readFileSync(file, 'utf8').trim(), '0')
})

test('bdSeq in the cluster: two replicas never get the same number, in conflict and after lost answers too', async (t) => {
  const cluster = await startCluster()
  t.after(() => cluster.stop())
  const admin = connectTo(cluster)
  t.after(() => admin.close())
  await admin.request({
    method: 'POST',
    path: '/api/v1/namespaces',
    body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'skerry' } },
  })
  const stores = [1, 2, 3].map(() => createClusterBdSeq({ namespace: 'skerry' }, { cluster: admin, clock: systemClock }))
  assert.equal(await stores[0]?.wasUsed(signal), false)
  assert.equal(await stores[0]?.next(signal), 0)
  assert.equal(await stores[1]?.wasUsed(signal), true)
  const numbers = await Promise.all(stores.flatMap((store) => [store.next(signal), store.next(signal)]))
  assert.deepEqual(
    numbers.toSorted((a, b) => a - b),
    [1, 2, 3, 4, 5, 6],
  )
  const path = `/api/v1/namespaces/skerry/configmaps/${sessionConfigMap}`
  const kept = await admin.request({ method: 'GET', path })
  assert.deepEqual(kept.data, { bdSeq: '6' })
  await admin.request({ method: 'PUT', path, body: { ...kept, data: { bdSeq: '255', other: 'x' } } })
  assert.equal(await stores[1]?.next(signal), 0)
  assert.deepEqual((await admin.request({ method: 'GET', path })).data, { bdSeq: '0', other: 'x' })
})
