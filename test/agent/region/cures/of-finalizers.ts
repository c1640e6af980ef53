import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import type { Obstacle } from '../../../../agent/resources/operation.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../../shared/kubernetes/objects.ts'
import { until } from '../../../cluster/index.ts'
import { installSnapshotKinds } from '../../operations/snapshot-storage.ts'
import { claimOf, makeBound, makeDatabase, using, volumeNamed } from '../pieces.ts'
import { ofDatabase, operatorName, podOf, type Scene } from '../scene.ts'
import type { Expectation, Trial } from './trial.ts'

const foreign = 'example.com/hold'
const ofTheOperator = 'operator.cloud.crate.io/finalizer'
const noOperator = { namespace: 'crate-operator', name: 'crate-operator-2' }

/** Objects that are held by a finalizer, brought about by writing them. */
export function curesOfFinalizers(scene: Scene, trial: () => Trial): void {
  const { make, obstacles, read, remove } = scene

  /** Deletes an object that these finalizers hold. Those of Kubernetes' own controllers have gone by then: a cure goes by their places. */
  async function held(object: KubernetesObject, ...finalizers: string[]): Promise<KubernetesObject> {
    const made = await make({ ...bare(object), metadata: { ...bare(object).metadata, finalizers } })
    await remove(made)
    await until(`nothing else holds ${object.kind} ${object.metadata.name}`, async () =>
      (await read(made))?.metadata.finalizers?.every((finalizer) => finalizers.includes(finalizer)),
    )
    return made
  }

  async function told(
    target: Parameters<typeof obstacles>[0],
    finalizer: string,
    options: Parameters<typeof obstacles>[1] = {},
  ): Promise<Obstacle> {
    return until(`${finalizer} is told`, async () =>
      (await obstacles(target, options)).find(({ code, message }) => code === 'FinalizerHeld' && message.includes(finalizer)),
    )
  }

  const isGone = (object: KubernetesObject) => until(`${object.kind} is gone`, async () => (await read(object)) === undefined)

  /** A volume that would go with its claim, and is kept first. */
  const kept = (volume: string): Record<string, Expectation> => ({
    async 'FinalizerHeld.keepVolumes'() {
      assert.equal((await read(volumeNamed(volume)))?.spec.persistentVolumeReclaimPolicy, 'Retain')
    },
  })

  test('a database whose operator is gone for good is let go, and its volumes are kept', async () => {
    const { namespace, object, target } = await makeDatabase(scene)
    const { claim, volume } = await makeBound(scene, namespace, { policy: 'Delete' })
    const owner = { apiVersion: object.apiVersion, kind: object.kind, name: object.metadata.name, uid: object.metadata.uid }
    await make({ ...bare(claim), metadata: { ...bare(claim).metadata, ownerReferences: [owner] } } as KubernetesObject)
    await held(object, ofTheOperator, foreign)
    const found = await told(target, ofTheOperator, { operator: noOperator })
    assert.equal(found.cures[0]?.effect.includes('Install the Crate Operator again'), true)
    await trial().cure(found, {
      ...kept(volume),
      async 'FinalizerHeld.withoutOperator'() {
        assert.deepEqual((await read(object))?.metadata.finalizers, [foreign], 'the other one stands')
      },
    })
    await trial().cure(await told(target, foreign), {
      ...kept(volume),
      async 'FinalizerHeld.withoutController'() {
        await isGone(object)
        await isGone(claim)
        assert.equal((await read(volumeNamed(volume)))?.spec.persistentVolumeReclaimPolicy, 'Retain')
      },
    })
  })

  test('a database whose operator is down is let go only as the last proposal', async () => {
    const { object, target } = await makeDatabase(scene)
    await held(object, ofTheOperator)
    await trial().cure(await told(target, ofTheOperator, { laterMs: 20_000 }), {
      'FinalizerHeld.operator': new RegExp(operatorName.name),
      'FinalizerHeld.withoutOperator': async () => void (await isGone(object)),
    })
  })

  test('a claim that a foreign finalizer holds keeps its volume when it is let go', async () => {
    const { namespace, target } = await makeDatabase(scene)
    const { claim, volume } = await makeBound(scene, namespace, { policy: 'Delete' })
    await held(claim, foreign)
    await trial().cure(await told(target, foreign), {
      ...kept(volume),
      'FinalizerHeld.withoutController': async () => void (await isGone(claim)),
    })
  })

  for (const kind of ['Project', 'Namespace', 'Pod', 'Service', 'StatefulSet'] as const) {
    test(`a ${kind} that a foreign finalizer holds is let go`, async () => {
      const { project, namespace, name } = await makeDatabase(scene)
      const target = { kind: kind === 'Project' || kind === 'Namespace' ? 'project' : 'database', project, database: name } as const
      const labels = ofDatabase(name)
      const template = { metadata: { labels }, spec: podOf(namespace, name, 0).spec }
      const objects: Record<typeof kind, KubernetesObject> = {
        Project: { apiVersion: 'skerry.dev/v1', kind, metadata: { name: project }, spec: {} },
        Namespace: { apiVersion: 'v1', kind, metadata: { name: namespace } },
        Pod: podOf(namespace, name, 0, { nodeName: 'quay-1' }),
        Service: {
          apiVersion: 'v1',
          kind,
          metadata: { name: 'crate-tide', namespace, labels },
          spec: { ports: [{ protocol: 'TCP', port: 4200 }] },
        },
        StatefulSet: {
          apiVersion: 'apps/v1',
          kind,
          metadata: { name: 'crate-data-hot-tide', namespace, labels },
          spec: { replicas: 0, serviceName: 'cratedb', selector: { matchLabels: labels }, template },
        },
      }
      // Of a namespace the foreign one is what is left, once its content is gone.
      const object = await held(objects[kind], foreign)
      await trial().cure(await told(target, foreign), { 'FinalizerHeld.withoutController': async () => void (await isGone(object)) })
    })
  }

  test('a claim in use is looked into, and its protection stays', async () => {
    const { namespace, name, target } = await makeDatabase(scene)
    await make({
      ...podOf(namespace, name, 0, using('quay-2')),
      status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
    })
    await held(claimOf(namespace, 'data0', { storageClassName: 'crate-late' }), 'kubernetes.io/pvc-protection')
    const found = await told(target, 'pvc-protection', { laterMs: 20_000 })
    await trial().cure(found, { 'FinalizerHeld.claim': /crate-data-hot-tide-0/ })
    assert.equal(found.cures.length, 1)
  })

  test('a claim of which a snapshot is being made is looked into', async () => {
    const { namespace, target } = await makeDatabase(scene)
    await installSnapshotKinds(scene.admin)
    const claim = await held(
      claimOf(namespace, 'data0', { storageClassName: 'crate-late' }),
      'snapshot.storage.kubernetes.io/pvc-as-source-protection',
    )
    const source = { persistentVolumeClaimName: claim.metadata.name }
    const snapshot = {
      apiVersion: 'snapshot.storage.k8s.io/v1',
      kind: 'VolumeSnapshot',
      metadata: { name: 'tide-1', namespace },
      spec: { source },
    }
    await scene.admin.request({ method: 'POST', path: pathOf(kinds.VolumeSnapshot, namespace), body: snapshot })
    const found = await told(target, 'pvc-as-source-protection', { laterMs: 20_000 })
    assert.match(found.message, /removed by the snapshot controller of the cluster, once no snapshot of it is being made/)
    await trial().cure(found, { 'FinalizerHeld.snapshots': /tide-1/ })
  })

  test('a load balancer that is held is looked into', async () => {
    const { namespace, target } = await makeDatabase(scene)
    const metadata = { name: 'crate-tide', namespace, labels: ofDatabase('tide') }
    const ports = [{ name: 'http', protocol: 'TCP', port: 4200 }]
    await held({ apiVersion: 'v1', kind: 'Service', metadata, spec: { ports } }, 'service.kubernetes.io/load-balancer-cleanup')
    await trial().cure(await told(target, 'load-balancer-cleanup', { laterMs: 20_000 }), { 'FinalizerHeld.service': /crate-tide/ })
  })

  test('what holds a project that waits for the garbage collector is looked into in its namespace', async () => {
    const { project, namespace } = await makeDatabase(scene)
    const object: KubernetesObject = { apiVersion: 'skerry.dev/v1', kind: 'Project', metadata: { name: project }, spec: {} }
    const { uid } = (await read(object))?.metadata ?? {}
    const owner = { apiVersion: 'skerry.dev/v1', kind: 'Project', name: project, uid, blockOwnerDeletion: true }
    const ports = [{ protocol: 'TCP', port: 4200 }]
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'buoy', namespace, ownerReferences: [owner], finalizers: [foreign] },
    }
    await make({ ...service, spec: { ports } } as KubernetesObject)
    // The collector takes a project for empty whose dependents it has not heard of. It hears of Services in the order of their creation.
    const nobody = { apiVersion: 'v1', kind: 'ConfigMap', name: 'nobody', uid: randomUUID() }
    const orphan = { ...service, metadata: { name: 'flotsam', namespace, ownerReferences: [nobody] } }
    await isGone(await make({ ...orphan, spec: { ports } } as KubernetesObject))
    const path = `/apis/skerry.dev/v1/projects/${project}`
    await scene.admin.request({
      method: 'DELETE',
      path,
      body: { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Foreground' },
    })
    const found = await told({ kind: 'project', project }, 'foregroundDeletion', { laterMs: 20_000 })
    await trial().cure(found, { 'FinalizerHeld.collector': /service\/buoy/ })
    await make({ ...service, metadata: { ...service.metadata, finalizers: [] }, spec: { ports } } as KubernetesObject)
  })

  test('a claim that a storage driver holds is looked into', async () => {
    const { namespace, name, target } = await makeDatabase(scene)
    const driver = { apiVersion: 'storage.k8s.io/v1', kind: 'CSIDriver', metadata: { name: 'volumes.example.com' }, spec: {} }
    await scene.admin.request({ method: 'POST', path: '/apis/storage.k8s.io/v1/csidrivers', body: driver })
    await make({ ...podOf(namespace, name, 0, { nodeName: 'quay-2' }), status: { conditions: [{ type: 'Ready', status: 'True' }] } })
    await held(claimOf(namespace, 'data0', { storageClassName: 'crate-late' }), 'external-provisioner.volume.kubernetes.io/finalizer')
    await trial().cure(await told(target, 'external-provisioner', { laterMs: 20_000 }), {
      'FinalizerHeld.drivers': /volumes\.example\.com/,
      'FinalizerHeld.driverPods': /crate-data-hot-tide-0/,
    })
  })
}

/** An object as somebody would write it, without what the API server adds. */
function bare({ status: _, metadata, ...object }: KubernetesObject): KubernetesObject {
  const { name, namespace, labels, annotations } = metadata
  const given = { name, namespace, labels, annotations }
  return { ...object, metadata: given as KubernetesObject['metadata'] } as KubernetesObject
}
