import type { KubernetesObject } from '../../../../shared/kubernetes/objects.ts'
import type { World } from '../world.ts'
import { fieldManager } from './operator.ts'

const name = 'crate-operator'
const namespace = 'crate-operator'
const appLabels = { 'app.kubernetes.io/name': name, 'app.kubernetes.io/instance': name }

/** Pods with this annotation are none of the kubelet stand-in's business. */
export const unmanagedPod = { 'skerry.dev/stand-in': 'minds-its-own-pods' }

/** The Deployment as which the operator is seen in the cluster: ready while it runs, not ready while its process is gone. */
export type OperatorDeployment = { setReady(ready: boolean): Promise<void>; stop(): void }

/**
 * Creates namespace and Deployment. On the embedded control plane its status is written here, since nobody else does; on a
 * real one the Deployment controller makes a pod, and it is the pod's readiness that is written.
 */
export async function createOperatorDeployment(world: World): Promise<OperatorDeployment> {
  await world.create('Namespace', { metadata: { name: namespace } }, { fieldManager })
  await world.create(
    'Deployment',
    {
      metadata: { name, namespace, labels: { ...appLabels, 'app.kubernetes.io/version': '2.63.0' } },
      spec: {
        replicas: 1,
        strategy: { type: 'Recreate' },
        selector: { matchLabels: appLabels },
        template: {
          metadata: { labels: appLabels, annotations: unmanagedPod },
          spec: { containers: [{ name: 'operator', image: 'crate/crate-operator:2.63.0' }] },
        },
      },
    },
    { fieldManager },
  )
  return world.plane === 'embedded' ? byStatus(world) : byPods(world)
}

function byStatus(world: World): OperatorDeployment {
  return {
    async setReady(ready) {
      const count = ready ? 1 : 0
      const condition = {
        type: 'Available',
        status: ready ? 'True' : 'False',
        reason: ready ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
        message: `Deployment ${ready ? 'has' : 'does not have'} minimum availability.`,
      }
      const counts = { replicas: 1, updatedReplicas: 1, readyReplicas: count, availableReplicas: count, unavailableReplicas: 1 - count }
      const status = { observedGeneration: 1, ...counts, conditions: [condition] }
      await world.patch('Deployment', { namespace, name }, { status }, { fieldManager, subresource: 'status' })
    },
    stop() {},
  }
}

async function byPods(world: World): Promise<OperatorDeployment> {
  const pods = await world.follow('Pod')
  let wanted = false
  const isOurs = ({ metadata }: KubernetesObject) =>
    metadata.namespace === namespace && metadata.labels?.['app.kubernetes.io/instance'] === name

  async function show(pod: KubernetesObject): Promise<void> {
    const now = pod.status?.conditions?.find(({ type }: { type: string }) => type === 'Ready')?.status
    if (now === (wanted ? 'True' : 'False')) return
    const conditions = ['Ready', 'ContainersReady'].map((type) => ({ type, status: wanted ? 'True' : 'False' }))
    const status = { phase: 'Running', conditions: [...conditions, { type: 'PodScheduled', status: 'True' }] }
    await world.patch('Pod', { namespace, name: pod.metadata.name }, { status }, { fieldManager, subresource: 'status' })
  }

  const stop = pods.subscribe(({ type, object }) => {
    if (type !== 'removed' && isOurs(object))
      show(object).catch((error: unknown) => world.log.debug({ err: error }, 'pod of the operator not shown'))
  })
  return {
    async setReady(ready) {
      wanted = ready
      await Promise.all([...pods.values()].filter(isOurs).map(show))
    },
    stop,
  }
}
