import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createRetainedController } from '../../../agent/controllers/retained-databases.ts'
import type { RetainedDatabase } from '../../../agent/resources/retained-database.ts'
import { systemClock } from '../../../shared/clock.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { createLog } from '../../../shared/log.ts'
import { until } from '../../cluster/index.ts'
import { type ActingRegion, startActingRegion } from '../operations/acting-region.ts'
import { leaseInHand } from './region.ts'

let region: ActingRegion
before(async () => {
  region = await startActingRegion()
})
after(() => region?.close())

/** A volume that is reserved for a claim of a database that does not exist. */
function volume(database: string, shape: object = {}): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: {
      name: `pv-${database}`,
      labels: { 'skerry.dev/project': 'harbour', 'skerry.dev/database': database },
      annotations: { 'skerry.dev/database-shape': JSON.stringify(shape) },
    },
    spec: {
      capacity: { storage: '8Gi' },
      accessModes: ['ReadWriteOnce'],
      persistentVolumeReclaimPolicy: 'Retain',
      storageClassName: 'crate-premium',
      claimRef: { kind: 'PersistentVolumeClaim', namespace: 'project-harbour', name: `data0-crate-data-hot-${database}-0` },
      hostPath: { path: `/${database}` },
    },
  }
}
const make = (database: string) => region.admin.request({ method: 'POST', path: pathOf(kinds.PersistentVolume), body: volume(database) })
const records = () => [...region.caches.retained.values()]
const untilKept = (count: number) =>
  until(`${count} are recorded`, async () => records().filter(({ status }) => status?.phase === 'Kept').length === count, 120_000)

test('a thousand deleted databases are found, and looked at again without a write', async () => {
  const names = Array.from({ length: 1_000 }, (_, index) => `tide-${index}`)
  for (let at = 0; at < names.length; at += 50) await Promise.all(names.slice(at, at + 50).map(make))
  await untilKept(1_000)
  const sent: string[] = []
  region.intercept((request, send) => {
    if (request.method !== 'GET') sent.push(`${request.method} ${request.path}`)
    return send()
  })
  region.lead(false)
  region.lead(true)
  // Found after the look at all the others.
  await make('ebb')
  await untilKept(1_001)
  const others = sent.filter((request) => !/ebb|events/.test(request))
  assert.deepEqual(others, ['POST /apis/skerry.dev/v1/namespaces/skerry/retaineddatabases'], 'that of the one that was new')
  region.intercept()
})

test('two leaders at the same time make one record of each', async (t) => {
  const unused = { accept: async () => assert.fail('nothing expires here') }
  const errors: string[] = []
  const log = createLog({ level: 'warn', name: 'test', destination: { write: (line) => void errors.push(line) } })
  const other = createRetainedController(
    { namespace: 'skerry', foundAfterMs: 20 },
    {
      ...{ cluster: region.admin, clock: systemClock, log, lease: leaseInHand(), caches: region.caches, journal: region.journal },
      ...{ requests: unused, recorder: { record: () => {} }, expiryTime: () => systemClock.now() },
    },
  )
  await other.start(new AbortController().signal)
  t.after(() => other.stop(0))
  const before = region.logged.length
  const names = Array.from({ length: 20 }, (_, index) => `swell-${index}`)
  await Promise.all(names.map(make))
  await untilKept(1_021)
  const ofSwell = await region.admin.request<{ items: RetainedDatabase[] }>({
    method: 'GET',
    path: pathOf(kinds.RetainedDatabase, 'skerry'),
  })
  const databases = ofSwell.items.map(({ spec }) => spec.database).filter((name) => name.startsWith('swell'))
  assert.deepEqual(databases.toSorted(), names.toSorted())
  assert.deepEqual([errors, region.logged.slice(before)], [[], []])
})
