import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { RetainedDatabase } from '../../../agent/resources/retained-database.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { listObjects } from '../../../shared/kubernetes/read.ts'
import { until } from '../../cluster/index.ts'
import { type DeletedScene, startDeletedScene } from './deleted-scene.ts'

let scene: DeletedScene
before(async () => {
  scene = await startDeletedScene()
})
after(() => scene?.close())

test('a plan says what it does, and a second undelete finds nothing', async () => {
  await scene.put('ebb')
  await scene.remove('ebb')
  const [deleted] = await scene.deleted()
  const path = `/v1/projects/harbour/deleted-databases/${deleted.id}`
  const plan = await scene.call('POST', `${path}/actions/undelete?dryRun=true`)
  assert.equal(plan.status, 200, plan.text)
  assert.deepEqual(
    plan.body.steps.map(({ name }: { name: string }) => name),
    ['reserve-volumes', 'return-secrets', 'create'],
  )
  const stale = await scene.call('POST', `${path}/actions/undelete`, { headers: { 'if-match': '"0000"' } })
  assert.equal(stale.status, 412, stale.text)
  const etag = (await scene.call('GET', path)).headers.get('etag') ?? ''
  assert.equal((await scene.undelete(deleted.id, { headers: { 'if-match': etag } })).phase, 'Succeeded')
  const again = await scene.call('POST', `${path}/actions/undelete`)
  assert.equal(again.status, 404, again.text)
})

test('every reason against it is told at once, and nothing is touched', async () => {
  await scene.put('flow', { nodes: 2 })
  await scene.remove('flow')
  const [deleted] = await scene.deleted()
  const [first, second] = deleted.volumes
  await scene.patchVolume(first.volume, { spec: { nodeAffinity: onHost('edge-2') } })
  await scene.loseVolume(second.volume)
  await scene.put('flow')
  const refused = await scene.call('POST', `/v1/projects/harbour/deleted-databases/${deleted.id}/actions/undelete`)
  assert.equal(refused.status, 409, refused.text)
  const told = refused.body.faults.map(({ message }: { message: string }) => message).join('\n')
  assert.match(told, /there is a database flow in project harbour/)
  assert.match(told, new RegExp(`volume ${second.volume} of .* no longer exists; with startsEmpty=true`))
  assert.match(told, /the claim project-harbour\/data0-crate-data-hot-flow-0 exists already/)
  await scene.remove('flow', '?retainVolumes=false')

  const elsewhere = await scene.call('POST', `/v1/projects/harbour/deleted-databases/${deleted.id}/actions/undelete?startsEmpty=true`)
  assert.match(elsewhere.text, /can only be used on a host that is not in this cluster: kubernetes.io\/hostname in \(edge-2\)/)
  const { spec } = await scene.region.admin.request<KubernetesObject>({
    method: 'GET',
    path: pathOf(kinds.PersistentVolume, undefined, first.volume),
  })
  assert.notEqual(spec.claimRef.uid, undefined)
})

test('backups come back with their keys and their schedule, unless another database writes to their folder', async () => {
  const keys = { accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'a-secret-key' }
  const snapshots = (basePath: string) => ({
    snapshots: { s3: { bucket: 'harbour-snapshots', basePath, ...keys }, schedule: '30 3 * * *' },
  })
  const patch = async (id: string, body: object) => {
    const headers = { prefer: 'wait=60' }
    const { body: operation } = await scene.call('PATCH', `/v1/projects/harbour/databases/${id}`, { body, headers })
    assert.equal(operation.phase, 'Succeeded', JSON.stringify(operation))
  }
  const keysOf = () =>
    scene.region.admin.request<KubernetesObject>({ method: 'GET', path: pathOf(kinds.Secret, 'project-harbour', 'snapshots-neap') })
  await scene.put('neap')
  await patch('neap', snapshots('x/neap'))
  const before = (await scene.call('GET', '/v1/projects/harbour/databases/neap')).body.snapshots
  const { data } = await keysOf()
  await scene.remove('neap')
  const deleted = (await scene.deleted()).find(({ id }: { id: string }) => id.startsWith('neap.'))

  await scene.put('other')
  await patch('other', snapshots('x/neap'))
  const refused = await scene.call('POST', `/v1/projects/harbour/deleted-databases/${deleted.id}/actions/undelete`)
  assert.equal(refused.status, 409, refused.text)
  assert.match(refused.text, /another database of this region has its snapshots in the folder of this one/)
  await patch('other', { snapshots: null })

  assert.equal((await scene.undelete(deleted.id)).phase, 'Succeeded')
  assert.deepEqual((await scene.call('GET', '/v1/projects/harbour/databases/neap')).body.snapshots, before)
  assert.deepEqual((await keysOf()).data, data)
  await scene.remove('other', '?retainVolumes=false')
})

