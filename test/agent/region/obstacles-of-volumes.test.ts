import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'
import { claimOf, makeBound, makeDatabase, makeStorageClasses, using } from './pieces.ts'
import { nodeNamed, ofDatabase, only, podOf, startScene } from './scene.ts'

const scene = await startScene()
const { make, obstacles } = scene

before(async () => {
  for (const name of ['quay-1', 'quay-2']) await make(nodeNamed(name))
  await makeStorageClasses(scene)
})

const database = (given?: Parameters<typeof makeDatabase>[1]) => makeDatabase(scene, given)
const bound = (namespace: string, size?: string) => makeBound(scene, namespace, size === undefined ? {} : { size })

test('a claim whose storage class does not exist is told with those that do', async () => {
  const { namespace, target } = await database()
  await make(claimOf(namespace, 'data0', { storageClassName: 'fast' }))
  const { message, cure, evidence } = only(await obstacles(target), 'VolumeNotBound')
  assert.equal(message, 'There is no storage class fast; the cluster has crate-handmade, crate-late and crate-premium.')
  assert.equal(evidence, `PersistentVolumeClaim ${namespace}/data0-crate-data-hot-tide-0`)
  assert.match(cure, /kubectl get storageclasses/)
})

test("a heap-dump volume without its class is told with the operator's setting", async () => {
  const { namespace, target } = await database()
  await make(claimOf(namespace, 'debug', { storageClassName: 'crate-standard' }))
  assert.match(only(await obstacles(target), 'VolumeNotBound').cure, /DEBUG_VOLUME_STORAGE_CLASS/)
})

test('a claim that its provisioner fails to serve is told in its words', async () => {
  const { namespace, target } = await database()
  const object = await make(claimOf(namespace, 'data0', {}))
  await scene.event(object, { type: 'Warning', reason: 'ProvisioningFailed', message: 'pool "tank" has 12 GiB left' })
  const { message } = only(await obstacles(target), 'VolumeNotBound')
  assert.equal(message, 'Storage class crate-premium provides no volume: pool "tank" has 12 GiB left')
})

test('a claim that nobody serves is told with who should', async () => {
  const { namespace, target } = await database()
  await make(claimOf(namespace, 'data0', {}))
  assert.match(
    only(await obstacles(target), 'VolumeNotBound').message,
    /crate-premium has provided no volume yet; its provisioner is volumes\.example\.com/,
  )
})

test('a claim of a class that makes no volumes by itself is told so', async () => {
  const { namespace, target } = await database()
  await make(claimOf(namespace, 'data0', { storageClassName: 'crate-handmade' }))
  const { message, cure } = only(await obstacles(target), 'VolumeNotBound')
  assert.match(message, /No free volume of storage class crate-handmade fits|crate-handmade provides no volume/)
  assert.match(cure, /kubectl/)
})

test('a claim that waits for its pod to be placed is no obstacle of its own', async () => {
  const { namespace, target } = await database()
  await make(claimOf(namespace, 'data0', { storageClassName: 'crate-late' }))
  only(await obstacles(target))
})

test('a claim whose volume is lost is told', async () => {
  const { namespace, target } = await database()
  const { metadata, ...lost } = claimOf(namespace, 'data0', { volumeName: 'sunk' }, { phase: 'Lost' })
  // It was bound once: so it is what Kubernetes itself calls lost.
  const annotations = { 'pv.kubernetes.io/bind-completed': 'yes' }
  await make({ ...lost, metadata: { ...metadata, annotations } } as KubernetesObject)
  const [found] = await until('the loss is told', async () => {
    const all = await obstacles(target)
    return all[0]?.message.includes('sunk') && all
  })
  assert.match(found?.message ?? '', /^Its volume sunk no longer exists/)
})

test('a disk that is to grow in a class that cannot is told before anybody tries', async () => {
  const { namespace, target } = await database({ disk: '128Gi' })
  await bound(namespace)
  const { message, cure } = only(await obstacles(target), 'ClassCannotGrow')
  assert.equal(message, 'The disk is to grow from 64Gi to 128Gi, but storage class crate-premium does not let volumes grow.')
  assert.match(cure, /kubectl patch storageclass crate-premium/)
})

test('a disk of the size that its volumes have is no obstacle', async () => {
  const { namespace, target } = await database({ disk: '64GiB' })
  await bound(namespace)
  only(await obstacles(target))
})

test('a volume that its driver fails to grow is told in its words', async () => {
  const { namespace, target } = await database({ disk: '64Gi' })
  const { claim: object } = await bound(namespace, '32Gi')
  await scene.event(object, { type: 'Warning', reason: 'VolumeResizeFailed', message: 'no space in pool "tank"' })
  assert.match(only(await obstacles(target), 'VolumeNotResized').message, /does not grow to 64Gi: no space in pool "tank"/)
})

