import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'
import { crateDB, ofDatabase, type Scene } from './scene.ts'

/** A database `tide` that the operator has set up, in a project of its own, with its password. */
export async function makeDatabase(scene: Scene, given: Parameters<typeof crateDB>[2] = {}) {
  const { project, namespace } = await scene.project()
  const name = 'tide'
  const object = await scene.make(crateDB(namespace, name, given))
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: `user-password-${name}-0`, namespace } }
  await scene.make({ ...secret, stringData: { password: 'x' } })
  return { project, namespace, name, object, target: { kind: 'database', project, database: name } as const }
}

/** A claim of that database as the StatefulSet makes it. */
export function claimOf(namespace: string, volume: string, spec: object, status: object = { phase: 'Pending' }): KubernetesObject {
  const labels = ofDatabase('tide', { 'cloud.crate.io/node-name': 'hot' })
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: `${volume}-crate-data-hot-tide-0`, namespace, labels },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '64Gi' } }, storageClassName: 'crate-premium', ...spec },
    status,
  }
}

export const volumeNamed = (name: string): KubernetesObject => ({ apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name } })

/** A claim of that database that has its volume, and that volume. */
export async function makeBound(
  scene: Scene,
  namespace: string,
  { size = '64Gi', policy = 'Retain' }: { size?: string; policy?: 'Retain' | 'Delete' } = {},
): Promise<{ claim: KubernetesObject; volume: string }> {
  const volume = `pv-${namespace}`
  const status = { phase: 'Bound', capacity: { storage: size }, accessModes: ['ReadWriteOnce'] }
  const wanted = claimOf(namespace, 'data0', { volumeName: volume }, status)
  await scene.make({
    ...volumeNamed(volume),
    spec: {
      capacity: { storage: size },
      accessModes: ['ReadWriteOnce'],
      storageClassName: 'crate-premium',
      persistentVolumeReclaimPolicy: policy,
      claimRef: { kind: 'PersistentVolumeClaim', namespace, name: wanted.metadata.name },
      csi: { driver: 'volumes.example.com', volumeHandle: volume },
    },
  })
  const made = await scene.make(wanted)
  if (scene.world.plane === 'embedded') return { claim: made, volume }
  // A real control plane binds them by itself, and before it has seen the volume takes what was said of the claim back.
  const claim = await until('both are bound', async () => {
    const [there, own] = await Promise.all([scene.read(volumeNamed(volume)), scene.read(wanted)])
    const isWhole = own?.metadata.annotations?.['pv.kubernetes.io/bind-completed'] === 'yes' && own.status?.phase === 'Bound'
    return there?.status?.phase === 'Bound' && isWhole && own
  })
  return { claim, volume }
}

/** Storage classes whose volumes cannot grow, which bind at once, late, and by hand. */
export async function makeStorageClasses(scene: Scene): Promise<void> {
  const fixed = { apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', provisioner: 'volumes.example.com', allowVolumeExpansion: false }
  const handmade = { ...fixed, provisioner: 'kubernetes.io/no-provisioner' }
  await scene.make({ ...fixed, metadata: { name: 'crate-premium' }, volumeBindingMode: 'Immediate' })
  await scene.make({ ...fixed, metadata: { name: 'crate-late' }, volumeBindingMode: 'WaitForFirstConsumer' })
  await scene.make({ ...handmade, metadata: { name: 'crate-handmade' }, volumeBindingMode: 'Immediate' })
}

/** A pod's spec that uses the claim of `makeBound` on that node. */
export const using = (nodeName: string) => ({
  nodeName,
  volumes: [{ name: 'data0', persistentVolumeClaim: { claimName: 'data0-crate-data-hot-tide-0' } }],
})

/** The API server admits by what its own watches have told it: until then a real controller would get the pods that it asks for. */
export async function whenRefused(scene: Scene, namespace: string, words: RegExp): Promise<void> {
  const containers = [{ name: 'crate', image: 'crate:5.10.1', resources: { requests: { cpu: '1' } } }]
  const body = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'one' }, spec: { containers } }
  const tryOut = { method: 'POST', path: pathOf(kinds.Pod, namespace), query: { dryRun: 'All' }, body } as const
  await until('pods are refused', () =>
    scene.admin.request(tryOut).then(
      () => false,
      (error) => words.test(String(error)),
    ),
  )
}

/** A StatefulSet of a database that has not a single pod. */
export function statefulSetOf(namespace: string, database: string): KubernetesObject {
  const labels = ofDatabase(database)
  const containers = [{ name: 'crate', image: 'crate:5.10.1', resources: { requests: { cpu: '1' } } }]
  const template = { metadata: { labels }, spec: { containers } }
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: `crate-data-hot-${database}`, namespace, labels },
    spec: { replicas: 3, serviceName: 'cratedb', selector: { matchLabels: labels }, template },
    status: { replicas: 0 },
  }
}
