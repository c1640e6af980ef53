import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { actions } from '../../../agent/operations/actions/index.ts'
import { Problem } from '../../../shared/errors.ts'
import { type KindName, type KubernetesObject, kinds, pathOf, pathOfObject } from '../../../shared/kubernetes/objects.ts'
import { runSnapshots, type SnapshotStandIn, until } from '../../cluster/index.ts'
import { smallDatabase } from './acting-region.ts'
import { type ActionScene, startActionScene } from './actions/scene.ts'
import { installSnapshotKinds, makeSnapshotClass } from './snapshot-storage.ts'

/*
 * Snapshots of volumes, by the storage of the cluster: refused with all that is missing, until it is there; then of each volume, and of all
 * at one moment.
 */

let scene: ActionScene
let storage: SnapshotStandIn
before(async () => {
  scene = await startActionScene(actions)
  await done('PUT', '/v1/projects/harbour', {})
  await done('PUT', gauge, given)
})
after(async () => {
  await storage?.stop()
  await scene?.close()
})

const gauge = '/v1/projects/harbour/databases/gauge'
const nodes = { count: 3, cpu: '500m', memory: '1Gi', disk: { size: '8Gi', storageClass: 'crate-premium' } }
const { id: _, ...given } = smallDatabase({ id: 'gauge', nodes } as never)
const wait = { prefer: 'wait=60' }
const names = [0, 1, 2].map((node) => `data0-crate-data-hot-gauge-${node}`)

async function done(method: string, path: string, body?: unknown) {
  const answer = await scene.api.call(method, path, { body, headers: wait })
  assert.ok(answer.status === 200 && (answer.body.phase ?? 'Succeeded') === 'Succeeded', answer.text)
  return answer.body
}
const take = (body: object = {}, headers = wait) => scene.api.call('POST', `${gauge}/actions/snapshot-volumes`, { body, headers })
async function list(kind: KindName): Promise<KubernetesObject[]> {
  const { items } = await scene.region.admin.request<{ items: KubernetesObject[] }>({
    method: 'GET',
    path: pathOf(kinds[kind], 'project-harbour'),
  })
  return items
}
const ofSet = async (id: string) =>
  (await list('VolumeSnapshot')).filter(({ metadata }) => metadata.labels?.['skerry.dev/volume-snapshots'] === id)
const shown = async (id: string) => (await scene.api.call('GET', `/v1/operations/${id}`)).body
const whenSaid = (id: string, text: RegExp) =>
  until(`it says ${text}`, async () => {
    const { message } = await shown(id)
    return text.test(message ?? '') && message
  })

test('a cluster without the CRDs takes none, and the answer names what is missing', async () => {
  const { status, body, text } = await take()
  assert.equal(status, 409, text)
  assert.match(body.faults[0].message, /^this cluster has no volume snapshots \(snapshot\.storage\.k8s\.io\/v1\)/)
  const other = await scene.api.call('POST', `${gauge.replace('gauge', 'other')}/actions/snapshot-volumes`, {})
  assert.equal(other.status, 404)
})

test('nor does one without a class of the driver of the volumes', async () => {
  await installSnapshotKinds(scene.region.admin)
  storage = await runSnapshots(scene.region.standIns.world)
  const { status, body, text } = await take()
  assert.equal(status, 409, text)
  assert.match(body.faults[0].message, /^no VolumeSnapshotClass is of the driver volumes\.stand-in\.example: the cluster has none/)
})

test('each volume is taken by itself, and the plan says that they do not belong to one moment', async () => {
  await makeSnapshotClass(scene.region.admin, 'VolumeSnapshotClass', 'disks')
  const plan = await scene.api.call('POST', `${gauge}/actions/snapshot-volumes?dryRun=true`, { body: {} })
  assert.equal(plan.status, 200, plan.text)
  assert.match(plan.body.steps[0].consequences[0], /^Takes 3 volumes one after the other, .* They are not consistent between nodes/)
  assert.deepEqual(await list('VolumeSnapshot'), [])

  storage.hold(true, names[2])
  const accepted = await take({}, {} as never)
  assert.equal(accepted.status, 202, accepted.text)
  await whenSaid(accepted.body.id, /^2 of 3 volume snapshots are ready\.$/)
  storage.fail(names[2] ?? '', 'rpc error: the pool is full')
  await whenSaid(accepted.body.id, /VolumeSnapshot project-harbour\/data0-crate-data-hot-gauge-2-\d+-\d+ says: rpc error: the pool is full/)
  storage.fail(names[2] ?? '')
  storage.hold(false, names[2])
  await scene.region.journal.whenEnded(accepted.body.id, 60_000, new AbortController().signal)

  const operation = await shown(accepted.body.id)
  assert.equal(operation.phase, 'Succeeded', JSON.stringify(operation))
  const { set, volumeSnapshots } = operation.result
  assert.match(set, new RegExp(`^\\d{14}-${Number(operation.sequence)}$`))
  const made = await ofSet(set)
  assert.deepEqual(
    made.map(({ metadata, spec }) => [metadata.name, metadata.ownerReferences, spec.source.persistentVolumeClaimName]),
    names.map((name) => [`${name}-${set}`, undefined, name]),
  )
  assert.deepEqual(
    volumeSnapshots.map(({ claim, restoreSize }: { claim: string; restoreSize: string }) => [claim, restoreSize]),
    names.map((name) => [name, '8Gi']),
  )
})

