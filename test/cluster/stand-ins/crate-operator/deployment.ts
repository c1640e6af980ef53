import type { KubernetesObject } from '../../client/objects.ts'
import type { World } from '../world.ts'
import { fieldManager, type OperatorOptions } from './operator.ts'

const name = 'crate-operator'
const namespace = 'crate-operator'
/** The operator's Deployment. */
export const deploymentAt = { namespace, name }
const appLabels = { 'app.kubernetes.io/name': name, 'app.kubernetes.io/instance': name }

/** The annotation of pods that the kubelet stand-in leaves alone. */
export const unmanagedPod = { 'skerry.dev/stand-in': 'minds-its-own-pods' }

/** The operator's Deployment: ready while the operator runs, not ready while it is paused. */
export type OperatorDeployment = { setReady(ready: boolean): Promise<void>; stop(): void }

/**
 * Creates the operator's namespace and Deployment. On the embedded control plane, which has no Deployment controller, it writes the
 * status of the Deployment; on a real one, that of the Deployment's pod.
 */
export async function createOperatorDeployment(world: World, debugVolume?: OperatorOptions['debugVolume']): Promise<OperatorDeployment> {
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
          spec: { containers: [{ name: 'operator', image: 'crate/crate-operator:2.63.0', env: environment(debugVolume) }] },
        },
      },
    },
    { fieldManager },
  )
  return world.plane === 'embedded' ? byStatus(world) : byPods(world)
}

const variables = { size: 'CRATEDB_OPERATOR_DEBUG_VOLUME_SIZE', storageClass: 'CRATEDB_OPERATOR_DEBUG_VOLUME_STORAGE_CLASS' }

function environment(debugVolume: OperatorOptions['debugVolume']): { name: string; value: string }[] {
  if (!debugVolume) return []
  return [
    { name: variables.size, value: debugVolume.size },
    { name: variables.storageClass, value: debugVolume.storageClass },
  ]
}

/** The settings from the environment, with the defaults of the operator's config.py. */
export function debugVolumeOf(deployment: KubernetesObject | undefined): { size: string; storageClass: string } {
  const env: { name: string; value?: string }[] = deployment?.spec?.template?.spec?.containers?.[0]?.env ?? []
  const value = (variable: string) => env.find((each) => each.name === variable)?.value
  return { size: value(variables.size) ?? '64GiB', storageClass: value(variables.storageClass) ?? 'crate-standard' }
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
    const { name, uid, deletionTimestamp } = pod.metadata
    // A kubelet ends the pod, and a new one starts, as after every change of the Deployment.
    if (deletionTimestamp !== undefined) return world.remove('Pod', { namespace, name }, { uid, graceSeconds: 0 })
    const now = pod.status?.conditions?.find(({ type }: { type: string }) => type === 'Ready')?.status
    if (now === (wanted ? 'True' : 'False')) return
    const conditions = ['Ready', 'ContainersReady'].map((type) => ({ type, status: wanted ? 'True' : 'False' }))
    const status = { phase: 'Running', conditions: [...conditions, { type: 'PodScheduled', status: 'True' }] }
    await world.patch('Pod', { namespace, name }, { status }, { fieldManager, subresource: 'status' })
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
