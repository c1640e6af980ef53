import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { amountOf, podRequest } from '../../../shared/kubernetes/pod-requests.ts'
import { describeBytes } from '../../../shared/kubernetes/quantity.ts'
import { fewestNodes, formerCompute } from '../../resources/cratedb-undo.ts'
import type { Cure } from '../../resources/cure.ts'
import type { Obstacle } from '../../resources/operation.ts'
import { cures } from './cures.ts'
import { conditionOf, type Evidence, type Finding, gather, isPast, listed } from './evidence.ts'

/** How long a pod may wait for a scheduler before that is reported, in milliseconds. */
const schedulerPatienceMs = 30_000

type Taint = { key: string; value?: string; effect: string }
type Scene = { pod: KubernetesObject; nodes: KubernetesObject[]; count: number; words: string }
type Reason = { words: RegExp; message: (scene: Scene) => string; cures: (scene: Scene) => Cure[] }

const propose = cures.PodUnschedulable

/** The reasons that kube-scheduler gives since 1.20 for nodes that do not fit, and their meaning for CrateDB. */
const reasons: Reason[] = [
  {
    words: /anti-affinity|pod affinity/,
    message: ({ count }) =>
      `${counted(count)} already a pod of this database, and CrateDB's nodes must not share one (anti-affinity by hostname)`,
    cures: () => [propose.spread()],
  },
  { words: /^Insufficient /, message: insufficient, cures: () => [propose.resources()] },
  {
    words: /taint/,
    message: ({ count, words, nodes }) => `${counted(count)} a taint that the pod does not tolerate${taints(words, nodes)}`,
    cures: untaint,
  },
  {
    words: /node selector|node affinity\/selector|node\(s\) didn't match Pod's node affinity/,
    message: ({ count, pod }) => `${counted(count, 'does', 'do')} not match the pod's node selector${selector(pod)}`,
    cures({ pod }) {
      const labels = wantedLabels(pod)
      return [propose.labels(), ...(labels.length > 0 ? [propose.label({ labels })] : [])]
    },
  },
  {
    words: /unschedulable/,
    message: ({ count, nodes }) => `${counted(count, 'is', 'are')} cordoned${names(nodes.filter(({ spec }) => spec?.unschedulable))}`,
    cures({ nodes }) {
      const cordoned = nodes.filter(({ spec }) => spec?.unschedulable).map(({ metadata }) => metadata.name)
      return [propose.cordoned(), ...(cordoned.length > 0 ? [propose.uncordon({ nodes: cordoned })] : [])]
    },
  },
  {
    words: /volume node affinity/,
    message: ({ count }) => `${counted(count, 'is', 'are')} not where the pod's volume is`,
    cures: ({ pod }) => [propose.volumes({ namespace: pod.metadata.namespace ?? '' })],
  },
  {
    words: /topology spread/,
    message: ({ count }) => `${counted(count)} too many of its pods in the same zone (topology spread)`,
    cures: () => [propose.zones()],
  },
  {
    words: /PersistentVolumeClaim|persistent volumes to bind|persistentvolumeclaim/,
    message: () => 'a volume of the pod is not bound',
    cures: ({ pod }) => [propose.claims({ namespace: pod.metadata.namespace ?? '' })],
  },
  {
    words: /Too many pods/,
    message: ({ count }) => `${counted(count)} as many pods as the kubelet allows`,
    cures: () => [propose.maxPods()],
  },
]

/** A pod that fits on no node, with the scheduler's reasons and the number of nodes for each. */
export function podUnschedulable(evidence: Evidence): Obstacle[] {
  const { pods, nodes, now } = evidence
  const waiting = pods.filter(({ spec, metadata }) => spec?.nodeName === undefined && metadata.deletionTimestamp === undefined)
  const found = waiting.flatMap((pod) => judge(pod, nodes, now))
  const requests = found.length > 0 ? requestsForLess(evidence) : []
  return gather(
    'PodUnschedulable',
    found.map((finding) => ({ ...finding, cures: [...finding.cures, ...requests] })),
  )
}

