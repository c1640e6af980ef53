import type { KubernetesObject } from '../client/objects.ts'
import { parseQuantity } from './quantity.ts'

/** The requests of the pods on a node. */
export type Load = { cpu: number; memory: number; pods: number }

/** The state of the cluster that a decision needs. */
export type Surroundings = {
  nodes: KubernetesObject[]
  loadOf(node: string): Load
  /** The node that a pod is on or was just bound to. */
  nodeOf(pod: KubernetesObject): string | undefined
  /** Pods that may have anti-affinity with a pod, in either direction; may include pods that do not match. */
  neighbours(pod: KubernetesObject): KubernetesObject[]
}

type Requirement = { key: string; operator: string; values?: string[] }
type Selector = { matchLabels?: Record<string, string>; matchExpressions?: Requirement[] }
type NodeTerm = Selector & { matchFields?: Requirement[] }

/** The emptiest node that a pod fits on, or why it fits on none, in kube-scheduler's words. */
export function place(pod: KubernetesObject, surroundings: Surroundings): { node: string } | { message: string } {
  const requests = requestsOf(pod)
  const reasons = new Map<string, number>()
  let best: { name: string; load: Load } | undefined
  for (const node of surroundings.nodes) {
    const { name } = node.metadata
    const load = surroundings.loadOf(name)
    const found = obstacles(pod, requests, node, load, surroundings)
    for (const reason of found) reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
    if (found.length > 0) continue
    if (!best || load.pods < best.load.pods || (load.pods === best.load.pods && load.cpu < best.load.cpu)) best = { name, load }
  }
  if (best) return { node: best.name }
  const all = [...reasons].map(([reason, count]) => `${count} ${reason}`).sort()
  const total = surroundings.nodes.length
  return { message: total === 0 ? 'no nodes available to schedule pods' : `0/${total} nodes are available: ${all.join(', ')}.` }
}

/** Why a pod does not fit on a node: the first violated rule, or all insufficient resources. */
function obstacles(pod: KubernetesObject, requests: Load, node: KubernetesObject, load: Load, surroundings: Surroundings): string[] {
  if (node.spec?.unschedulable) return ['node(s) were unschedulable']
  const taint = (node.spec?.taints ?? []).find((each: Taint) => each.effect !== 'PreferNoSchedule' && !tolerates(pod, each))
  if (taint) return [`node(s) had taint {${taint.key}: ${taint.value ?? ''}}, that the pod didn't tolerate`]
  if (!matchesNode(pod, node)) return ["node(s) didn't match Pod's node affinity/selector"]
  const short = shortage(requests, load, node.status?.allocatable ?? {})
  if (short.length > 0) return short
  const here = surroundings.neighbours(pod).filter((other) => surroundings.nodeOf(other) === node.metadata.name)
  const terms = antiAffinity(pod)
  if (terms.some((selector) => here.some(({ metadata }) => matches(selector, metadata.labels)))) {
    return ["node(s) didn't match pod anti-affinity rules"]
  }
  if (here.some((other) => antiAffinity(other).some((selector) => matches(selector, pod.metadata.labels)))) {
    return ["node(s) didn't satisfy existing pods anti-affinity rules"]
  }
  return []
}

type Taint = { key: string; value?: string; effect: string }
type Toleration = { key?: string; operator?: string; value?: string; effect?: string }

function tolerates(pod: KubernetesObject, taint: Taint): boolean {
  return (pod.spec.tolerations ?? []).some(
    ({ key, operator = 'Equal', value = '', effect }: Toleration) =>
      (effect === undefined || effect === '' || effect === taint.effect) &&
      (key === undefined || key === ''
        ? operator === 'Exists'
        : key === taint.key && (operator === 'Exists' || value === (taint.value ?? ''))),
  )
}

function matchesNode(pod: KubernetesObject, node: KubernetesObject): boolean {
  const { nodeSelector = {}, affinity } = pod.spec
  if (!matches({ matchLabels: nodeSelector }, node.metadata.labels)) return false
  const terms: NodeTerm[] | undefined = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms
  // The only field is the name; a DaemonSet binds each of its pods by it.
  const named = ({ matchFields = [] }: NodeTerm) => matches({ matchExpressions: matchFields }, { 'metadata.name': node.metadata.name })
  return terms === undefined || terms.some((term) => matches(term, node.metadata.labels) && named(term))
}

/** Selectors of pods that must not be on the same node. */
function antiAffinity(pod: KubernetesObject): Selector[] {
  const terms = pod.spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []
  return terms
    .filter(({ topologyKey }: { topologyKey: string }) => topologyKey === 'kubernetes.io/hostname')
    .map(({ labelSelector }: { labelSelector: Selector }) => labelSelector)
}

/** The database with whose pods a pod has anti-affinity, so that only these need a check. */
export function databaseWanted(pod: KubernetesObject): string | undefined {
  const [selector] = antiAffinity(pod)
  const label = 'app.kubernetes.io/name'
  return (
    selector?.matchExpressions?.find(({ key, operator }) => key === label && operator === 'In')?.values?.[0] ??
    selector?.matchLabels?.[label]
  )
}

function matches({ matchLabels = {}, matchExpressions = [] }: Selector, labels: Record<string, string> = {}): boolean {
  if (!Object.entries(matchLabels).every(([key, value]) => labels[key] === value)) return false
  return matchExpressions.every(({ key, operator, values = [] }) => {
    const value = labels[key]
    if (operator === 'In') return value !== undefined && values.includes(value)
    if (operator === 'NotIn') return value === undefined || !values.includes(value)
    return operator === 'Exists' ? value !== undefined : operator === 'DoesNotExist' && value === undefined
  })
}

function shortage(requests: Load, load: Load, allocatable: Record<string, string>): string[] {
  const left = (name: string) => parseQuantity(allocatable[name] ?? 0)
  return [
    ...(load.pods + 1 > left('pods') ? ['Too many pods'] : []),
    ...(load.cpu + requests.cpu > left('cpu') + 1e-9 ? ['Insufficient cpu'] : []),
    ...(load.memory + requests.memory > left('memory') ? ['Insufficient memory'] : []),
  ]
}

const requestsCache = new WeakMap<object, Load>()

/** The requests of a pod: the sum of its containers'. */
export function requestsOf(pod: KubernetesObject): Load {
  let known = requestsCache.get(pod.spec)
  if (!known) {
    known = { cpu: 0, memory: 0, pods: 1 }
    for (const { resources } of pod.spec.containers) {
      known.cpu += parseQuantity(resources?.requests?.cpu ?? 0)
      known.memory += parseQuantity(resources?.requests?.memory ?? 0)
    }
    requestsCache.set(pod.spec, known)
  }
  return known
}
