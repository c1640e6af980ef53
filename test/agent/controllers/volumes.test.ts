import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { Problem } from '../../../shared/errors.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'
import { type ActingRegion, changed, startActingRegion } from '../operations/acting-region.ts'

let region: ActingRegion
before(async () => {
  region = await startActingRegion()
  await region.ended(await region.putProject('harbour'))
})
afterEach(() => {
  region.intercept()
  region.lead(true)
})
after(() => region?.close())

const target = (database: string) => ({ kind: 'database' as const, project: 'harbour', database })

async function volumeOf(database: string): Promise<KubernetesObject> {
  const query = { labelSelector: `skerry.dev/database=${database}` }
  const { items } = await region.admin.request<{ items: KubernetesObject[] }>({
    method: 'GET',
    path: pathOf(kinds.PersistentVolume),
    query,
  })
  assert.equal(items.length, 1)
  return items[0] as KubernetesObject
}
const policyOf = async (database: string) => (await volumeOf(database)).spec.persistentVolumeReclaimPolicy
const untilKept = (database: string) => until(`the volume of ${database} is kept`, async () => (await policyOf(database)) === 'Retain')

async function put(id: string, given: object = {}) {
  const operation = await region.ended(await region.putDatabase('harbour', { id, ...given }))
  assert.equal(operation.status?.phase, 'Succeeded', JSON.stringify(operation.status))
  return operation
}

test('the volumes of a database are kept when its operation has succeeded', async () => {
  await put('tide')
  assert.equal(await policyOf('tide'), 'Retain')
})

test('whoever takes the lead keeps the volumes that were bound before', async () => {
  await put('ebb')
  const { metadata } = await volumeOf('ebb')
  region.lead(false)
  await region.admin.request({
    method: 'PATCH',
    path: pathOf(kinds.PersistentVolume, undefined, metadata.name),
    contentType: 'application/merge-patch+json',
    body: { metadata: { annotations: { 'skerry.dev/reclaim-policy': null } }, spec: { persistentVolumeReclaimPolicy: 'Delete' } },
  })
  region.lead(true)
  await untilKept('ebb')
  assert.equal((await volumeOf('ebb')).metadata.annotations?.['skerry.dev/reclaim-policy'], 'Delete')
})

test('whoever takes the lead reads no volume that is kept and reserved for a database that comes back', async () => {
  await put('reef')
  await put('shoal')
  const { metadata: reserved } = await volumeOf('reef')
  await region.ended(await region.accept({ action: 'delete', target: target('reef'), parameters: { retainVolumes: true } }))
  const patch = (name: string, body: object) =>
    region.admin.request({
      method: 'PATCH',
      path: pathOf(kinds.PersistentVolume, undefined, name),
      contentType: 'application/merge-patch+json',
      body,
    })
  await until('it is released', async () => (await volumeOf('reef')).status?.phase === 'Released')
  await patch(reserved.name, { spec: { claimRef: { uid: null, resourceVersion: null } } })
  await until('the agent knows it as reserved', async () => region.caches.volumes.get(reserved.name)?.data !== undefined)
  region.lead(false)
  const { metadata: other } = await volumeOf('shoal')
  await patch(other.name, { spec: { persistentVolumeReclaimPolicy: 'Delete' } })
  const read: string[] = []
  region.intercept(async ({ method, path }, send) => {
    if (method === 'GET' && path.includes('/persistentvolumes/')) read.push(path.slice(path.lastIndexOf('/') + 1))
    return send()
  })
  region.lead(true)
  await untilKept('shoal')
  assert.ok(read.includes(other.name))
  assert.equal(read.includes(reserved.name), false)
})

test('volumes follow what operations say of them, and bear the shape that the database has now', async () => {
  const creation = await put('swell', { retainVolumes: false })
  // It is not kept, so it bears no labels either.
  const claim = pathOf(kinds.PersistentVolumeClaim, 'project-harbour', 'data0-crate-data-hot-swell-0')
  const { spec: bound } = await region.admin.request<KubernetesObject>({ method: 'GET', path: claim })
  const path = pathOf(kinds.PersistentVolume, undefined, bound.volumeName)
  const before = await region.admin.request<KubernetesObject>({ method: 'GET', path })
  assert.equal(before.spec.persistentVolumeReclaimPolicy, 'Delete')
  assert.equal(before.metadata.annotations?.['skerry.dev/let-go-by'], creation.metadata.name)

  const change = async (given: object) =>
    region.ended(await region.accept({ action: 'put', target: target('swell'), wanted: changed(creation, given) }))
  await change({ retainVolumes: true })
  const kept = await volumeOf('swell')
  assert.equal(kept.spec.persistentVolumeReclaimPolicy, 'Retain')
  assert.equal(kept.metadata.annotations?.['skerry.dev/let-go-by'], undefined)
  await change({ retainVolumes: true, version: '5.10.2' })
  await until('its shape is that of now', async () => {
    const { annotations } = (await volumeOf('swell')).metadata
    return JSON.parse(annotations?.['skerry.dev/database-shape'] ?? '{}').version === '5.10.2'
  })
  await change({ retainVolumes: false, version: '5.10.2' })
  assert.equal(await policyOf('swell'), 'Delete')
})

