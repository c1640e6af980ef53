import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Operation } from '../../../agent/resources/operation.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { provisioner, until } from '../../cluster/index.ts'
import { type ActingRegion, startActingRegion } from './acting-region.ts'

let region: ActingRegion
before(async () => {
  region = await startActingRegion()
  await region.ended(await region.putProject('harbour'))
})
after(() => region?.close())

type Kept = { volume: string; claim: string }
const target = (database: string) => ({ kind: 'database' as const, project: 'harbour', database })
const volumePath = (name: string) => pathOf(kinds.PersistentVolume, undefined, name)

async function succeeded(accepted: Promise<Operation>): Promise<Operation> {
  const operation = await region.ended(await accepted)
  assert.equal(operation.status?.phase, 'Succeeded', JSON.stringify(operation.status))
  return operation
}
const put = (id: string, password: string, storageClass = 'crate-premium') =>
  succeeded(
    region.putDatabase('harbour', {
      id,
      nodes: { count: 2, cpu: '500m', memory: '1Gi', disk: { size: '8Gi', storageClass } },
      users: [{ name: 'harbourmaster', password }],
    } as never),
  )
const remove = (id: string, retainVolumes: boolean) =>
  succeeded(region.accept({ action: 'delete', target: target(id), parameters: { retainVolumes } }))
const keptBy = ({ status }: Operation) => (status?.result?.retainedVolumes ?? []) as Kept[]

async function volumesInUse(id: string): Promise<Kept[]> {
  const path = pathOf(kinds.PersistentVolumeClaim, 'project-harbour')
  const { items } = await region.admin.request({ method: 'GET', path, query: { labelSelector: `app.kubernetes.io/name=${id}` } })
  return (items as KubernetesObject[])
    .filter(({ metadata }) => metadata.name.startsWith('data'))
    .map(({ metadata, spec }) => ({ volume: spec.volumeName as string, claim: `project-harbour/${metadata.name}` }))
}

/** As docs/operating.md says. */
async function takeBack({ volume }: Kept): Promise<void> {
  const { metadata, spec } = await region.admin.request<KubernetesObject>({ method: 'GET', path: volumePath(volume) })
  assert.ok(metadata.labels?.['skerry.dev/database'] !== undefined && spec.claimRef?.uid !== undefined, JSON.stringify({ metadata, spec }))
  await mergeInto(volume, { spec: { claimRef: { uid: null, resourceVersion: null } } })
}

const mergeInto = (volume: string, body: object) =>
  region.admin.request({ method: 'PATCH', path: volumePath(volume), contentType: 'application/merge-patch+json', body })
const isGone = (volume: string) =>
  until(`${volume} is gone`, () =>
    region.admin.request({ method: 'GET', path: volumePath(volume) }).then(
      () => false,
      () => true,
    ),
  )

test('a database that is put again gets the volumes that were kept, with its users; deleted for good, they go', async () => {
  await put('tide', 'the first password')
  const before = await volumesInUse('tide')
  const kept = keptBy(await remove('tide', true))
  assert.deepEqual(kept.map(({ volume, claim }) => ({ volume, claim })).sort(byClaim), before.sort(byClaim))
  for (const each of kept) await takeBack(each)

  await put('tide', 'the second password')
  assert.deepEqual((await volumesInUse('tide')).sort(byClaim), before)
  const { users } = region.standIns.database.state('project-harbour', 'tide')
  assert.equal(users.get('harbourmaster')?.password, 'the first password')
  const parameters = { user: 'harbourmaster' }
  const rotation = { action: 'rotate-password' as const, target: target('tide'), parameters, secrets: { password: 'the third password' } }
  await succeeded(region.accept(rotation))
  assert.equal(users.get('harbourmaster')?.password, 'the third password')

  const deletion = await remove('tide', false)
  assert.deepEqual(keptBy(deletion), [])
  assert.equal(deletion.status?.message, 'Deleted; no volume was kept.')
  for (const { volume } of before) await isGone(volume)
})