test('all volumes are taken at one moment where the driver has a class for groups', async () => {
  await makeSnapshotClass(scene.region.admin, 'VolumeGroupSnapshotClass', 'together')
  const { result, id } = await done('POST', `${gauge}/actions/snapshot-volumes`, {})
  const [group] = (await list('VolumeGroupSnapshot')).filter(
    ({ metadata }) => metadata.labels?.['skerry.dev/volume-snapshots'] === result.set,
  )
  assert.equal(group?.metadata.ownerReferences, undefined)
  const made = await ofSet(result.set)
  assert.deepEqual(made.map(({ spec }) => spec.source.persistentVolumeClaimName).sort(), names, id)
  for (const { metadata } of made) {
    assert.deepEqual(
      metadata.ownerReferences?.map(({ uid }) => uid),
      [group?.metadata.uid],
    )
    const claim = JSON.parse(metadata.annotations?.['skerry.dev/claim'] ?? '{}')
    assert.deepEqual([claim.spec.dataSource.name, claim.metadata.labels['skerry.dev/volume-snapshots']], [metadata.name, undefined])
  }
  const debug = (await list('PersistentVolumeClaim')).filter(({ metadata }) => metadata.name.startsWith('debug'))
  assert.ok(debug.length === 3 && debug.every(({ metadata }) => metadata.labels?.['skerry.dev/volume-snapshots'] === undefined))
  const path = pathOf(kinds.VolumeGroupSnapshotClass, undefined, 'together')
  await scene.region.admin.request({ method: 'DELETE', path })
})

test('a set of which one is deleted meanwhile fails, and one that is cancelled says what stays', async () => {
  storage.hold(true)
  const first = await take({}, {} as never)
  await whenSaid(first.body.id, /^0 of 3/)
  const set = `${(first.body.acceptedAt as string).replace(/\.\d+/, '').replace(/\D/g, '')}-${first.body.sequence}`
  const [snapshot] = await ofSet(set)
  assert.ok(snapshot)
  await scene.region.admin.request({ method: 'DELETE', path: pathOfObject(snapshot) })
  await scene.region.journal.whenEnded(first.body.id, 60_000, new AbortController().signal)
  const failed = await shown(first.body.id)
  assert.deepEqual([failed.phase, failed.reason], ['Failed', 'SnapshotGone'], JSON.stringify(failed))

  const second = await take({}, {} as never)
  await whenSaid(second.body.id, /^0 of 3/)
  assert.equal((await scene.api.call('DELETE', `/v1/operations/${second.body.id}`)).status, 202)
  await scene.region.journal.whenEnded(second.body.id, 60_000, new AbortController().signal)
  const cancelled = await shown(second.body.id)
  assert.equal(cancelled.phase, 'Cancelled')
  assert.match(JSON.stringify(cancelled), /delete the volume snapshots in project-harbour with the label skerry\.dev\/volume-snapshots=/)
  storage.hold(false)
})

test('the snapshots stay when the database is deleted', async () => {
  const before = await list('VolumeSnapshot')
  await done('DELETE', gauge)
  assert.equal((await list('VolumeSnapshot')).length, before.length)
  await done('PUT', gauge, given)
})

test('the plan of the deletion of their project says that they go with it', async () => {
  const { length } = await list('VolumeSnapshot')
  const plan = await scene.api.call('DELETE', '/v1/projects/harbour?cascade=true&dryRun=true')
  assert.equal(plan.status, 200, plan.text)
  const told = plan.body.steps.at(-1).consequences
  assert.ok(
    told.includes(
      `That includes ${length} volume snapshots: their data is deleted too, unless the deletionPolicy of their class is Retain.`,
    ),
    plan.text,
  )
})

