import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { createClusterBdSeq, createFileBdSeq, sessionConfigMap } from '../../../monitor/sparkplug/bd-seq.ts'
import { systemClock } from '../../../shared/clock.ts'
import { startCluster } from '../../cluster/index.ts'
import { connectTo } from '../../shared/kubernetes/connected.ts'
import { logInHand } from './node-in-hand.ts'

const { signal } = new AbortController()

test('bdSeq in a file begins with 0, survives, and goes from 255 to 0', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'skerry-bdseq-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  const file = path.join(directory, 'state', 'bdSeq')
  const { log } = logInHand()
  assert.equal(await createFileBdSeq(file, { log }).next(signal), 0)
  const second = createFileBdSeq(file, { log })
  assert.deepEqual([await second.next(signal), await second.next(signal)], [1, 2])
  writeFileSync(file, '255\n')
  assert.equal(await createFileBdSeq(file, { log }).next(signal), 0)
})

test('a file of bdSeq that is damaged or cannot be written is warned of and silences nobody', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'skerry-bdseq-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  const { log, lines } = logInHand()
  writeFileSync(path.join(directory, 'bdSeq'), 'garbage')
  assert.equal(await createFileBdSeq(path.join(directory, 'bdSeq'), { log }).next(signal), 0)
  assert.equal(lines.length, 1)
  const lost = createFileBdSeq(path.join(directory, 'bdSeq', 'below', 'a-file'), { log })
  assert.deepEqual([await lost.next(signal), await lost.next(signal)], [0, 1])
  chmodSync(directory, 0o700)
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
  assert.equal(await stores[0]?.next(signal), 0)
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
