import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'
import { type DeletedScene, startDeletedScene } from './deleted-scene.ts'

let scene: DeletedScene
before(async () => {
  scene = await startDeletedScene()
})
after(() => scene?.close())

const pathOfDeleted = (id: string) => `/v1/projects/harbour/deleted-databases/${id}`
const volumePath = (name: string) => pathOf(kinds.PersistentVolume, undefined, name)
const exists = (name: string) =>
  scene.region.admin.request<KubernetesObject>({ method: 'GET', path: volumePath(name) }).then(
    () => true,
    () => false,
  )
async function deletedOne(id: string, nodes = 1) {
  await scene.put(id, { nodes })
  await scene.remove(id)
  const [deleted] = (await scene.deleted()).filter(({ database }) => database === id)
  return deleted
}

test('a purge deletes the volumes, the passwords and the record', async () => {
  const deleted = await deletedOne('tide', 2)
  const plan = await scene.call('DELETE', `${pathOfDeleted(deleted.id)}?dryRun=true`)
  assert.match(plan.text, /2 volumes \(16 GiB\) of the database deleted .* will be deleted: nothing of the data is left/)
  const operation = await scene.ask('DELETE', pathOfDeleted(deleted.id))
  assert.equal(operation.phase, 'Succeeded', JSON.stringify(operation))
  for (const { volume } of deleted.volumes) assert.equal(await exists(volume), false)
  assert.equal((await scene.call('GET', pathOfDeleted(deleted.id))).status, 404)
  await until('its Secret is gone', async () => (await scene.keptSecret(deleted.id)) === undefined)
})

test('what no provisioner made is left, named, and can still be had back', async () => {
  const deleted = await deletedOne('ebb', 2)
  const [first, second] = deleted.volumes
  await scene.patchVolume(first.volume, { metadata: { annotations: { 'pv.kubernetes.io/provisioned-by': null } } })
  const operation = await scene.ask('DELETE', pathOfDeleted(deleted.id))
  assert.deepEqual([operation.phase, operation.reason], ['Failed', 'PurgeIncomplete'])
  assert.deepEqual([await exists(first.volume), await exists(second.volume)], [true, false])
  const { status } = (await scene.call('GET', pathOfDeleted(deleted.id))).body
  assert.equal(status.phase, 'PurgeIncomplete')
  assert.deepEqual(
    status.left.map(({ volume }: { volume: string }) => volume),
    [first.volume],
  )
  assert.match(status.left[0].why, /no provisioner made it/)
  const back = await scene.undelete(deleted.id, {}, '?startsEmpty=true')
  assert.equal(back.phase, 'Succeeded', JSON.stringify(back))
  assert.equal((await scene.volumesOf('ebb'))[0]?.volume, first.volume)
})

test('a volume that serves a database again is not touched', async () => {
  const deleted = await deletedOne('flow')
  const [{ volume }] = deleted.volumes
  scene.region.lead(false)
  const { body: purge } = await scene.call('DELETE', pathOfDeleted(deleted.id))
  await scene.patchVolume(volume, { spec: { claimRef: { uid: null, resourceVersion: null } } })
  const resources = { requests: { storage: '8Gi' } }
  const claim = {
    metadata: { name: 'data0-crate-data-hot-flow-0' },
    spec: { accessModes: ['ReadWriteOnce'], storageClassName: 'crate-premium', resources },
  }
  await scene.region.admin.request({ method: 'POST', path: pathOf(kinds.PersistentVolumeClaim, 'project-harbour'), body: claim })
  const phase = async () => (await scene.region.admin.request<KubernetesObject>({ method: 'GET', path: volumePath(volume) })).status?.phase
  await until('somebody uses it by hand', async () => (await phase()) === 'Bound')
  scene.region.lead(true)
  const { status } = await scene.region.ended({ metadata: { name: purge.id } } as never)
  assert.match(status?.message ?? '', /the claim project-harbour\/data0-crate-data-hot-flow-0 uses it/)
  assert.equal(await exists(volume), true)
})