test('what the driver says is told in one bounded line, before what stands in the way of the database, and at the deadline', async () => {
  storage.hold(true, names[1])
  storage.fail(names[1] ?? '', `rpc error: code = Internal\n\tdesc = the pool is full\u202e ${'x'.repeat(1_000)}`)
  const operator = pathOf(kinds.Deployment, 'crate-operator', 'crate-operator')
  const scale = (replicas: number) =>
    scene.region.admin.request({
      ...{ method: 'PATCH', path: operator, contentType: 'application/merge-patch+json', body: { spec: { replicas } } },
    })
  await scale(0)
  const { body } = await take({}, {} as never)
  const says = /^2 of 3 .* says: rpc error: code = Internal desc = the pool is full‹U\+202E› x+… The snapshot controller goes on trying\.$/
  const message = await whenSaid(body.id, says)
  assert.ok(message.length < 800, message)
  const codes: string[] = await until('the operator is missed too', async () => {
    const found = (await shown(body.id)).blockers.map(({ code }: { code: string }) => code)
    return found.includes('OperatorNotRunning') && found
  })
  assert.deepEqual([codes.indexOf('VolumeSnapshotFailing'), codes.lastIndexOf('VolumeSnapshotFailing')], [0, 0], codes.join(', '))
  scene.region.pass(25 * 3_600_000)
  await scene.region.journal.whenEnded(body.id, 60_000, new AbortController().signal)
  const failed = await shown(body.id)
  assert.deepEqual([failed.phase, failed.reason], ['Failed', 'DeadlineExceeded'])
  assert.match(
    failed.message,
    /^Not done within 86400 s, in the step "snapshot-volumes": 2 of 3 .* says: rpc error: code = Internal desc = the/,
  )
  assert.match(failed.cure, /is not whole: delete the volume snapshots .* Fix what the storage driver says/)
  storage.fail(names[1] ?? '')
  storage.hold(false, names[1])
  await scale(1)
})

test('a cluster that serves groups as v1beta2 alone is asked for one of these', async () => {
  const { admin } = scene.region
  await makeSnapshotClass(admin, 'VolumeGroupSnapshotClass', 'older')
  for (const plural of ['volumegroupsnapshots', 'volumegroupsnapshotclasses']) {
    const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${plural}.groupsnapshot.storage.k8s.io`
    const body = [{ op: 'replace', path: '/spec/versions/0/served', value: false }]
    await admin.request({ method: 'PATCH', path, contentType: 'application/json-patch+json', body })
  }
  await until('v1 is served no more', () =>
    admin.request({ method: 'GET', path: pathOf(kinds.VolumeGroupSnapshotClass) }).then(
      () => false,
      () => true,
    ),
  )
  // Of the stand-in, which follows v1, nothing is heard.
  const { body } = await take({}, {} as never)
  await whenSaid(
    body.id,
    /^0 of 3 .* The snapshot controller has not taken up VolumeGroupSnapshot project-harbour\/crate-gauge-\d+-\d+ yet\.$/,
  )
  const { items } = await admin.request<{ items: KubernetesObject[] }>({
    method: 'GET',
    path: pathOf(kinds.VolumeGroupSnapshotBeta, 'project-harbour'),
  })
  assert.ok(items.some(({ spec }) => spec.volumeGroupSnapshotClassName === 'older'))
  assert.equal((await scene.api.call('DELETE', `/v1/operations/${body.id}`)).status, 202)
  await scene.region.journal.whenEnded(body.id, 60_000, new AbortController().signal)
  await admin.request({ method: 'DELETE', path: pathOf(kinds.VolumeGroupSnapshotClassBeta, undefined, 'older') })
})

for (const at of ['the first snapshot', 'the note that all are made']) {
  test(`an agent that dies at ${at} goes on with the same set`, async () => {
    const { region } = scene
    const died = Promise.withResolvers<void>()
    region.intercept((request, send) => {
      const isSnapshot = request.path?.includes('/volumesnapshots/') === true
      const isNote = JSON.stringify(request.body ?? '').includes('"made":true')
      if (request.method === 'GET' || !(at === 'the first snapshot' ? isSnapshot : isNote)) return send()
      died.resolve()
      throw new Problem('cluster-unreachable', 'its writes do not arrive any more')
    })
    // The API of the scene stays with the half that is gone: the operation is accepted by the journal that is there.
    const { spec } = await region.accept({
      action: 'snapshot-volumes',
      target: { kind: 'database', project: 'harbour', database: 'gauge' },
    })
    await died.promise
    await region.restart()
    const operation = region.caches.operations.get(`skerry/op-${String(spec.sequence).padStart(10, '0')}`)
    assert.ok(operation)
    const ended = await region.ended(operation)
    assert.equal(ended.status?.phase, 'Succeeded', JSON.stringify(ended.status))
    const { set, volumeSnapshots } = (ended.status?.result ?? {}) as { set: string; volumeSnapshots: unknown[] }
    assert.deepEqual([volumeSnapshots.length, (await ofSet(set)).length], [3, 3])
  })
}
