import { createHash } from 'node:crypto'
import { type KubernetesObject, keyOf } from '../../shared/kubernetes/objects.ts'
import { createQueue, isReady, unmanagedPod, type World } from '../cluster/index.ts'

const fieldManager = 'deployment-controller-stand-in'
const hashLabel = 'pod-template-hash'

/**
 * A stand-in for the Deployment controller, for a control plane that has none: pods of the template as it is now, one after the other
 * replaced when it changes, and the counts and conditions that `kubectl rollout status` and `kubectl wait` look at. It makes no ReplicaSets.
 */
export async function runDeployments(world: World): Promise<{ stop(): Promise<void> }> {
  const [deployments, pods] = await Promise.all([world.follow('Deployment'), world.follow('Pod')])
  const queue = createQueue(
    async (key, signal) => {
      const deployment = deployments.get(key)
      if (deployment && deployment.metadata.deletionTimestamp === undefined) await reconcile(deployment, signal)
    },
    { name: 'deployments', clock: world.clock, log: world.log },
  )
  const podsOf = ({ metadata }: KubernetesObject) =>
    [...pods.values()].filter((pod) => ownerOf(pod)?.uid === metadata.uid && pod.metadata.deletionTimestamp === undefined)

  async function reconcile(deployment: KubernetesObject, signal: AbortSignal): Promise<void> {
    const { template, replicas = 1 } = deployment.spec
    if (Object.keys(unmanagedPod).some((name) => template.metadata.annotations?.[name])) return
    const hash = hashOf(template)
    const [current, outdated] = [true, false].map((wanted) =>
      podsOf(deployment).filter(({ metadata }) => (metadata.labels?.[hashLabel] === hash) === wanted),
    ) as [KubernetesObject[], KubernetesObject[]]
    for (let count = current.length; count < replicas; count++) await createPod(deployment, hash, signal)
    const excess = [...(current.every(isReady) && current.length >= replicas ? outdated : []), ...current.slice(replicas)]
    for (const pod of excess) await world.remove('Pod', pod.metadata, { uid: pod.metadata.uid, signal })
    await writeStatus(deployment, current, outdated, signal)
  }

  async function createPod({ metadata, spec }: KubernetesObject, hash: string, signal: AbortSignal): Promise<void> {
    const { name, namespace } = metadata
    const labels = { ...spec.template.metadata.labels, [hashLabel]: hash }
    const owner = { apiVersion: 'apps/v1', kind: 'Deployment', name, uid: metadata.uid ?? '', controller: true }
    const generated = { ...spec.template.metadata, generateName: `${name}-`, namespace, labels, ownerReferences: [owner] }
    await world.create('Pod', { metadata: generated as never, spec: spec.template.spec }, { fieldManager, signal })
  }

  async function writeStatus(deployment: KubernetesObject, current: KubernetesObject[], outdated: KubernetesObject[], signal: AbortSignal) {
    const { generation = 1 } = deployment.metadata
    const wanted = deployment.spec.replicas ?? 1
    const ready = [...current, ...outdated].filter(isReady).length
    const isAvailable = ready >= wanted
    const counts = { replicas: current.length + outdated.length, updatedReplicas: current.length }
    const missing = { unavailableReplicas: Math.max(0, wanted - ready) }
    const available = { type: 'Available', status: isAvailable ? 'True' : 'False', reason: 'MinimumReplicas', message: '' }
    const status = {
      observedGeneration: generation,
      ...counts,
      readyReplicas: ready,
      availableReplicas: ready,
      ...missing,
      conditions: [available],
    }
    if (JSON.stringify(picked(deployment.status, status)) === JSON.stringify(status)) return
    await world.patch('Deployment', deployment.metadata, { status }, { fieldManager, subresource: 'status', signal })
  }

  const endings = [
    deployments.subscribe(({ type, key }) => {
      if (type !== 'removed') queue.add(key)
    }),
    pods.subscribe(({ object }) => {
      const owner = ownerOf(object)
      if (owner) queue.add(`${object.metadata.namespace}/${owner.name}`)
    }),
  ]
  for (const { metadata } of deployments.values()) queue.add(keyOf(metadata))
  return {
    async stop() {
      for (const end of endings) end()
      await queue.stop()
    },
  }
}

function ownerOf({ metadata }: KubernetesObject) {
  return metadata.ownerReferences?.find(({ kind, controller }) => kind === 'Deployment' && controller)
}

function hashOf(template: unknown): string {
  return createHash('sha256').update(JSON.stringify(template)).digest('hex').slice(0, 10)
}

/** The fields of a status that another one has, in its order; an absent count is 0. */
function picked(status: KubernetesObject['status'] = {}, like: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.keys(like).map((field) => [field, status[field] ?? 0]))
}
