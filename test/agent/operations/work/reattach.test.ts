import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { createWorkCluster } from '../../../../agent/operations/work/cluster.ts'
import type { Progress } from '../../../../agent/operations/work/context.ts'
import { claimsAreTheirs, reserveVolumes, type VolumeToReserve } from '../../../../agent/operations/work/reattach.ts'
import type { Caches } from '../../../../agent/region/caches.ts'
import { retainedVolumeOf } from '../../../../agent/resources/retained-record.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../../shared/kubernetes/objects.ts'
import { openWorld, provisioner, runVolumes, startCluster, until } from '../../../cluster/index.ts'
import { connectTo } from '../../../shared/kubernetes/connected.ts'

/*
 * With SKERRY_CLUSTER=real the volumes are bound by the real controller. The class binds immediately, so that every test is one of that.
 */

const cluster = await startCluster()
const admin = connectTo(cluster)
const world = await openWorld(cluster)
const storage = await runVolumes(world)
after(async () => {
  await storage.stop()
  await world.close()
  admin.close()
  await cluster.stop()
})
const target = { kind: 'database' as const, project: 'harbour', database: 'tide' }
const context = { target, cluster: createWorkCluster(admin, { mustLead: () => {}, caches: {} as Caches }) }

const namespace = 'project-harbour'
const [volumesPath, claimsPath] = [pathOf(kinds.PersistentVolume), pathOf(kinds.PersistentVolumeClaim, namespace)]
const create = (path: string, body: object) => admin.request<KubernetesObject>({ method: 'POST', path, body })
const read = (path: string) => admin.request<KubernetesObject>({ method: 'GET', path })
const remove = (path: string) => admin.request({ method: 'DELETE', path })
const readVolume = (name: string) => read(`${volumesPath}/${name}`)
const patchVolume = (name: string, body: object) =>
  admin.request({ method: 'PATCH', path: `${volumesPath}/${name}`, contentType: 'application/merge-patch+json', body })

await create(pathOf(kinds.Namespace), { metadata: { name: namespace } })
await create(pathOf(kinds.StorageClass), {
  apiVersion: 'storage.k8s.io/v1',
  kind: 'StorageClass',
  metadata: { name: 'crate-premium' },
  provisioner,
  reclaimPolicy: 'Retain',
  volumeBindingMode: 'Immediate',
})

async function claimed(name: string, storage = '8Gi'): Promise<string> {
  const spec = { accessModes: ['ReadWriteOnce'], storageClassName: 'crate-premium', resources: { requests: { storage } } }
  await create(claimsPath, { metadata: { name }, spec })
  return until(`${name} is bound`, async () => {
    const { spec, status } = await read(`${claimsPath}/${name}`)
    return status?.phase === 'Bound' && (spec.volumeName as string)
  })
}

/** A volume whose claim of that name is gone. */
async function released(name: string): Promise<VolumeToReserve> {
  const volume = await claimed(name)
  await remove(`${claimsPath}/${name}`)
  await until(`${volume} is released`, async () => (await readVolume(volume)).status?.phase === 'Released')
  return retainedVolumeOf(await readVolume(volume), `${namespace}/${name}`)
}

/** Calls it as the executor does, until it waits for nothing. */
async function through(call: () => Promise<Progress | undefined>): Promise<Progress | undefined> {
  let last: Progress | undefined
  await until('it waits for nothing', async () => {
    last = await call()
    return last?.next !== 'wait'
  })
  return last
}
const reserve = (...volumes: VolumeToReserve[]) => through(() => reserveVolumes(context, volumes))
const verify = (...volumes: VolumeToReserve[]) => through(() => claimsAreTheirs(context, volumes))
const messageOf = (progress: Progress | undefined) => (progress?.next === 'failed' ? progress.message : undefined)

test('a released volume has the uid of its former claim taken off, and nothing else: the next claim of that name gets it', async () => {
  const kept = await released('data0-crate-data-hot-tide-0')
  const before = await readVolume(kept.volume)
  assert.notEqual(before.spec.claimRef.uid, undefined)
  assert.equal(await reserve(kept), undefined)
  const { spec, status } = await readVolume(kept.volume)
  const { uid: _, resourceVersion: __, ...claimRef } = before.spec.claimRef
  assert.deepEqual(spec, { ...before.spec, claimRef })
  assert.equal(status?.phase, 'Available')
  assert.equal(await reserve(kept), undefined, 'again, as after a crash')
  assert.equal(await claimed('data0-crate-data-hot-tide-0'), kept.volume)
  assert.equal(await verify(kept), undefined)
})

test('a claim of another name that fits better does not get a reserved volume', async () => {
  const kept = await released('data0-crate-data-hot-ebb-0')
  assert.equal(await reserve(kept), undefined)
  assert.notEqual(await claimed('data0-crate-data-hot-other-0'), kept.volume)
  assert.equal(await claimed('data0-crate-data-hot-ebb-0'), kept.volume)
})

