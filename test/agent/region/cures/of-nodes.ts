import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubernetesObject } from '../../../../shared/kubernetes/objects.ts'
import { until } from '../../../cluster/index.ts'
import { claimOf, makeBound, makeDatabase, using } from '../pieces.ts'
import { nodeNamed, only, podOf, type Scene } from '../scene.ts'
import type { Trial } from './trial.ts'

const starting = { phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'True' }] }
const unready = { phase: 'Running', conditions: [{ type: 'Ready', status: 'False' }] }
const unscheduled = (message: string) => ({
  phase: 'Pending',
  conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }],
})

/** Nodes that are silent or take no pod, brought about by writing objects. */
export function curesOfNodes(scene: Scene, trial: () => Trial): void {
  const { make, obstacles, read } = scene
  const nodeObject = (name: string): KubernetesObject => ({ apiVersion: 'v1', kind: 'Node', metadata: { name } })
  /** As the caches hear of it, by which nodes are judged. */
  const nodeIsGone = (name: string) => until(`${name} is gone`, async () => scene.caches.nodes.get(name) === undefined)

  test('a node that is off for good is removed', async () => {
    await make(nodeNamed('hulk', { ready: false }))
    const { namespace, name, target } = await makeDatabase(scene)
    await makeBound(scene, namespace)
    await make({ ...podOf(namespace, name, 0, using('hulk')), status: unready })
    await trial().cure(only(await obstacles(target), 'NodeNotReady'), {
      'NodeNotReady.describe': /Kubelet stopped posting node status/,
      async 'NodeNotReady.remove'() {
        await nodeIsGone('hulk')
        assert.equal(await read(nodeObject('hulk')), undefined)
      },
    })
  })

  test('pods of a node that does not exist any more are let go', async () => {
    const { namespace, name, target } = await makeDatabase(scene)
    await makeBound(scene, namespace)
    const pod = await make({ ...podOf(namespace, name, 0, using('sunk')), status: unready })
    const found = only(await obstacles(target), 'NodeNotReady')
    await trial().cure(found, {
      'NodeNotReady.pods': /crate-data-hot-tide-0 .* sunk /,
      async 'NodeNotReady.force'() {
        await until('the pod is gone', async () => (await read(pod)) === undefined)
        only(await obstacles(target))
      },
    })
  })

  test('a volume that hangs on a dead node is detached', async () => {
    await make(nodeNamed('wreck', { ready: false }))
    const { namespace, name, target } = await makeDatabase(scene)
    const { volume } = await makeBound(scene, namespace)
    const attachment: KubernetesObject = {
      apiVersion: 'storage.k8s.io/v1',
      kind: 'VolumeAttachment',
      metadata: { name: `csi-${namespace}`, finalizers: ['external-attacher/volumes-example-com'] },
      spec: { attacher: 'volumes.example.com', nodeName: 'wreck', source: { persistentVolumeName: volume } },
    }
    await make(attachment)
    const pod = await make({ ...podOf(namespace, name, 0, using('quay-2')), status: starting })
    await scene.event(pod, { type: 'Warning', reason: 'FailedAttachVolume', message: `Multi-Attach error for volume "${volume}"` })
    await trial().cure(only(await obstacles(target), 'VolumeAttachmentOnDeadNode'), {
      'VolumeAttachmentOnDeadNode.describe': /wreck/,
      async 'VolumeAttachmentOnDeadNode.detach'() {
        assert.ok((await read(attachment))?.metadata.deletionTimestamp, 'it waits for its driver')
        const { finalizers: _, ...metadata } = attachment.metadata
        await make({ ...attachment, metadata: { ...metadata, finalizers: [] } })
        await until('it is gone', async () => (await read(attachment)) === undefined)
        only(await obstacles(target), 'VolumeNotAttached')
      },
      async 'VolumeAttachmentOnDeadNode.removeNode'() {
        await nodeIsGone('wreck')
        assert.equal(await read(nodeObject('wreck')), undefined)
      },
    })
  })

  test('a cluster without a scheduler is looked into', async () => {
    const { namespace, name, target } = await makeDatabase(scene)
    await make(podOf(namespace, name, 0))
    const metadata = { name: 'kube-scheduler-quay-1', namespace: 'kube-system' }
    await make({ apiVersion: 'v1', kind: 'Pod', metadata, spec: { nodeName: 'quay-1', containers: [{ name: 'a', image: 'a:1' }] } })
    await trial().cure(only(await obstacles(target, { laterMs: 60_000 }), 'PodUnschedulable'), {
      'PodUnschedulable.scheduler': /kube-scheduler-quay-1/,
      'PodUnschedulable.describe': /crate-data-hot-tide-0/,
    })
  })

  test('a pod that the scheduler finds no node for at all is looked into', async () => {
    const { namespace, name, target } = await makeDatabase(scene)
    await make({ ...podOf(namespace, name, 0), status: unscheduled('no nodes available to schedule pods') })
    await trial().cure(only(await obstacles(target), 'PodUnschedulable'), { 'PodUnschedulable.nodes': /quay-1/ })
  })

  test('a pod whose volume is elsewhere, or not bound, is looked into', async () => {
    const { namespace, name, target } = await makeDatabase(scene)
    await make(claimOf(namespace, 'data0', { storageClassName: 'crate-late' }))
    const message =
      '0/2 nodes are available: 1 node(s) had volume node affinity conflict, 1 pod has unbound immediate PersistentVolumeClaims.'
    await make({ ...podOf(namespace, name, 0), status: unscheduled(message) })
    await trial().cure(only(await obstacles(target), 'PodUnschedulable'), {
      'PodUnschedulable.volumes': /data0-crate-data-hot-tide-0/,
      'PodUnschedulable.claims': /crate-late/,
      'PodUnschedulable.describe': /crate-data-hot-tide-0/,
    })
  })
}