test('a node whose volume is gone starts with an empty one where that is asked for', async () => {
  await scene.put('spring', { nodes: 2 })
  await scene.remove('spring')
  const [deleted] = (await scene.deleted()).filter(({ database }) => database === 'spring')
  const [kept, gone] = deleted.volumes
  await scene.loseVolume(gone.volume)
  assert.equal((await scene.undelete(deleted.id, {}, '?startsEmpty=true')).phase, 'Succeeded')
  const now = await scene.volumesOf('spring')
  assert.deepEqual(now[0], { volume: kept.volume, claim: kept.claim })
  assert.notEqual(now[1]?.volume, gone.volume)
})

test('a volume that has less than its claim asked for gets a smaller claim, never an empty volume', async () => {
  await scene.put('neap')
  await scene.remove('neap')
  const [deleted] = (await scene.deleted()).filter(({ database }) => database === 'neap')
  await scene.patchVolume(deleted.volumes[0].volume, { spec: { capacity: { storage: '7Gi' } } })
  const plan = await scene.call('POST', `/v1/projects/harbour/deleted-databases/${deleted.id}/actions/undelete?dryRun=true`)
  assert.match(plan.text, /The disks of crate-data-hot-neap are 7Gi and not 8Gi/)
  assert.equal((await scene.undelete(deleted.id)).phase, 'Succeeded')
  assert.equal((await scene.volumesOf('neap'))[0]?.volume, deleted.volumes[0].volume)
  assert.equal((await scene.call('GET', '/v1/projects/harbour/databases/neap')).body.nodes.disk.size, '7Gi')
})

test('a suspended database comes back running, with as many nodes as it had', async () => {
  await scene.put('slack', { nodes: 2 })
  await scene.ask('POST', '/v1/projects/harbour/databases/slack/actions/suspend')
  await scene.remove('slack')
  const [deleted] = (await scene.deleted()).filter(({ database }) => database === 'slack')
  assert.equal((await scene.undelete(deleted.id)).phase, 'Succeeded')
  const { body } = await scene.call('GET', '/v1/projects/harbour/databases/slack')
  assert.deepEqual([body.suspended, body.nodes.count], [false, 2])
})

test('the volume of a node that was removed before stays in the record', async () => {
  await scene.put('surge', { nodes: 3 })
  await scene.ask('PATCH', '/v1/projects/harbour/databases/surge', { body: { nodes: { count: 2 } } })
  await scene.remove('surge')
  const [deleted] = (await scene.deleted()).filter(({ database }) => database === 'surge')
  assert.equal(deleted.volumes.length, 3)
  const operation = await scene.undelete(deleted.id)
  assert.match(operation.message, /1 volume that no node needs stays in the record/)
  const rest = (await scene.record(deleted.id)) as RetainedDatabase
  assert.deepEqual(
    rest.spec.volumes.map(({ claim }) => claim),
    ['project-harbour/data0-crate-data-hot-surge-2'],
  )
})

test('a database of another tool comes back as it stood, under the names of its own group and with its own Secrets', async () => {
  const cratedb = await scene.standForeign('alien')
  await scene.remove('alien')
  const [deleted] = (await scene.deleted()).filter(({ database }) => database === 'alien')
  assert.match(deleted.volumes[0].claim, /data0-crate-data-warm-alien-0$/)
  assert.equal((await scene.undelete(deleted.id)).phase, 'Succeeded')
  const back = await scene.region.cratedb('harbour', 'alien')
  assert.deepEqual(back.spec, cratedb.spec)
  assert.equal((await scene.volumesOf('alien'))[0]?.volume, deleted.volumes[0].volume)
})