test('a claim that asks for more than its volume has gets an empty one, and that is not taken for the data', async () => {
  const kept = await released('data0-crate-data-hot-flow-0')
  assert.equal(await reserve(kept), undefined)
  const empty = await claimed('data0-crate-data-hot-flow-0', '9Gi')
  assert.notEqual(empty, kept.volume)
  const message = `claim ${kept.claim} got volume ${empty} instead of ${kept.volume}`
  assert.match(messageOf(await verify(kept)) ?? '', new RegExp(message))
  assert.equal((await readVolume(kept.volume)).status?.phase, 'Available', 'the data waits as before')
})

test('of two that want the same volume, the later one is told who has it, and nothing is taken', async () => {
  const [first, second] = [await released('data0-crate-data-hot-race-0'), await released('data0-crate-data-hot-race-1')]
  assert.equal(await reserve(first), undefined)
  await claimed('data0-crate-data-hot-race-0')
  const before = await readVolume(second.volume)
  const progress = await reserve(second, first)
  assert.equal(messageOf(progress), `Not every volume can be had back: the claim ${first.claim} of volume ${first.volume} exists already.`)
  assert.deepEqual((await readVolume(second.volume)).spec, before.spec, 'nothing is written if one cannot be reserved')
})

test('what is gone, another of that name, or serves somebody else by now is left alone', async () => {
  const kept = await released('data0-crate-data-hot-spring-0')
  const gone = { ...kept, volume: 'pv-of-long-ago' }
  const other = { ...kept, uid: '11111111-2222-3333-4444-555555555555' }
  const elsewhere = { ...kept, claim: `${namespace}/data0-crate-data-hot-spring-7` }
  const before = await readVolume(kept.volume)
  const message = messageOf(await reserve(gone, other, elsewhere)) ?? ''
  assert.match(message, /volume pv-of-long-ago of project-harbour\/data0-crate-data-hot-spring-0 no longer exists/)
  assert.match(message, new RegExp(`volume ${kept.volume} is another one of that name`))
  assert.match(message, new RegExp(`volume ${kept.volume} serves project-harbour/data0-crate-data-hot-spring-0 by now`))
  assert.deepEqual(await readVolume(kept.volume), before)
})

test('a volume that its storage may be deleting is not given to anybody', async () => {
  await storage.stop() // it would delete the volume
  const kept = { ...(await claimedAndLeft('data0-crate-data-hot-neap-0')) }
  await patchVolume(kept.volume, { spec: { persistentVolumeReclaimPolicy: 'Delete' } })
  const message = messageOf(await reserveVolumes(context, [kept]))
  assert.match(message ?? '', /has the reclaim policy Delete: its storage may be deleting it/)
})

test('a volume that the cluster does not have is made by its manifest, for its claim alone', async () => {
  const claim = 'data0-crate-data-hot-made-0'
  const manifest = {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: 'pvc-of-another-cluster', labels: { 'skerry.dev/project': 'harbour' } },
    spec: {
      capacity: { storage: '8Gi' },
      accessModes: ['ReadWriteOnce'],
      volumeMode: 'Filesystem',
      persistentVolumeReclaimPolicy: 'Retain',
      storageClassName: 'crate-premium',
      claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name: claim },
      csi: { driver: provisioner, volumeHandle: 'disk-7' },
    },
  }
  const volume = { volume: manifest.metadata.name, uid: 'of another cluster', claim: `${namespace}/${claim}`, handle: 'disk-7', manifest }
  const first = await reserveVolumes(context, [volume])
  assert.equal(first?.next, 'wait')
  const { spec } = await readVolume(manifest.metadata.name)
  assert.deepEqual([spec.csi.volumeHandle, spec.claimRef.name, spec.claimRef.uid], ['disk-7', claim, undefined])
  const ofOtherDisk = { ...manifest, spec: { ...manifest.spec, csi: { driver: provisioner, volumeHandle: 'disk-8' } } }
  const otherDisk = { ...volume, handle: 'disk-8', manifest: ofOtherDisk }
  assert.match(messageOf(await reserveVolumes(context, [otherDisk])) ?? '', /is another one of that name/)
})

/** A released volume without the storage: its controller, if there is one, does the rest. */
async function claimedAndLeft(name: string): Promise<VolumeToReserve> {
  const metadata = { name: `pv-${name}` }
  const spec = {
    capacity: { storage: '8Gi' },
    accessModes: ['ReadWriteOnce'],
    persistentVolumeReclaimPolicy: 'Retain',
    storageClassName: 'crate-premium',
    claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name, uid: '11111111-2222-3333-4444-555555555555' },
    csi: { driver: 'elsewhere.example', volumeHandle: 'disk-9' },
  }
  const made = await create(volumesPath, { metadata, spec })
  if (cluster.kind === 'embedded') {
    const body = { status: { phase: 'Released' } }
    await admin.request({
      method: 'PATCH',
      path: `${volumesPath}/${metadata.name}/status`,
      contentType: 'application/merge-patch+json',
      body,
    })
  } else await until('it is released', async () => (await readVolume(metadata.name)).status?.phase === 'Released')
  return retainedVolumeOf(made, `${namespace}/${name}`)
}