/** Requests with which the database does without the host, as far as the Crate Operator can carry them out (decision 24). */
function requestsForLess(given: Evidence): Cure[] {
  const { target, databases, pods, claims, statefulSets } = given
  const [database] = databases
  if (target.kind !== 'database' || !database || database.metadata.deletionTimestamp !== undefined) return []
  if (!database.status?.['cluster_create/bootstrap']?.success)
    return [mayHoldData(database, given) ? propose.againWithData() : propose.again()]
  const evidence = { pods, claims, statefulSets }
  const { project, database: name } = target
  const fewest = fewestNodes(database, evidence)
  const former = formerCompute(database, evidence)
  return [
    ...(fewest === undefined ? [] : [propose.fewer({ project, database: name, count: String(fewest) })]),
    ...(former === undefined ? [] : [propose.less({ project, database: name, cpu: String(former.cpu), memory: former.memory })]),
  ]
}

/**
 * Whether a database that has not been set up may hold data: of an earlier database, on volumes that were kept. Those are older than it.
 * So are new volumes that an administrator has provided in advance; they cannot be told apart.
 */
function mayHoldData({ metadata }: KubernetesObject, { volumes }: Evidence): boolean {
  const since = Date.parse(metadata.creationTimestamp ?? '')
  return volumes === undefined || volumes.some(({ createdAt }) => !(Date.parse(createdAt ?? '') >= since))
}

function judge(pod: KubernetesObject, nodes: KubernetesObject[] | undefined, now: number): Finding[] {
  const { namespace = '', name } = pod.metadata
  const look = propose.describe({ namespace, pod: name })
  const condition = conditionOf(pod, 'PodScheduled')
  if (condition?.status !== 'False') {
    if (!isPast(pod.metadata.creationTimestamp, schedulerPatienceMs, now)) return []
    const message = nodes?.length === 0 ? 'There is no node in the cluster.' : 'No scheduler has looked at it since it was created.'
    return [{ object: pod, message, cures: nodes?.length === 0 ? [propose.nodes()] : [propose.scheduler(), look] }]
  }
  const said = condition.message ?? condition.reason ?? ''
  if (nodes?.length === 0 || /^0\/0 |no nodes available/.test(said))
    return [{ object: pod, message: 'There is no node in the cluster.', cures: [propose.nodes()] }]
  const found = parseScheduler(said).map(({ count, words }) => {
    const scene: Scene = { pod, nodes: nodes ?? [], count, words }
    const reason = reasons.find((candidate) => candidate.words.test(words))
    return { message: reason?.message(scene) ?? (count > 0 ? `${count}: ${words}` : words), cures: reason?.cures(scene) ?? [] }
  })
  const total = /^\d+\/(\d+) nodes/.exec(said)?.[1]
  const message = `None of ${total === undefined ? 'the' : total} nodes takes it: ${found.map((each) => each.message).join('; ')}.`
  return [{ object: pod, message, cures: unlike([...found.flatMap(({ cures }) => cures), look]) }]
}

/**
 * The parts of a scheduler's message: `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't match … rules. preemption: …`
 * Text of any other form is returned unchanged.
 */
function parseScheduler(message: string): { count: number; words: string }[] {
  const [, list = message] = /nodes are available: (.*)$/s.exec(message) ?? []
  const own = list.replace(/\.?\s+preemption: .*$/s, '').replace(/\.\s*$/, '')
  return own.split(/,\s+(?=\d+ )/).map((part) => {
    const [, count = '0', words = part] = /^(\d+) (?:node\(s\) )?(.*)$/s.exec(part) ?? []
    return { count: Number(count), words: words.trim() }
  })
}

function counted(count: number, one = 'has', many = 'have'): string {
  return count === 1 ? `1 node ${one}` : `${count} nodes ${many}`
}

function insufficient({ pod, nodes, count, words }: Scene): string {
  const resource = words.replace('Insufficient ', '')
  const asked = requested(pod, resource)
  const most = largest(nodes.map(({ status }) => amountOf(resource, status?.allocatable?.[resource])))
  if (asked === undefined || most === undefined) return `${counted(count)} not enough ${resource}`
  const size = `the pod asks for ${describe(resource, asked)}, the largest node has ${describe(resource, most)} in all`
  return asked > most ? `no node is large enough in ${resource}: ${size}` : `${counted(count)} not enough ${resource} left: ${size}`
}

