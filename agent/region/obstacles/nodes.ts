import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import type { Obstacle } from '../../resources/operation.ts'
import { cures } from './cures.ts'
import { conditionOf, describeObject, type Evidence, gather, isPast, isReady, listed, tell } from './evidence.ts'

/** How long a pod may exist after the end of its grace period, which is its deletionTimestamp, in milliseconds. */
const endingPatienceMs = 60_000

/** The pods of a node that does not answer stay in Terminating, and meanwhile a StatefulSet does not start their replacements. */
export function nodeNotReady({ nodes, pods: all, namespaceName: namespace }: Evidence): Obstacle[] {
  if (!nodes) return []
  const placed = Map.groupBy(
    all.filter((pod) => pod.spec?.nodeName !== undefined && !isReady(pod)),
    (pod) => pod.spec.nodeName as string,
  )
  return [...placed].flatMap(([name, onIt]) => {
    const node = nodes.find(({ metadata }) => metadata.name === name)
    if (node && isReady(node)) return []
    const hanging = onIt.filter(({ metadata }) => metadata.deletionTimestamp !== undefined)
    const names = listed((hanging.length > 0 ? hanging : onIt).map(({ metadata }) => metadata.name))
    const podNames = onIt.map(({ metadata }) => metadata.name)
    const { describe, remove, pods, force } = cures.NodeNotReady
    const ready = node && conditionOf(node, 'Ready')
    const state = node
      ? `is not ready${ready?.lastTransitionTime ? ` since ${ready.lastTransitionTime}` : ''}${ready?.message ? ` (${ready.message})` : ''}`
      : 'no longer exists'
    return tell({
      code: 'NodeNotReady',
      message: `Node ${name} ${state}; ${hanging.length > 0 ? `stuck in Terminating on it: ${names}` : `${names} should run on it`}.`,
      evidence: node ? describeObject(node) : describeObject(onIt[0] as KubernetesObject),
      cures: node ? [describe({ node: name }), remove({ node: name })] : [pods({ namespace }), force({ namespace, pods: podNames })],
    })
  })
}

/** A pod whose grace period is over, but that its node does not remove although the node is ready. */
export function podNotEnding({ nodes, pods, now }: Evidence): Obstacle[] {
  const stuck = pods.filter(({ metadata, spec }) => {
    const node = nodes?.find((candidate) => candidate.metadata.name === spec?.nodeName)
    return node && isReady(node) && !metadata.finalizers?.length && isPast(metadata.deletionTimestamp, endingPatienceMs, now)
  })
  return gather(
    'PodNotEnding',
    stuck.map((pod) => ({
      object: pod,
      message: `Its grace period is over, and node ${pod.spec.nodeName} has not removed it.`,
      cures: [cures.PodNotEnding.describe({ namespace: pod.metadata.namespace ?? '', pod: pod.metadata.name })],
    })),
  )
}