test('of an undelete and a purge at the same time one is accepted, and the other is told which', async () => {
  const deleted = await deletedOne('race')
  scene.region.lead(false)
  const path = pathOfDeleted(deleted.id)
  const answers = await Promise.all([scene.call('POST', `${path}/actions/undelete`), scene.call('DELETE', path)])
  const [accepted] = answers.filter(({ status }) => status === 202)
  const [refused] = answers.filter(({ status }) => status === 409)
  assert.ok(accepted && refused, answers.map(({ text }) => text).join('\n'))
  assert.match(refused.text, new RegExp(`operation ${accepted.body.id} .* has not ended`))
  scene.region.lead(true)
  await scene.region.ended({ metadata: { name: accepted.body.id } } as never)
  assert.deepEqual(
    (await scene.deleted()).filter(({ database }) => database === 'race'),
    [],
  )
})

test('volumes that somebody has reserved by hand go as others do', async () => {
  const deleted = await deletedOne('neap')
  const [{ volume }] = deleted.volumes
  await scene.patchVolume(volume, { spec: { claimRef: { uid: null, resourceVersion: null } } })
  const operation = await scene.ask('DELETE', pathOfDeleted(deleted.id))
  assert.equal(operation.phase, 'Succeeded', JSON.stringify(operation))
  assert.equal(await exists(volume), false)
})

test('a record that somebody changed by hand gets at no volume of another database', async () => {
  const deleted = await deletedOne('forged')
  await scene.put('victim')
  const [theirs] = await scene.volumesOf('victim')
  await scene.remove('victim')
  const victim = (await scene.deleted()).find(({ database }) => database === 'victim')
  const path = pathOf(kinds.RetainedDatabase, 'skerry', deleted.id)
  const body = { spec: { volumes: victim.volumes } }
  await scene.region.admin.request({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body })
  for (const [method, at] of [
    ['DELETE', pathOfDeleted(deleted.id)],
    ['POST', `${pathOfDeleted(deleted.id)}/actions/undelete`],
  ] as const) {
    const refused = await scene.call(method, at)
    assert.equal(refused.status, 409, refused.text)
    assert.match(refused.body.detail, /cannot be read, so nothing is done by it: .*must be a data claim of the database/)
  }
  assert.equal((await scene.call('GET', pathOfDeleted(deleted.id))).status, 404)
  assert.equal(await exists(theirs?.volume ?? ''), true)
})

test('a record of volumes alone gets at no volume of a database whose claims look like its own', async () => {
  const deleted = await deletedOne('forged-again')
  await scene.put('north-forged-again')
  const [theirs] = await scene.volumesOf('north-forged-again')
  await scene.remove('north-forged-again')
  const victim = (await scene.deleted()).find(({ database }) => database === 'north-forged-again')
  const path = pathOf(kinds.RetainedDatabase, 'skerry', deleted.id)
  const body = { spec: { volumes: victim.volumes, cratedb: null } }
  await scene.region.admin.request({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body })
  const refused = await scene.call('POST', `${pathOfDeleted(deleted.id)}/actions/undelete`)
  assert.equal(refused.status, 409, refused.text)
  const purge = await scene.ask('DELETE', pathOfDeleted(deleted.id))
  assert.match(purge.message, /has the data of database harbour\/north-forged-again/)
  assert.equal(await exists(theirs?.volume ?? ''), true)
})

test('with keepDeletedDays 0 the data goes right after the deletion, and the plan of the deletion says so', async () => {
  await scene.ask('PUT', '/v1/projects/shoal', { body: { keepDeletedDays: 0 } })
  await scene.put('tide', {}, 'shoal')
  const plan = await scene.call('DELETE', '/v1/projects/shoal/databases/tide?dryRun=true')
  assert.match(plan.text, /will be deleted right afterwards, since keepDeletedDays of the project is 0: the data is lost/)
  const deletion = await scene.remove('tide', '', 'shoal')
  assert.equal(deletion.message, 'Deleted; 1 volume goes right away, since keepDeletedDays of the project is 0.')
  const [{ volume }] = deletion.result.retainedVolumes
  await until('the volume is gone', async () => !(await exists(volume)))
  await until('so is the record', async () => (await scene.deleted('shoal')).length === 0)
})
