import type { KubernetesObject } from '../../client/objects.ts'
import { type Call, Retry } from './handling.ts'
import { keyOfDatabase, type Operator } from './operator.ts'
import { holdAllocation, releaseAllocation } from './pauses.ts'
import { computeDiffers } from './plan.ts'
import { podsOf } from './scale.ts'
import { type NodeGroup, nodeGroups } from './stateful-set.ts'
import type { SubHandler } from './sub-handlers.ts'

type PendingPod = { uid: string; name: string }

/** Restarts one node after the other, masters first: all of them for an upgrade, otherwise those of the changed groups. */
export function restart(operator: Operator, action: 'upgrade' | 'change_compute'): SubHandler {
  return {
    id: 'restart',
    className: 'RestartSubHandler',
    async work(call) {
      const { object, patch } = call
      if (operator.options.withoutPods) return
      const queue = {
        pending: object.status?.pendingPods as PendingPod[] | undefined,
        total: object.status?.pendingPodsTotal as number | undefined,
      }
      if (!queue.pending?.length) {
        queue.pending = groupsToRestart(call, action).flatMap((group) => podsOf(operator, object, group).map(nameAndUid))
        queue.total = queue.pending.length
        Object.assign(patch.status, { pendingPods: queue.pending, pendingPodsTotal: queue.total })
      }
      const [next, ...others] = queue.pending
      if (
        next &&
        (await restartOne(operator, call, action, next, `${(queue.total ?? 0) - others.length}/${queue.total}`)) &&
        others.length > 0
      ) {
        patch.status.pendingPods = others
        throw new Retry('Scheduling rerun because there are pods to be restarted', 'again')
      }
      Object.assign(patch.status, { pendingPods: null, pendingPodsTotal: null })
    },
  }
}

/** Resolves with true once the node is back; until then, reports what it waits for. */
async function restartOne(
  operator: Operator,
  call: Call,
  action: 'upgrade' | 'change_compute',
  next: PendingPod,
  count: string,
): Promise<boolean> {
  const { object, signal } = call
  const key = keyOfDatabase(object)
  const pods = operator.children.pods.of(key)
  const tell = (message: string) => operator.webhooks.feedback(key, 'in_progress', 'update', action, message)
  const doomed = pods.find(({ metadata }) => metadata.uid === next.uid)
  if (doomed) {
    tell(`Waiting for node ${count} to be terminated.`)
    holdAllocation(operator, object)
    if (doomed.metadata.deletionTimestamp === undefined) await operator.remove('Pod', object.metadata.namespace ?? '', next.name, signal)
    throw new Retry(`Waiting for pod ${next.name} (${next.uid}) to be terminated.`)
  }
  if (!pods.some(({ metadata }) => metadata.name === next.name)) throw new Retry('Scheduling rerun because there are pods to be restarted')
  tell(`Waiting for node ${count} to be restarted.`)
  const { nodes, health, expectedNodes } = operator.databases
  if (nodes(key).length === expectedNodes(key) && health(key) === 'GREEN') return true
  releaseAllocation(operator, object)
  throw new Retry('Cluster is not healthy yet.')
}

function groupsToRestart({ object, old }: Call, action: 'upgrade' | 'change_compute'): NodeGroup[] {
  const groups = nodeGroups(object.metadata.name, object.spec.nodes)
  if (action === 'upgrade') return groups
  return changedGroups(old?.spec.nodes, groups, object)
}

/** The groups whose compute differs from before. */
// biome-ignore lint/suspicious/noExplicitAny: the CRD's own shape
export function changedGroups(oldNodes: any, groups: NodeGroup[], { metadata }: KubernetesObject): NodeGroup[] {
  const before = new Map(nodeGroups(metadata.name, oldNodes).map((group) => [group.name, group.spec]))
  return groups.filter(({ name, spec }) => before.has(name) && computeDiffers(before.get(name), spec))
}

const nameAndUid = ({ metadata }: KubernetesObject): PendingPod => ({ uid: metadata.uid ?? '', name: metadata.name })