test('the volumes of a protected database are kept as long as it is protected, whatever else it says', async () => {
  const creation = await put('bore', { retainVolumes: false, deletionProtection: true })
  assert.equal(await policyOf('bore'), 'Retain')
  const lifting = await region.ended(
    await region.accept({ action: 'put', target: target('bore'), wanted: changed(creation, { deletionProtection: false }) }),
  )
  assert.equal(lifting.status?.phase, 'Succeeded', JSON.stringify(lifting.status))
  assert.equal(await policyOf('bore'), 'Delete')
})

test('a deletion that lets volumes go and then fails leaves them kept', async () => {
  await put('surge')
  let letGo = false
  region.intercept(async ({ method, path, body }, send) => {
    letGo ||= method === 'PATCH' && JSON.stringify(body).includes('let-go-by":"op-')
    if (method === 'DELETE' && path.endsWith('/cratedbs/surge')) throw new Problem('rejected-by-cluster', 'a policy refuses it')
    return send()
  })
  const deletion = await region.ended(
    await region.accept({ action: 'delete', target: target('surge'), parameters: { retainVolumes: false } }),
  )
  assert.equal(deletion.status?.phase, 'Failed')
  assert.ok(letGo)
  await untilKept('surge')
  await until('nothing says that it is let go', async () => {
    return (await volumeOf('surge')).metadata.annotations?.['skerry.dev/let-go-by'] === undefined
  })
})

/** Binds a claim of a database as the Crate Operator makes it, whether the database stands or not; the path of its volume. */
async function bind(database: string, node = 0): Promise<string> {
  const name = `data0-crate-data-hot-${database}-${node}`
  const labels = { 'app.kubernetes.io/name': database, 'app.kubernetes.io/component': 'cratedb' }
  const requests = { storage: '8Gi' }
  const claim = { accessModes: ['ReadWriteOnce'], storageClassName: 'crate-premium', resources: { requests } }
  await region.admin.request({
    method: 'POST',
    path: pathOf(kinds.PersistentVolumeClaim, 'project-harbour'),
    body: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name, namespace: 'project-harbour', labels }, spec: claim },
  })
  const path = pathOf(kinds.PersistentVolumeClaim, 'project-harbour', name)
  const bound = await until('it is bound', async () => {
    const { spec } = await region.admin.request<KubernetesObject>({ method: 'GET', path })
    return spec.volumeName ?? false
  })
  return pathOf(kinds.PersistentVolume, undefined, String(bound))
}
const policyAt = async (path: string): Promise<string> =>
  (await region.admin.request<KubernetesObject>({ method: 'GET', path })).spec.persistentVolumeReclaimPolicy
/** The controller has looked at what came before once it has kept a volume of a database that nobody knows. */
async function untilLooked(name: string): Promise<void> {
  const path = await bind(name)
  await until('a volume that nobody let go is kept', async () => (await policyAt(path)) === 'Retain')
}

test('a volume that was bound after the database of a rehearsal was deleted goes with it', async () => {
  const { spec } = await put('flood')
  const wanted = { ...(spec.wanted as object), id: 'copy', retainVolumes: false, rehearsal: { operation: 'op-1', of: 'flood' } }
  await region.ended(await region.accept({ action: 'put', target: target('copy'), wanted }))
  await region.ended(await region.accept({ action: 'delete', target: target('copy'), parameters: { retainVolumes: false } }))
  const late = await bind('copy')
  await untilLooked('nobody')
  assert.equal(await policyAt(late), 'Delete')
})

test('a volume that was bound after its database was deleted goes or stays as that was asked', async () => {
  const cases = [
    { id: 'gone', retainVolumes: true, asked: false, expected: 'Delete' },
    { id: 'spared', retainVolumes: false, asked: true, expected: 'Retain' },
  ]
  for (const { id, retainVolumes, asked } of cases) {
    await put(id, { retainVolumes })
    await region.ended(await region.accept({ action: 'delete', target: target(id), parameters: { retainVolumes: asked } }))
  }
  const late = await Promise.all(cases.map(({ id }) => bind(id, 7)))
  await untilLooked('somebody')
  await until('the one is kept', async () => (await policyAt(late[1] as string)) === 'Retain')
  assert.deepEqual(await Promise.all(late.map(policyAt)), ['Delete', 'Retain'])
})

test('a volume that is bound while its database is being deleted goes with it, and is kept if that fails', async () => {
  await put('rip')
  const reached = Promise.withResolvers<void>()
  const enough = Promise.withResolvers<void>()
  region.intercept(async ({ method, path }, send) => {
    if (method !== 'DELETE' || !path.endsWith('/cratedbs/rip')) return send()
    reached.resolve()
    await enough.promise
    throw new Problem('rejected-by-cluster', 'a policy refuses it')
  })
  const deletion = await region.accept({ action: 'delete', target: target('rip'), parameters: { retainVolumes: false } })
  await reached.promise
  const late = await bind('rip', 7)
  await untilLooked('anybody')
  assert.equal(await policyAt(late), 'Delete')
  enough.resolve()
  assert.equal((await region.ended(deletion)).status?.phase, 'Failed')
  await until('it is kept', async () => (await policyAt(late)) === 'Retain')
})