test('volumes of a class that retains are named, though the deletion was to take them', async () => {
  await region.admin.request({
    method: 'POST',
    path: pathOf(kinds.StorageClass),
    body: {
      apiVersion: 'storage.k8s.io/v1',
      kind: 'StorageClass',
      metadata: { name: 'retaining' },
      provisioner,
      reclaimPolicy: 'Retain',
    },
  })
  await put('ebb', 'the first password', 'retaining')
  const volumes = await volumesInUse('ebb')
  const deletion = await remove('ebb', false)
  assert.deepEqual(
    keptBy(deletion)
      .filter(({ claim }) => claim.includes('/data'))
      .map(({ volume, claim }) => ({ volume, claim }))
      .sort(byClaim),
    volumes.sort(byClaim),
  )
  assert.match(deletion.status?.message ?? '', /^Deleted; 2 volumes stay nevertheless/)
})

test('claims that have nothing to keep are told, each with the reason', async () => {
  await put('flow', 'the first password')
  const claims = pathOf(kinds.PersistentVolumeClaim, 'project-harbour')
  for (const [node, volumeName] of [
    [7, undefined],
    [8, 'pvc-lost'],
    [9, 'pvc-failed'],
  ]) {
    await region.admin.request({
      method: 'POST',
      path: claims,
      body: {
        metadata: { name: `data0-crate-data-hot-flow-${node}`, labels: { 'app.kubernetes.io/name': 'flow' } },
        spec: {
          ...{ accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '8Gi' } }, storageClassName: 'gone' },
          ...(volumeName !== undefined && { volumeName }),
        },
      },
    })
  }
  await failedVolume('pvc-failed', 'data0-crate-data-hot-flow-9')
  const { status } = await remove('flow', true)
  const claim = (node: number) => `project-harbour/data0-crate-data-hot-flow-${node}`
  const [first, second, third, ...more] = (status?.result?.notKept ?? []) as { claim: string; why: string }[]
  assert.deepEqual(
    [first, second],
    [
      { claim: claim(7), why: 'it has no volume yet, and so no data' },
      { claim: claim(8), why: 'its volume pvc-lost no longer exists' },
    ],
  )
  assert.deepEqual([third?.claim, more], [claim(9), []])
  // A real controller words the reason itself.
  assert.match(third?.why ?? '', /^its volume pvc-failed has failed, and its storage may have deleted it: .+\/srv\/failed$/)
  assert.match(
    status?.message ?? '',
    /^Deleted; 2 volumes were kept, see the result\. Nothing was kept of .*-7 \(.*\), .*-8 \(.*\) and .*-9 \(.*\)\./,
  )
})

/** A volume whose claim was another one of that name, and that nothing could delete. */
async function failedVolume(name: string, claim: string): Promise<void> {
  const claimRef = { namespace: 'project-harbour', name: claim, uid: 'of-an-earlier-claim' }
  const spec = { ...{ claimRef, persistentVolumeReclaimPolicy: 'Delete', hostPath: { path: '/srv/failed' } }, capacity: { storage: '8Gi' } }
  await region.admin.request({
    method: 'POST',
    path: pathOf(kinds.PersistentVolume),
    body: { metadata: { name }, spec: { ...spec, accessModes: ['ReadWriteOnce'], storageClassName: 'gone' } },
  })
  // A controller that knows how to try has failed by itself.
  const isOver = async () => {
    const { status } = await region.admin.request<KubernetesObject>({ method: 'GET', path: volumePath(name) })
    return (status?.phase === 'Released' || status?.phase === 'Failed') && status.phase
  }
  if ((await until('it is no longer bound', isOver)) === 'Failed') return
  const status = { phase: 'Failed', message: 'no deleter for /srv/failed' }
  await region.admin.request({
    method: 'PATCH',
    path: `${volumePath(name)}/status`,
    contentType: 'application/merge-patch+json',
    body: { status },
  })
}

function byClaim(one: Kept, other: Kept): number {
  return one.claim < other.claim ? -1 : 1
}
