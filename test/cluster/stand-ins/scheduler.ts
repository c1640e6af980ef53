import { type KubernetesObject, keyOf } from '../client/objects.ts'
import { databaseKey, indexBy } from './index-by.ts'
import type { Loads } from './loads.ts'
import { createQueue } from './queue.ts'
import { databaseWanted, place } from './scheduling.ts'
import type { World } from './world.ts'

const fieldManager = 'scheduler-stand-in'

/** Time in which a pod's claims must be bound before the pod is unschedulable, in milliseconds. */
const bindingMs = 300

/** A stand-in for kube-scheduler. @param isUp whether a node accepts pods */
export async function runScheduler(
  world: World,
  loads: Loads,
  isUp: (node: KubernetesObject) => boolean,
): Promise<{ stop(): Promise<void> }> {
  const [pods, nodes, claims] = await Promise.all([world.follow('Pod'), world.follow('Node'), world.follow('PersistentVolumeClaim')])
  const byDatabase = indexBy(pods, databaseKey)
  const byNamespace = indexBy(pods, ({ metadata }) => metadata.namespace)
  /** Pods that fit on no node, until there is room. */
  const blocked = new Set<string>()
  /** Pods by the claims that they wait for, with the start of the wait. */
  const waiters = new Map<string, Set<string>>()
  const waitingSince = new Map<string, number>()

  // One after the other: each decision depends on the earlier ones.
  const queue = createQueue(
    async (key, signal) => {
      const pod = pods.get(key)
      blocked.delete(key)
      if (!pod || pod.metadata.deletionTimestamp !== undefined || loads.nodeOf(pod) !== undefined) return
      if (awaitsClaims(key, pod)) return awaitClaims(key, pod, signal)
      const decision = place(pod, { nodes: [...nodes.values()].filter(isUp), loadOf: loads.of, nodeOf: loads.nodeOf, neighbours })
      if ('message' in decision) {
        blocked.add(key)
        return refuse(pod, decision.message, signal)
      }
      loads.assume(pod, decision.node)
      try {
        await bind(pod, decision.node, signal)
      } catch (error) {
        // If it was bound all the same, the watch reports it.
        if (!pods.get(key)?.spec.nodeName) loads.release(pod)
        throw error
      }
    },
    { name: 'scheduler', clock: world.clock, log: world.log, concurrency: 1 },
  )

  function neighbours(pod: KubernetesObject): KubernetesObject[] {
    const { namespace = '' } = pod.metadata
    const database = databaseWanted(pod)
    return (database === undefined ? byNamespace.of(namespace) : byDatabase.of(`${namespace}/${database}`)).filter(
      (other) => other.metadata.uid !== pod.metadata.uid,
    )
  }

  function awaitsClaims(key: string, pod: KubernetesObject): boolean {
    let open = false
    for (const { persistentVolumeClaim } of pod.spec.volumes ?? []) {
      if (!persistentVolumeClaim) continue
      const claimKey = `${pod.metadata.namespace}/${persistentVolumeClaim.claimName}`
      if (claims.get(claimKey)?.status?.phase === 'Bound') continue
      open = true
      const waiting = waiters.get(claimKey)
      if (waiting) waiting.add(key)
      else waiters.set(claimKey, new Set([key]))
    }
    if (!open) waitingSince.delete(key)
    return open
  }

  async function awaitClaims(key: string, pod: KubernetesObject, signal: AbortSignal): Promise<void> {
    const now = world.clock.monotonic()
    const since = waitingSince.get(key) ?? now
    waitingSince.set(key, since)
    if (now - since < bindingMs) return queue.addAfter(key, bindingMs - (now - since))
    const message = `0/${nodes.size} nodes are available: pod has unbound immediate PersistentVolumeClaims.`
    await refuse(pod, message, signal)
  }

  async function bind({ metadata, apiVersion: _ }: KubernetesObject, node: string, signal: AbortSignal): Promise<void> {
    await world.cluster.request({
      method: 'POST',
      path: `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}/binding`,
      query: { fieldManager },
      body: {
        apiVersion: 'v1',
        kind: 'Binding',
        metadata: { name: metadata.name, namespace: metadata.namespace, uid: metadata.uid },
        target: { apiVersion: 'v1', kind: 'Node', name: node },
      },
      signal,
    })
  }

  /** Reports why a pod has no node, on the pod and as an Event, if the reason is new. */
  async function refuse(pod: KubernetesObject, message: string, signal: AbortSignal): Promise<void> {
    const { metadata, apiVersion, kind } = pod
    const known = (pod.status?.conditions ?? []).find(({ type }: { type: string }) => type === 'PodScheduled')
    if (known?.message === message) return
    const time = new Date(world.clock.now()).toISOString().replace(/\.\d+/, '')
    const condition = {
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message,
      lastProbeTime: null,
      lastTransitionTime: time,
    }
    const status = { phase: 'Pending', conditions: [condition] }
    await world.patch('Pod', metadata, { status }, { fieldManager, subresource: 'status', signal })
    const event = {
      metadata: { generateName: `${metadata.name}.`, namespace: metadata.namespace } as unknown as KubernetesObject['metadata'],
      type: 'Warning',
      reason: 'FailedScheduling',
      message,
      source: { component: 'default-scheduler' },
      involvedObject: { apiVersion, kind, name: metadata.name, namespace: metadata.namespace, uid: metadata.uid },
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
    }
    await world.create('Event', event, { fieldManager, signal })
  }

  function retryBlocked(): void {
    for (const key of blocked) queue.add(key)
  }

  const endings = [
    pods.subscribe(({ type, key, object }) => {
      if (type === 'removed') {
        blocked.delete(key)
        waitingSince.delete(key)
        retryBlocked()
      } else if (type === 'added' && !object.spec.nodeName) queue.add(key)
    }),
    nodes.subscribe(retryBlocked),
    claims.subscribe(({ key, object }) => {
      if (object.status?.phase !== 'Bound') return
      for (const pod of waiters.get(key) ?? []) queue.add(pod)
      waiters.delete(key)
    }),
  ]
  for (const pod of pods.values()) if (!pod.spec.nodeName) queue.add(keyOf(pod.metadata))
  return {
    async stop() {
      for (const end of endings) end()
      await queue.stop()
      byDatabase.stop()
      byNamespace.stop()
    },
  }
}
