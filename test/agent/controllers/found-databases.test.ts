import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { RetainedDatabase } from '../../../agent/resources/retained-database.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'
import { type ActingRegion, startActingRegion } from '../operations/acting-region.ts'

let region: ActingRegion
before(async () => {
  region = await startActingRegion()
  await region.ended(await region.putProject('harbour'))
})
after(() => region?.close())

const target = (database: string) => ({ kind: 'database' as const, project: 'harbour', database })
const namespace = 'skerry'

async function list<T extends KubernetesObject>(kind: (typeof kinds)[keyof typeof kinds], database: string): Promise<T[]> {
  const query = { labelSelector: `skerry.dev/database=${database}` }
  return (await region.admin.request<{ items: T[] }>({ method: 'GET', path: pathOf(kind), query })).items
}
const recordsOf = (database: string) => list<RetainedDatabase>(kinds.RetainedDatabase, database)
const volumesOf = (database: string) => list(kinds.PersistentVolume, database)
const remove = (path: string) => region.admin.request({ method: 'DELETE', path })
const merge = (path: string, body: object) =>
  region.admin.request<KubernetesObject>({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body })
const recordPath = (name: string) => pathOf(kinds.RetainedDatabase, namespace, name)
const volumePath = (name: string) => pathOf(kinds.PersistentVolume, undefined, name)

async function put(id: string): Promise<void> {
  const { status } = await region.ended(await region.putDatabase('harbour', { id }))
  assert.equal(status?.phase, 'Succeeded', JSON.stringify(status))
}

/** As an earlier version did, or `uninstall.sh`: the volumes stay, and nothing records them. */
async function deleteUnrecorded(id: string): Promise<void> {
  await region.ended(await region.accept({ action: 'delete', target: target(id), parameters: { retainVolumes: true } }))
  for (const { metadata, spec } of await recordsOf(id)) if (spec.origin !== 'found') await remove(recordPath(metadata.name))
}

const found = (id: string, count = 1) =>
  until(`${count} databases ${id} are found`, async () => {
    const records = await recordsOf(id)
    return records.length === count && records.every(({ spec, status }) => spec.origin === 'found' && status?.phase === 'Kept') && records
  })

test('volumes that nobody recorded are a deleted database, which is kept until somebody purges it', async () => {
  await put('tide')
  await deleteUnrecorded('tide')
  const [record] = (await found('tide')) as [RetainedDatabase]
  const [volume] = (await volumesOf('tide')) as [KubernetesObject]
  const { deletedAt, shape, ...spec } = record.spec
  assert.deepEqual(spec, {
    project: 'harbour',
    database: 'tide',
    origin: 'found',
    deletedBy: 'nobody knows',
    volumes: [
      {
        volume: volume.metadata.name,
        uid: volume.metadata.uid,
        claim: 'project-harbour/data0-crate-data-hot-tide-0',
        capacity: '8Gi',
        storageClass: 'crate-premium',
        handle: spec.volumes[0]?.handle,
      },
    ],
    secrets: [],
  })
  assert.equal(shape?.nodes.count, 1)
  assert.ok(Math.abs(Date.parse(deletedAt) - Date.now()) < 60_000)
  assert.equal(record.status?.message, 'Kept until somebody purges it.')
})

test('a record that somebody deletes is made again from the volumes, with the same name', async () => {
  await put('ebb')
  await deleteUnrecorded('ebb')
  const [first] = (await found('ebb')) as [RetainedDatabase]
  await remove(recordPath(first.metadata.name))
  await until('it is another one', async () => (await recordsOf('ebb')).some(({ metadata }) => metadata.uid !== first.metadata.uid))
  const [second] = (await found('ebb')) as [RetainedDatabase]
  assert.equal(second.metadata.name, first.metadata.name)
})

test('a database of a name that was deleted twice can be had back in both states', async () => {
  await put('surge')
  await deleteUnrecorded('surge')
  await found('surge')
  await put('surge')
  await deleteUnrecorded('surge')
  const records = await found('surge', 2)
  assert.equal(new Set(records.flatMap(({ spec }) => spec.volumes.map(({ uid }) => uid))).size, 2)
})

