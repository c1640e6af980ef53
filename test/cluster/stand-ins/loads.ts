import type { Collection } from '../client/collection.ts'
import { type KubernetesObject, keyOf } from '../client/objects.ts'
import { type Load, requestsOf } from './scheduling.ts'

/** Which pod is on which node, including pods that were just bound and that the watch has not delivered yet. */
export type Loads = {
  of(node: string): Load
  nodeOf(pod: KubernetesObject): string | undefined
  /** Counts a pod as being on a node from now on. */
  assume(pod: KubernetesObject, node: string): void
  /** Undoes that, because the pod could not be bound. */
  release(pod: KubernetesObject): void
  /** The keys of the pods on a node. */
  podsOn(node: string): string[]
  stop(): void
}

export function trackLoads(pods: Collection): Loads {
  const nodes = new Map<string, Map<string, Load>>()
  const places = new Map<string, { node: string; uid: string | undefined }>()
  const totals = new Map<string, Load>()

  function put(key: string, pod: KubernetesObject, node: string): void {
    const known = places.get(key)
    if (known?.node === node && known.uid === pod.metadata.uid) return
    take(key)
    const load = requestsOf(pod)
    places.set(key, { node, uid: pod.metadata.uid })
    const here = nodes.get(node)
    if (here) here.set(key, load)
    else nodes.set(node, new Map([[key, load]]))
    add(node, load, 1)
  }

  function take(key: string): void {
    const known = places.get(key)
    if (!known) return
    places.delete(key)
    const here = nodes.get(known.node)
    const load = here?.get(key)
    here?.delete(key)
    if (load) add(known.node, load, -1)
  }

  function add(node: string, load: Load, sign: 1 | -1): void {
    const total = totals.get(node) ?? { cpu: 0, memory: 0, pods: 0 }
    totals.set(node, { cpu: total.cpu + sign * load.cpu, memory: total.memory + sign * load.memory, pods: total.pods + sign * load.pods })
  }

  function see(key: string, pod: KubernetesObject): void {
    const ended = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'
    if (ended) take(key)
    else if (pod.spec.nodeName) put(key, pod, pod.spec.nodeName)
    else if (places.get(key)?.uid !== pod.metadata.uid) take(key)
  }

  const stop = pods.subscribe(({ type, key, object }) => (type === 'removed' ? take(key) : see(key, object)))
  for (const pod of pods.values()) see(keyOf(pod.metadata), pod)
  return {
    of: (node) => totals.get(node) ?? { cpu: 0, memory: 0, pods: 0 },
    nodeOf: (pod) => places.get(keyOf(pod.metadata))?.node,
    assume: (pod, node) => put(keyOf(pod.metadata), pod, node),
    release: (pod) => take(keyOf(pod.metadata)),
    podsOn: (node) => [...(nodes.get(node)?.keys() ?? [])],
    stop,
  }
}