/** A pod's request for a resource; undefined without one. */
function requested({ spec }: KubernetesObject, resource: string): bigint | undefined {
  const asked = podRequest(spec ?? {}, resource)
  return asked === 0n ? undefined : asked
}

function largest(amounts: bigint[]): bigint | undefined {
  return amounts.toSorted((a, b) => (a < b ? 1 : a > b ? -1 : 0))[0]
}

function describe(resource: string, value: bigint): string {
  if (resource === 'cpu') return `${Number(value) / 1000} ${value === 1000n ? 'core' : 'cores'}`
  return resource === 'memory' || resource.includes('storage') ? describeBytes(value) : String(value)
}

/** Without duplicates: two reasons may have the same cure. */
function unlike(all: Cure[]): Cure[] {
  return [...new Map(all.map((cure) => [`${cure.effect} ${cure.command}`, cure])).values()]
}

/** Taints that Kubernetes itself sets and removes. */
const ownTaint = /(^|\.)(kubernetes|k8s)\.io\/(not-ready|unreachable|unschedulable|.*-pressure|network-unavailable|out-of-disk)$/

function untaint({ nodes, words }: Scene): Cure[] {
  const named = /\{([^:}]+)/.exec(words)?.[1]
  const keysOf = ({ spec }: KubernetesObject): string[] => spec.taints.map(({ key }: Taint) => key)
  const isMeant = (key: string) => (named === undefined || key === named) && !ownTaint.test(key)
  const node = tainted(nodes).find((each) => keysOf(each).some(isMeant))
  const key = node && keysOf(node).find(isMeant)
  return [propose.taints(), ...(node && key !== undefined ? [propose.untaint({ node: node.metadata.name, key })] : [])]
}

function tainted(nodes: KubernetesObject[]): KubernetesObject[] {
  return nodes.filter(({ spec }) => spec?.taints?.some(({ effect }: Taint) => effect !== 'PreferNoSchedule'))
}

/** The taint in the scheduler's message (`untolerated taint {key: value}`), otherwise those of the nodes. */
function taints(words: string, nodes: KubernetesObject[]): string {
  const named = /\{([^:}]+): ?([^}]*)\}/.exec(words)
  if (named) return ` (${named[2] ? `${named[1]}=${named[2]}` : named[1]})`
  const borne: Taint[] = tainted(nodes).flatMap(({ spec }) => spec.taints)
  return borne.length === 0 ? '' : ` (${listed([...new Set(borne.map(({ key, value }) => (value ? `${key}=${value}` : key)))])})`
}

function selector({ spec }: KubernetesObject): string {
  const terms = affinityTerms(spec).flatMap((expressions) =>
    expressions.map(({ key, operator, values = [] }) =>
      operator === 'In' ? `${key}=${values.join('|')}` : `${key} ${operator} ${values.join('|')}`.trim(),
    ),
  )
  const all = [...selectorPairs(spec), ...terms]
  return all.length === 0 ? '' : ` (${listed(all)})`
}

/** Labels with which a node would match. One term of the affinity is enough: the first that only lists values is taken. */
function wantedLabels({ spec }: KubernetesObject): string[] {
  const terms = affinityTerms(spec)
  const term = terms.find((expressions) => expressions.every(({ operator, values }) => operator === 'In' && values?.length))
  if (terms.length > 0 && !term) return []
  return [...selectorPairs(spec), ...(term ?? []).map(({ key, values = [] }) => `${key}=${values[0]}`)]
}

function selectorPairs(spec: KubernetesObject['spec']): string[] {
  return Object.entries((spec?.nodeSelector ?? {}) as Record<string, string>).map(([key, value]) => `${key}=${value}`)
}

type Expression = { key: string; operator: string; values?: string[] }

function affinityTerms(spec: KubernetesObject['spec']): Expression[][] {
  const { nodeSelectorTerms = [] }: { nodeSelectorTerms?: { matchExpressions?: Expression[] }[] } =
    spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? {}
  return nodeSelectorTerms.map(({ matchExpressions = [] }) => matchExpressions)
}

function names(nodes: KubernetesObject[]): string {
  return nodes.length === 0 ? '' : ` (${listed(nodes.map(({ metadata }) => metadata.name))})`
}
