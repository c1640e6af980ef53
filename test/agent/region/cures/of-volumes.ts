import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubernetesObject } from '../../../../shared/kubernetes/objects.ts'
import { until } from '../../../cluster/index.ts'
import { claimOf, makeBound, makeDatabase, using } from '../pieces.ts'
import { only, podOf, type Scene } from '../scene.ts'
import type { Expectation, Trial } from './trial.ts'

const data0 = /data0-crate-data-hot-tide-0/

/** Claims that get no volume, and what has to be shown for each. */
const unbound: { name: string; volume?: string; spec: object; reason?: string; expected: Record<string, Expectation> }[] = [
  { name: 'of no class that exists', spec: { storageClassName: 'fast' }, expected: { 'VolumeNotBound.class': /crate-premium/ } },
  {
    name: 'for heap dumps, of no class that exists',
    volume: 'debug',
    spec: { storageClassName: 'crate-standard' },
    expected: { 'VolumeNotBound.debugClass': /crate-premium/ },
  },
  { name: 'of no class at all', spec: { storageClassName: undefined }, expected: { 'VolumeNotBound.defaultClass': /crate-premium/ } },
  {
    name: 'that its provisioner fails to serve',
    spec: {},
    reason: 'pool "tank" has 12 GiB left',
    expected: { 'VolumeNotBound.failed': /pool "tank" has 12 GiB left/ },
  },
  { name: 'that nobody serves', spec: {}, expected: { 'VolumeNotBound.driver': data0 } },
]

/** Storage that is not there, not attached or too small, brought about by writing objects. */
export function curesOfVolumes(scene: Scene, trial: () => Trial): void {
  const { make, obstacles, event, read } = scene

  for (const { name: what, volume = 'data0', spec, reason, expected } of unbound) {
    test(`a claim ${what} is looked into`, async () => {
      const { namespace, target } = await makeDatabase(scene)
      const claim = await make(claimOf(namespace, volume, spec))
      if (reason) await event(claim, { type: 'Warning', reason: 'ProvisioningFailed', message: reason })
      await trial().cure(only(await obstacles(target), 'VolumeNotBound'), expected)
    })
  }

  test('a claim of a class whose volumes are made by hand is looked into', async () => {
    const other = await scene.project()
    const { volume } = await makeBound(scene, other.namespace)
    const { namespace, target } = await makeDatabase(scene)
    await make(claimOf(namespace, 'data0', { storageClassName: 'crate-handmade' }))
    // A real control plane says so in an event too, which counts for 20 minutes.
    const found = only(await obstacles(target, { laterMs: 30 * 60_000 }), 'VolumeNotBound')
    await trial().cure(found, { 'VolumeNotBound.volumes': new RegExp(volume) })
  })

  test('a claim whose volume is lost is looked into', async () => {
    const { namespace, target } = await makeDatabase(scene)
    const { metadata, ...lost } = claimOf(namespace, 'data0', { volumeName: 'sunk' }, { phase: 'Lost' })
    // It was bound once: so it is what Kubernetes itself calls lost.
    const annotations = { 'pv.kubernetes.io/bind-completed': 'yes' }
    await make({ ...lost, metadata: { ...metadata, annotations } } as KubernetesObject)
    const found = await until('the loss is told', async () => (await obstacles(target)).find(({ message }) => message.includes('sunk')))
    await trial().cure(found, { 'VolumeNotBound.lost': /sunk/ })
  })

  test('a class is let grow', async () => {
    const { namespace, target } = await makeDatabase(scene, { disk: '128Gi' })
    await makeBound(scene, namespace)
    await trial().cure(only(await obstacles(target), 'ClassCannotGrow'), {
      async 'ClassCannotGrow.allow'() {
        await until('nothing stands in the way of growing', async () => {
          return (await obstacles(target)).every(({ code }) => code !== 'ClassCannotGrow')
        })
      },
    })
    const premium = { apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', metadata: { name: 'crate-premium' } }
    assert.equal((await read(premium))?.allowVolumeExpansion, true)
    await make({ ...premium, provisioner: 'volumes.example.com', allowVolumeExpansion: false, volumeBindingMode: 'Immediate' })
  })

  test('a volume that its driver fails to grow is looked into', async () => {
    const { namespace, target } = await makeDatabase(scene, { disk: '64Gi' })
    const { claim } = await makeBound(scene, namespace, { size: '32Gi' })
    await event(claim, { type: 'Warning', reason: 'VolumeResizeFailed', message: 'no space in pool "tank"' })
    await trial().cure(only(await obstacles(target), 'VolumeNotResized'), { 'VolumeNotResized.describe': /no space in pool "tank"/ })
  })

  test('a volume that cannot be attached is looked into', async () => {
    const { namespace, name, target } = await makeDatabase(scene)
    await makeBound(scene, namespace)
    const status = { phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'True' }] }
    const pod = await make({ ...podOf(namespace, name, 0, using('quay-2')), status })
    await event(pod, { type: 'Warning', reason: 'FailedAttachVolume', message: 'rpc error: target not found' })
    await trial().cure(only(await obstacles(target), 'VolumeNotAttached'), { 'VolumeNotAttached.describe': /rpc error: target not found/ })
  })
}