test('a record goes when its volumes serve the database again, whoever brought it back', async () => {
  await put('swell')
  await deleteUnrecorded('swell')
  const [record] = (await found('swell')) as [RetainedDatabase]
  for (const { volume } of record.spec.volumes)
    await merge(volumePath(volume), { spec: { claimRef: { uid: null, resourceVersion: null } } })
  await put('swell')
  await until('the record is gone', async () => (await recordsOf('swell')).length === 0)
  assert.deepEqual(
    (await volumesOf('swell')).map(({ metadata }) => metadata.name),
    record.spec.volumes.map(({ volume }) => volume),
  )
})

test('a record whose volumes are all gone goes too, with an Event; while one is left, it says how many are lost', async () => {
  await put('wave')
  await deleteUnrecorded('wave')
  const [record] = (await found('wave')) as [RetainedDatabase]
  const path = recordPath(record.metadata.name)
  const lost = { volume: 'pvc-lost', uid: 'lost', claim: 'project-harbour/data0-crate-data-hot-wave-1' }
  await merge(path, { spec: { volumes: [...record.spec.volumes, lost] } })
  await until('it says so', async () => {
    const [present] = await recordsOf('wave')
    return present?.status?.message === 'Kept until somebody purges it. 1 of 2 volumes no longer exist.'
  })
  for (const { volume } of record.spec.volumes) await remove(volumePath(volume))
  await until('the record is gone', async () => (await recordsOf('wave')).length === 0)
  await until('an Event says so', async () => {
    const { items } = await region.admin.request<{ items: KubernetesObject[] }>({ method: 'GET', path: pathOf(kinds.Event, namespace) })
    return items.some(({ reason, involvedObject }) => reason === 'VolumesGone' && involvedObject.name === record.metadata.name)
  })
})

test('nothing is found while the database stands, nor what an operation was asked to let go', async () => {
  await put('eddy')
  const [volume] = (await volumesOf('eddy')) as [KubernetesObject]
  const claim = pathOf(kinds.PersistentVolumeClaim, 'project-harbour', 'data0-crate-data-hot-eddy-9')
  // As of a node that was removed, and whose claim somebody deleted.
  const { uid: _, resourceVersion: _v, creationTimestamp: _t, ...metadata } = volume.metadata
  await region.admin.request({
    method: 'POST',
    path: pathOf(kinds.PersistentVolume),
    body: {
      ...volume,
      status: undefined,
      metadata: { ...metadata, name: 'pvc-eddy-9' },
      spec: {
        ...volume.spec,
        claimRef: { kind: 'PersistentVolumeClaim', namespace: 'project-harbour', name: claim.slice(claim.lastIndexOf('/') + 1) },
      },
    },
  })
  await until('it is in the cache', async () => region.caches.volumes.get('pvc-eddy-9')?.found)
  await put('gyre')
  await region.ended(await region.accept({ action: 'delete', target: target('gyre'), parameters: { retainVolumes: false } }))
  await put('last')
  await deleteUnrecorded('last')
  await found('last') // it was found later than those would have been
  assert.deepEqual([await recordsOf('eddy'), await recordsOf('gyre')], [[], []])
  await deleteUnrecorded('eddy')
  const [record] = (await found('eddy')) as [RetainedDatabase]
  assert.deepEqual(
    record.spec.volumes.map(({ volume }) => volume),
    [volume.metadata.name],
    'that of the removed node is not part of the database',
  )
})

test('a record that was edited into nonsense is not believed, and says why', async () => {
  await put('kelp')
  await deleteUnrecorded('kelp')
  const [record] = (await found('kelp')) as [RetainedDatabase]
  const [other] = (await volumesOf('tide')) as [KubernetesObject]
  await merge(recordPath(record.metadata.name), {
    spec: {
      expiresAt: '2020-01-01T00:00:00Z',
      volumes: [{ volume: other.metadata.name, uid: other.metadata.uid, claim: 'project-harbour/data0-crate-data-hot-tide-0' }],
    },
  })
  const [nonsense] = await until('it says so', async () => {
    const records = await recordsOf('kelp')
    return records.some(({ status }) => status?.message?.includes('cannot be read')) && records
  })
  assert.equal(
    nonsense?.status?.message,
    'The record cannot be read, so nothing is deleted: /spec/volumes/0/claim must be a data claim of the database.',
  )
  assert.ok(!region.journal.all().some(({ spec }) => spec.action === 'purge'))
})
