import type { KubernetesObject } from '../../client/objects.ts'
import type { World } from '../world.ts'
import { defaultOptions, fieldManager, type OperatorOptions } from './operator.ts'

const name = 'crate-operator'
const namespace = 'crate-operator'
/** The operator's Deployment. */
export const deploymentAt = { namespace, name }
const appLabels = { 'app.kubernetes.io/name': name, 'app.kubernetes.io/instance': name }

/** The annotation of pods that the kubelet stand-in leaves alone. */
export const unmanagedPod = { 'skerry.dev/stand-in': 'minds-its-own-pods' }

/** The operator's Deployment. */
export type OperatorDeployment = {
  /** Shows in its status whether the operator runs. */
  setReady(ready: boolean): Promise<void>
  stop(): void
}

/**
 * Creates the operator's namespace and Deployment. On the embedded control plane, which has no Deployment controller, it writes the
 * status of the Deployment; on a real one, that of the Deployment's pod.
 */
export async function createOperatorDeployment(
  world: World,
  { version = defaultOptions.version, ...given }: Partial<Pick<OperatorOptions, 'version' | Environment>> = {},
): Promise<OperatorDeployment> {
  await world.create('Namespace', { metadata: { name: namespace } }, { fieldManager })
  await world.create(
    'Deployment',
    {
      metadata: { name, namespace, labels: { ...appLabels, 'app.kubernetes.io/version': version } },
      spec: {
        replicas: 1,
        strategy: { type: 'Recreate' },
        selector: { matchLabels: appLabels },
        template: {
          metadata: { labels: appLabels, annotations: unmanagedPod },
          spec: { containers: [{ name: 'operator', image: `crate/crate-operator:${version}`, env: environment(given) }] },
        },
      },
    },
    { fieldManager },
  )
  return world.plane === 'embedded' ? byStatus(world) : byPods(world)
}

const variables = {
  size: 'CRATEDB_OPERATOR_DEBUG_VOLUME_SIZE',
  storageClass: 'CRATEDB_OPERATOR_DEBUG_VOLUME_STORAGE_CLASS',
  backupImage: 'CRATEDB_OPERATOR_CLUSTER_BACKUP_IMAGE',
}

/** The options that are in the environment of the Deployment. */
type Environment = 'debugVolume' | 'backupImage'

function environment({ debugVolume, backupImage }: Partial<Pick<OperatorOptions, Environment>>): { name: string; value: string }[] {
  const values = { ...debugVolume, ...(backupImage !== undefined && { backupImage }) }
  return Object.entries(values).map(([option, value]) => ({ name: variables[option as keyof typeof variables], value }))
}

/** The settings from the environment, with the defaults of the operator's config.py. */
export function debugVolumeOf(deployment: KubernetesObject | undefined): { size: string; storageClass: string } {
  const value = (variable: string) => variableOf(deployment, variable)
  return { size: value(variables.size) ?? '64GiB', storageClass: value(variables.storageClass) ?? 'crate-standard' }
}

/** The image for backups; undefined without one. */
export function backupImageOf(deployment: KubernetesObject | undefined): string | undefined {
  return variableOf(deployment, variables.backupImage)
}

function variableOf(deployment: KubernetesObject | undefined, variable: string): string | undefined {
  const env: { name: string; value?: string }[] = deployment?.spec?.template?.spec?.containers?.[0]?.env ?? []
  return env.find((each) => each.name === variable)?.value
}

/** The release in the tag of the image; a digest alone does not tell it, so `otherwise`. */
export function versionOf(deployment: KubernetesObject | undefined, otherwise: string): string {
  const image: string = deployment?.spec?.template?.spec?.containers?.[0]?.image ?? ''
  return /:(\d+\.\d+\.\d+)/.exec(image)?.[1] ?? otherwise
}

async function byStatus(world: World): Promise<OperatorDeployment> {
  const deployments = await world.follow('Deployment')
  return {
    async setReady(ready) {
      const deployment = deployments.get(`${namespace}/${name}`)
      if (deployment === undefined) return
      const { replicas = 1 } = deployment.spec
      const count = ready ? replicas : 0
      const isAvailable = count === replicas
      const condition = {
        type: 'Available',
        status: isAvailable ? 'True' : 'False',
        reason: isAvailable ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
        message: `Deployment ${isAvailable ? 'has' : 'does not have'} minimum availability.`,
      }
      const counts = { replicas, updatedReplicas: replicas, readyReplicas: count, availableReplicas: count }
      const { generation: observedGeneration = 1 } = deployment.metadata
      const status = { observedGeneration, ...counts, unavailableReplicas: replicas - count, conditions: [condition] }
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
