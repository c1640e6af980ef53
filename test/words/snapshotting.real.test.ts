import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { parseAllDocuments } from 'yaml'
import { desiredDatabase } from '../../agent/resources/cratedb.ts'
import { databaseSpec, splitSecrets } from '../../agent/resources/database.ts'
import type { DatabaseTarget } from '../../agent/resources/kind.ts'
import { volumeGroupSnapshot, volumeSnapshot } from '../../agent/resources/volume-snapshot-objects.ts'
import { type KubernetesObject, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { provisioner, runSnapshots, type SnapshotStandIn, snapshotDefinitions, until } from '../cluster/index.ts'
import { openScene } from './scene.ts'

// One story: a database comes back from its volume snapshots, as docs/backups.md says. The snapshots are as the agent makes them.

const scene = await openScene('snapshotting')
const { runner, world, read, list, make, settled } = scene
const namespace = 'project-harbour'
const target: DatabaseTarget = { kind: 'database', project: 'harbour', database: 'tide' }
let storage: SnapshotStandIn

before(async () => {
  for (const document of parseAllDocuments(snapshotDefinitions))
    await make('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', document.toJS())
  for (const kind of ['VolumeSnapshotClass', 'VolumeGroupSnapshotClass'] as const) {
    await until(`${kind} is served`, async () => (await read(pathOf(kinds[kind]))) !== undefined)
    const { apiVersion } = kinds[kind]
    await make(pathOf(kinds[kind]), { apiVersion, kind, metadata: { name: 'disks' }, driver: provisioner, deletionPolicy: 'Delete' })
  }
  storage = await runSnapshots(world)
  await make('/api/v1/namespaces', { metadata: { name: namespace } })
  await putTide()
})
after(async () => {
  await storage?.stop()
  await scene.close()
})

const claims = () => list(pathOf(kinds.PersistentVolumeClaim, namespace))
const dataClaims = async () => (await claims()).filter(({ metadata }) => metadata.name.startsWith('data'))
const snapshotsOf = async (set: string) =>
  (await list(pathOf(kinds.VolumeSnapshot, namespace))).filter(({ metadata }) => metadata.labels?.['skerry.dev/volume-snapshots'] === set)
const cratedb = pathOf(kinds.CrateDB, namespace, 'tide')

/** Creates the database as the agent does, and waits until its nodes run. */
async function putTide(): Promise<void> {
  const nodes = { count: 2, cpu: '500m', memory: '1Gi', disk: { size: '8Gi', storageClass: 'crate-premium' } }
  const users = [{ name: 'harbourmaster', password: 'a long enough password' }]
  const { spec, secrets } = splitSecrets(databaseSpec.parse({ id: 'tide', version: '5.10.1', nodes, users }))
  for (const object of desiredDatabase(target, spec, secrets, { imageRegistry: 'crate' })) {
    const kind = object.kind === 'CrateDB' ? kinds.CrateDB : kinds.Secret
    if ((await read(pathOf(kind, namespace, object.metadata.name))) === undefined) await make(pathOf(kind, namespace), object)
  }
  await until('it runs', async () => (await read(cratedb))?.status?.['cluster_create/bootstrap']?.success === true, 60_000)
  await settled(namespace)
}

async function deleteTide(): Promise<void> {
  await world.cluster.request({ method: 'DELETE', path: cratedb })
  await until('it is gone', async () => (await read(cratedb)) === undefined)
  await settled(namespace, 0)
}

const SET = '20260131120000-42'

test('a database that is deleted comes back with the volumes of its snapshots', async () => {
  const before = await dataClaims()
  for (const claim of before) await make(pathOf(kinds.VolumeSnapshot, namespace), volumeSnapshot({ target, id: SET }, claim, 'disks'))
  await until('they are ready', async () => (await snapshotsOf(SET)).every(({ status }) => status?.readyToUse))
  const shown = await runner.run(
    'kubectl -n project-harbour get volumesnapshots -l skerry.dev/database=tide -L skerry.dev/volume-snapshots',
  )
  assert.match(shown.out, new RegExp(`data0-crate-data-hot-tide-1-${SET} .* ${SET}`))
  await deleteTide()

  await runner.run(
    `kubectl -n project-harbour get volumesnapshots -l skerry.dev/volume-snapshots=SET \\
     -o go-template='{{range .items}}{{index .metadata.annotations "skerry.dev/claim"}}{{"\\n---\\n"}}{{end}}' | kubectl apply -f -`,
    { values: { SET }, loses: true },
  )
  const made = await dataClaims()
  assert.deepEqual(
    made.map(({ metadata, spec }) => [metadata.name, spec.dataSource.name]),
    before.map(({ metadata }) => [metadata.name, `${metadata.name}-${SET}`]),
  )
  await putTide()
  const used = await dataClaims()
  assert.deepEqual(
    used.map(({ metadata, status }) => [metadata.uid, status?.phase]),
    made.map(({ metadata }) => [metadata.uid, 'Bound']),
  )
  const pods = await list(pathOf(kinds.Pod, namespace))
  const mounted = pods.flatMap(({ spec }) => spec.volumes.flatMap((each: KubernetesObject) => each.persistentVolumeClaim?.claimName ?? []))
  for (const { metadata } of used) assert.ok(mounted.includes(metadata.name), metadata.name)
})

test('its claims get their owner, and go with it again', async () => {
  assert.ok((await dataClaims()).every(({ metadata }) => metadata.ownerReferences === undefined))
  await runner.run([
    `uid=$(kubectl -n project-harbour get cratedb tide -o jsonpath='{.metadata.uid}')`,
    `owner="{\\"apiVersion\\":\\"cloud.crate.io/v1\\",\\"kind\\":\\"CrateDB\\",\\"name\\":\\"tide\\",\\"uid\\":\\"$uid\\",\\"controller\\":true}"`,
    `kubectl -n project-harbour get pvc -l app.kubernetes.io/name=tide -o name | \\
     xargs -I CLAIM kubectl -n project-harbour patch CLAIM --type merge -p "{\\"metadata\\":{\\"ownerReferences\\":[$owner]}}"`,
  ])
  const { uid } = (await read(cratedb))?.metadata ?? {}
  for (const { metadata } of await claims())
    assert.deepEqual(
      metadata.ownerReferences?.map((owner) => owner.uid),
      [uid],
      metadata.name,
    )
})

test('a set is deleted, and a group with its members', async () => {
  await runner.run('kubectl -n project-harbour delete volumesnapshots -l skerry.dev/volume-snapshots=SET', { values: { SET } })
  assert.deepEqual(await snapshotsOf(SET), [])

  const set = { target, id: '20260131130000-43' }
  const contentType = 'application/merge-patch+json'
  const body = { metadata: { labels: { 'skerry.dev/volume-snapshots': set.id } } }
  for (const { metadata } of await dataClaims())
    await world.cluster.request({ method: 'PATCH', path: pathOf(kinds.PersistentVolumeClaim, namespace, metadata.name), contentType, body })
  const groups = pathOf(kinds.VolumeGroupSnapshot, namespace)
  await make(groups, volumeGroupSnapshot(set, { class: 'disks', beta: false }))
  await until('the group is ready', async () => (await list(groups)).every(({ status }) => status?.readyToUse))
  assert.equal((await list(pathOf(kinds.VolumeSnapshot, namespace))).length, 2)
  await runner.run('kubectl -n project-harbour delete volumegroupsnapshots -l skerry.dev/volume-snapshots=SET', { values: { SET: set.id } })
  await until('its members are gone', async () => (await list(pathOf(kinds.VolumeSnapshot, namespace))).length === 0)
  await deleteTide()
})

test('every command of this story was run', () => assert.deepEqual(runner.notRun(), []))