const starting = { phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'True' }] }
test('a volume that hangs on a dead node is told with the attachment', async () => {
  await make(nodeNamed('wreck', { ready: false }))
  const { namespace, name, target } = await database()
  const { volume } = await bound(namespace)
  const attachment = {
    metadata: { name: `csi-${namespace}` },
    spec: { attacher: 'volumes.example.com', nodeName: 'wreck', source: { persistentVolumeName: volume } },
  }
  await make({ apiVersion: 'storage.k8s.io/v1', kind: 'VolumeAttachment', ...attachment })
  const pod = await make({ ...podOf(namespace, name, 0, using('quay-2')), status: starting })
  await scene.event(pod, { type: 'Warning', reason: 'FailedAttachVolume', message: `Multi-Attach error for volume "${volume}"` })
  const { message, evidence, cure } = only(await obstacles(target), 'VolumeAttachmentOnDeadNode')
  assert.equal(
    message,
    `Volume ${volume} is still attached to node wreck, which is not ready; crate-data-hot-tide-0 cannot use it elsewhere.`,
  )
  assert.equal(evidence, `VolumeAttachment csi-${namespace}`)
  assert.match(cure, new RegExp(`kubectl delete volumeattachment csi-${namespace} --wait=false\n.*: kubectl delete node wreck$`))
})

test('a volume that is attached where its pod is to start is no obstacle', async () => {
  const { namespace, name, target } = await database()
  const { volume } = await bound(namespace)
  const attachment = {
    metadata: { name: `csi-${namespace}` },
    spec: { attacher: 'volumes.example.com', nodeName: 'quay-2', source: { persistentVolumeName: volume } },
  }
  await make({ apiVersion: 'storage.k8s.io/v1', kind: 'VolumeAttachment', ...attachment })
  await make({ ...podOf(namespace, name, 0, using('quay-2')), status: starting })
  only(await obstacles(target))
})

test('a volume that cannot be attached for another reason is told in the words of whoever tried', async () => {
  const { namespace, name, target } = await database()
  await bound(namespace)
  const pod = await make({ ...podOf(namespace, name, 0, using('quay-2')), status: starting })
  await scene.event(pod, { type: 'Warning', reason: 'FailedAttachVolume', message: 'rpc error: target not found' })
  assert.equal(
    only(await obstacles(target), 'VolumeNotAttached').message,
    'Its volumes are not ready on node quay-2: rpc error: target not found',
  )
})

test('a claim that is deleted while a pod uses it is told with the pod', async () => {
  const { namespace, name, target } = await database()
  const object = claimOf(namespace, 'data0', { storageClassName: 'crate-late' })
  await make({ ...object, metadata: { ...object.metadata, finalizers: ['kubernetes.io/pvc-protection'] } })
  await make({ ...podOf(namespace, name, 0, using('quay-2')), status: starting })
  await scene.remove(object)
  only(await obstacles(target)) // its protection is given a moment
  const { message } = only(await obstacles(target, { laterMs: 20_000 }), 'FinalizerHeld')
  assert.match(message, /kubernetes\.io\/pvc-protection.*kube-controller-manager.*it is used by crate-data-hot-tide-0/)
})

/** The Service through which clients come. */
function service(namespace: string, status: object): KubernetesObject {
  const ports = [
    { name: 'http', protocol: 'TCP', port: 4200 },
    { name: 'psql', protocol: 'TCP', port: 5432 },
  ]
  const metadata = { name: 'crate-tide', namespace, labels: ofDatabase('tide') }
  return { apiVersion: 'v1', kind: 'Service', metadata, spec: { type: 'LoadBalancer', ports }, status }
}

test('a load balancer without an address is told after a while', async () => {
  const { namespace, target } = await database()
  const object = await make(service(namespace, { loadBalancer: {} }))
  only(await obstacles(target))
  const later = { laterMs: 60_000 }
  assert.match(only(await obstacles(target, later), 'LoadBalancerWithoutAddress').message, /no Event says why/)
  await scene.event(object, { type: 'Warning', reason: 'AllocationFailed', message: 'no available IPs in pool "quay"' })
  const { message, cure } = only(await obstacles(target, later), 'LoadBalancerWithoutAddress')
  assert.equal(message, 'The load balancer has no address: no available IPs in pool "quay"')
  assert.match(cure, /describe service crate-tide/)
})

test('a load balancer with an address is no obstacle', async () => {
  const { namespace, target } = await database()
  await make(service(namespace, { loadBalancer: { ingress: [{ ip: '203.0.113.7' }] } }))
  only(await obstacles(target, { laterMs: 60_000 }))
})