test('no Secret of another database is overwritten, whatever a record says that it keeps', async () => {
  const { admin } = scene.region
  await scene.put('crest')
  await scene.put('trough')
  await scene.remove('trough')
  const own = (await listObjects(admin, kinds.Secret, { namespace: 'project-harbour' })).find(
    ({ metadata }) => metadata.labels?.['skerry.dev/database'] === 'crest' && metadata.labels['app.kubernetes.io/managed-by'] === 'skerry',
  )
  assert.ok(own)
  const { name } = own.metadata
  const [deleted] = (await scene.deleted()).filter(({ database }) => database === 'trough')
  const kept = JSON.stringify({ labels: own.metadata.labels, type: 'Opaque', data: { password: 'Zm9yZ2Vk' } })
  const contentType = 'application/merge-patch+json'
  const retained = await admin.request<RetainedDatabase>({ method: 'GET', path: pathOf(kinds.RetainedDatabase, 'skerry', deleted.id) })
  const secrets = [...retained.spec.secrets, name]
  await admin.request({
    ...{ method: 'PATCH', contentType, body: { data: { [name]: Buffer.from(kept).toString('base64') } } },
    path: pathOf(kinds.Secret, 'skerry', `retained-${deleted.id}`),
  })
  await admin.request({
    ...{ method: 'PATCH', contentType, body: { spec: { secrets } } },
    path: pathOf(kinds.RetainedDatabase, 'skerry', deleted.id),
  })
  assert.equal((await scene.undelete(deleted.id)).phase, 'Succeeded')
  const after = await admin.request<KubernetesObject>({ method: 'GET', path: pathOf(kinds.Secret, 'project-harbour', name) })
  assert.deepEqual(after.data, own.data)
})

test('what was deleted outside the API comes back too, and nobody decided that it may go', async () => {
  await scene.put('gone')
  const volumes = await scene.volumesOf('gone')
  await scene.region.admin.request({ method: 'DELETE', path: pathOf(kinds.CrateDB, 'project-harbour', 'gone') })
  const deleted = await until('it is recorded', async () => (await scene.deleted()).find(({ database }) => database === 'gone'))
  assert.deepEqual([deleted.origin, deleted.expiresAt], ['outside', undefined])
  await until('its claims are gone', async () => (await scene.volumesOf('gone')).length === 0)
  assert.equal((await scene.undelete(deleted.id)).phase, 'Succeeded')
  assert.deepEqual(await scene.volumesOf('gone'), volumes)
})

test('of a project that is gone they are listed, and come back once it is put again', async () => {
  await scene.ask('PUT', '/v1/projects/jetty', { body: {} })
  await scene.put('tide', {}, 'jetty')
  await scene.ask('DELETE', '/v1/projects/jetty?cascade=true')
  const [deleted] = await scene.deleted('jetty')
  const path = `/v1/projects/jetty/deleted-databases/${deleted.id}/actions/undelete`
  const refused = await scene.call('POST', path)
  assert.equal(refused.status, 404, refused.text)
  assert.match(refused.body.detail, /There is no project jetty/)
  await scene.ask('PUT', '/v1/projects/jetty', { body: {} })
  assert.equal((await scene.ask('POST', path)).phase, 'Succeeded')
  assert.deepEqual(await scene.deleted('jetty'), [])
})

test('whoever puts a project of the id of one that is gone hears of the deleted databases that come with it', async () => {
  const told = /^An earlier project of this id, perhaps of another tenant, left deleted databases: ebb\.[0-9a-f]{8}, tide\.[0-9a-f]{8}\. /
  await scene.ask('PUT', '/v1/projects/weir', { body: {} })
  for (const id of ['tide', 'ebb']) await scene.put(id, {}, 'weir')
  const first = await scene.call('PUT', '/v1/projects/weir?dryRun=true', { body: { displayName: 'The weir' } })
  assert.doesNotMatch(first.text, /An earlier project/, 'it stands')
  await scene.ask('DELETE', '/v1/projects/weir?cascade=true')
  await scene.deleted('weir')
  const plan = await scene.call('PUT', '/v1/projects/weir?dryRun=true', { body: {} })
  assert.equal(plan.body.steps[0].consequences.filter((sentence: string) => told.test(sentence)).length, 1, plan.text)
  const operation = await scene.ask('PUT', '/v1/projects/weir', { body: {} })
  assert.match(operation.message.replace(/^Done\. /, ''), told)
})

test('a quota without room refuses it, and a project without deleted databases has an empty list', async () => {
  await scene.ask('PUT', '/v1/projects/quay', { body: {} })
  assert.deepEqual(await scene.deleted('quay'), [])
  await scene.put('tide', {}, 'quay')
  await scene.remove('tide', '', 'quay')
  await scene.ask('PATCH', '/v1/projects/quay', { body: { quota: { memory: '512Mi' } } })
  const [deleted] = await scene.deleted('quay')
  const refused = await scene.call('POST', `/v1/projects/quay/deleted-databases/${deleted.id}/actions/undelete`)
  assert.equal(refused.status, 422, refused.text)
  assert.match(refused.text, /1 GiB of memory wanted/)
})

const onHost = (host: string) => ({
  required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [host] }] }] },
})
