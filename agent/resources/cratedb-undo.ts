import { isDeepStrictEqual } from 'node:util'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { compareBytes } from '../../shared/kubernetes/quantity.ts'
import { readDatabase } from './cratedb.ts'
import { handledState, progressKeys, readOperatorRun, startOf } from './cratedb-run.ts'
import type { NodeGroup, StoredDatabaseSpec } from './database.ts'

/**
 * Taking back a change that waits for hosts (decision 24).
 *
 * The Crate Operator cannot do that by itself (crate-operator 2.63.0, commit 6f47c86, with Kopf 1.37.1):
 *
 * - If the spec is what the operator last handled (annotation `last`), there is no difference, and Kopf does nothing (`causes.py`, NOOP): the
 *   StatefulSet keeps its replicas.
 * - Another spec in the middle of a run has a new `ref`, while sub-handlers that have ended keep theirs and are not run again. Those after
 *   them wait without end (`handle_update_cratedb.py`, `utils/kopf.py`).
 * - Scaling down needs as many nodes in `sys.nodes` as the StatefulSets have replicas (`scale.py`, `_ensure_cluster_healthy`). A node that
 *   never joined prevents it.
 * - Scaling up sets the replicas and the quorum whatever they are, and waits for the nodes between the old number and the new one
 *   (`scale_cluster`, `check_nodes_present_or_gone`). So a run "from fewer to those that there are" drops the pods that never started.
 *
 * So one write changes the spec, removes the records of progress, and sets `last` to a state from which the operator's ordinary run leads to
 * the wanted one.
 */

/** The pods, claims and StatefulSets of a database, just read. */
export type NodesEvidence = { pods: KubernetesObject[]; claims: KubernetesObject[]; statefulSets: KubernetesObject[] }

/** A change to take back: the new spec of the CrateDB, and what must be written together with it. */
export type Undo = {
  /** The name of the step. */
  name: 'undo-scale' | 'undo-compute'
  spec: KubernetesObject['spec']
  /** A merge patch of annotations and status. */
  alongside: Record<string, unknown>
  consequences: string[]
}

const prefix = 'operator.cloud.crate.io/'
/** Pods of a new StatefulSet are created together. One that is this much younger, in milliseconds, has had a predecessor. */
const originalMs = 60_000
/** The claims of a StatefulSet's pod are created right before the pod. One that is this much younger, in milliseconds, has had a predecessor. */
const firstMs = 5_000

/**
 * What has to be taken back before the database can reach the wanted state; undefined if nothing has, or if the operator cannot do it.
 * @param now Unix time in milliseconds
 */
export function undoOf(current: KubernetesObject, wanted: StoredDatabaseSpec, nodes: NodesEvidence, now: number): Undo | undefined {
  const isSettled = current.status?.['cluster_create/bootstrap']?.success === true && handledState(current)?.spec !== undefined
  if (!isSettled || wanted.suspended || current.metadata.deletionTimestamp !== undefined) return undefined
  return undoScale(current, wanted, nodes, now) ?? undoCompute(current, wanted, nodes, now)
}

/** The smallest number of data nodes that a request can ask for while others wait for hosts; undefined if it cannot ask for fewer. */
export function fewestNodes(current: KubernetesObject, nodes: NodesEvidence): number | undefined {
  const wanted = readDatabase(current)
  const numbers = Array.from({ length: wanted.nodes.count }, (_, index) => index + 1).slice(0, -1)
  return numbers.find((count) => {
    const undo = undoOf(current, { ...wanted, nodes: { ...wanted.nodes, count } }, nodes, 0)
    return undo?.name === 'undo-scale' && undo.spec.nodes.data[0].replicas === count
  })
}

/** The cpu and memory of the data nodes before the change that waits for hosts, if a request can go back to them. */
export function formerCompute(current: KubernetesObject, nodes: NodesEvidence): { cpu: number; memory: string } | undefined {
  const handled = handledState(current)?.spec
  if (handled === undefined) return undefined
  const { cpu, memory, heapRatio } = readDatabase({ ...current, spec: handled }).nodes
  const wanted = readDatabase(current)
  const undo = undoOf(current, { ...wanted, nodes: { ...wanted.nodes, cpu, memory, heapRatio } }, nodes, 0)
  return undo?.name === 'undo-compute' ? { cpu, memory } : undefined
}

/** The records of sub-handlers that ended in an earlier run, so that the present run waits for them without end. */
export function staleRecords({ metadata, status }: KubernetesObject): string[] {
  const ref = status?.cluster_update?.ref
  return progressKeys(metadata).filter((key) => {
    const id = key.slice(prefix.length).replace('.', '/')
    const { success } = JSON.parse(metadata.annotations?.[key] ?? '{}') as { success?: boolean }
    return success === true && /^cluster_update\/[^./]+$/.test(id) && ref !== undefined && status?.[id]?.ref !== ref
  })
}

function undoScale(current: KubernetesObject, wanted: StoredDatabaseSpec, nodes: NodesEvidence, now: number): Undo | undefined {
  const handled = handledState(current)?.spec as KubernetesObject['spec']
  const { data, master } = current.spec.nodes
  const isOnlyScaling = isDeepStrictEqual(withoutReplicas(handled), withoutReplicas(current.spec))
  if (!isOnlyScaling || data.length !== 1 || Number(handled.nodes.data[0].replicas) === 0 || Number(data[0].replicas) === 0)
    return undefined
  const present = replicasOf(current, nodes, data[0].name, data[0].replicas)
  const started = startedOf(current, nodes, data[0].name, present, Number(handled.nodes.data[0].replicas))
  const count = Math.max(wanted.nodes.count, started)
  // Scaled up to `count` from here. Zero would be a resume, which does not set the quorum.
  const from = Math.min(started, count - 1)
  const isFewer = count < present
  if (isFewer && from < 1) return undefined
  const masters = master && mastersAfter(current, wanted, nodes, Number(handled.nodes.master?.replicas ?? 0))
  if (!isFewer && masters === undefined) return undefined
  const spec = structuredClone(current.spec)
  if (isFewer) spec.nodes.data[0].replicas = count
  if (masters !== undefined) spec.nodes.master.replicas = masters
  const last = structuredClone(spec)
  if (isFewer) last.nodes.data[0].replicas = from
  if (masters !== undefined) last.nodes.master.replicas = replicasOf(current, nodes, 'master', master.replicas)
  const dropped = (isFewer ? present - count : 0) + (masters === undefined ? 0 : last.nodes.master.replicas - masters)
  return {
    name: 'undo-scale',
    spec,
    alongside: alongside(current, last, now),
    consequences: [
      `Takes back ${dropped === 1 ? 'a node that has' : `${dropped} nodes that have`} never started; no data moves. The volumes that were claimed for ${dropped === 1 ? 'it' : 'them'} stay and still count against the quota.`,
      ...(backupsPaused(current) ? [snapshotsLater] : []),
    ],
  }
}

/** The replicas of a group by the spec, or by the StatefulSet if that has more: somebody may have put the spec back. */
function replicasOf({ metadata }: KubernetesObject, { statefulSets }: NodesEvidence, group: string, replicas: unknown): number {
  const set = statefulSets.find((each) => each.metadata.name === setOf(metadata.name, group))
  return Math.max(Number(replicas), set?.spec?.replicas ?? 0)
}

function setOf(database: string, group: string): string {
  return group === 'master' ? `crate-master-${database}` : `crate-data-${group}-${database}`
}

/** How many masters stay, an odd number; undefined if none is taken back. */
function mastersAfter(current: KubernetesObject, wanted: StoredDatabaseSpec, nodes: NodesEvidence, handled: number): number | undefined {
  const present = replicasOf(current, nodes, 'master', current.spec.nodes.master.replicas)
  const least = Math.max(wanted.master?.count ?? present, startedOf(current, nodes, 'master', present, handled), 3)
  const count = least % 2 === 0 ? least + 1 : least
  return count < present ? count : undefined
}

/** The number of nodes of a group up to the last one that has ever run, so that it may hold data. */
function startedOf(current: KubernetesObject, nodes: NodesEvidence, group: string, count: number, handled: number): number {
  const isRunning = readOperatorRun(current).state !== 'ended'
  const numbers = Array.from({ length: count }, (_, number) => number)
  const last = numbers.findLast((number) => {
    if (isRunning && number < handled) return true
    const pod = podsOf(nodes, group).find(({ metadata }) => metadata.name.endsWith(`-${number}`))
    if (pod?.spec.nodeName !== undefined) return true
    const claims = nodes.claims.filter(
      ({ metadata, spec }) => spec?.volumeName !== undefined && endsWithPod(metadata.name, current, group, number),
    )
    if (claims.length === 0) return false
    // The operator does not know a node from `handled` on as a member yet, but it may have joined, received shards, and lost its host.
    return !pod || !(number < handled ? isOriginal(pod, nodes) : isFirst(pod, claims, current))
  })
  return last === undefined ? 0 : last + 1
}

function endsWithPod(claim: string, { metadata }: KubernetesObject, group: string, number: number): boolean {
  return claim.slice(claim.indexOf('-') + 1) === `${setOf(metadata.name, group)}-${number}`
}

/** Whether a pod was created together with its StatefulSet, so that it has had no predecessor. */
function isOriginal(pod: KubernetesObject, { statefulSets }: NodesEvidence): boolean {
  const set = statefulSets.find(({ metadata: { uid } }) => pod.metadata.ownerReferences?.some((owner) => owner.uid === uid))
  return set !== undefined && createdAt(pod) - createdAt(set) < originalMs
}

/**
 * Whether a pod that the running scaling asks for has had no predecessor. Then it is as old as its claims; or as old as the run, if its volumes
 * are those of an earlier node with its number. In doubt it has had one.
 */
function isFirst(pod: KubernetesObject, claims: KubernetesObject[], current: KubernetesObject): boolean {
  const created = createdAt(pod)
  const sinceClaims = claims.map((claim) => created - createdAt(claim))
  if (sinceClaims.every((ms) => ms < firstMs)) return true
  const began = startOf(current, 'cluster_update.scale')
  const areEarlier = claims.every((claim) => createdAt(claim) < began - originalMs)
  return areEarlier && Math.abs(created - began) < originalMs
}

function createdAt({ metadata }: KubernetesObject): number {
  return Date.parse(metadata.creationTimestamp ?? '')
}

function podsOf({ pods }: NodesEvidence, group: string): KubernetesObject[] {
  return pods.filter(({ metadata }) => metadata.labels?.['cloud.crate.io/node-name'] === group)
}

function undoCompute(current: KubernetesObject, wanted: StoredDatabaseSpec, nodes: NodesEvidence, now: number): Undo | undefined {
  const handled = handledState(current)?.spec as KubernetesObject['spec']
  const isOnlyCompute =
    readOperatorRun(current).state !== 'ended' && isDeepStrictEqual(withoutCompute(handled), withoutCompute(current.spec))
  const isWaiting = nodes.pods.some(({ spec }) => spec.nodeName === undefined)
  if (!isOnlyCompute || !isWaiting || !hasQuorum(current, nodes)) return undefined
  const spec = structuredClone(current.spec)
  const changed = groupsIn(spec, wanted).filter(({ group, wants }) => !hasCompute(group, wants))
  if (changed.length === 0) return undefined
  for (const { group, wants } of changed) setCompute(group, wants)
  const queue = changed
    .flatMap(({ name, wants }) => podsOf(nodes, name).filter((pod) => !runsWith(pod, wants)))
    // Those that wait for a host first: while one is missing, no other may restart.
    .sort((a, b) => Number(a.spec.nodeName !== undefined) - Number(b.spec.nodeName !== undefined))
  const pendingPods = queue.map(({ metadata: { uid, name } }) => ({ uid, name }))
  const { metadata, status } = alongside(current, current.spec, now)
  return {
    name: 'undo-compute',
    spec,
    alongside: { metadata, status: { ...status, pendingPods, pendingPodsTotal: pendingPods.length } },
    consequences: [
      `Restarts the ${pendingPods.length === 1 ? 'node' : `${pendingPods.length} nodes`} that the change has reached, one after the other; queries on the node that restarts fail.`,
      ...(backupsPaused(current) ? [snapshotsLater] : []),
    ],
  }
}

/** The operator asks the database before each change: without a majority it gets no answer. */
function hasQuorum({ spec }: KubernetesObject, nodes: NodesEvidence): boolean {
  const voters = spec.nodes.master ? { name: 'master', ...spec.nodes.master } : spec.nodes.data[0]
  const running = (group: string) => podsOf(nodes, group).filter(isReady).length
  return running(voters.name) > Number(voters.replicas) / 2 && running(spec.nodes.data[0].name) > 0
}

function isReady({ status }: KubernetesObject): boolean {
  const conditions: { type: string; status: string }[] = status?.conditions ?? []
  return conditions.some(({ type, status }) => type === 'Ready' && status === 'True')
}

// biome-ignore lint/suspicious/noExplicitAny: a part of an object of a kind that the compiler does not know
type Group = any

function groupsIn(spec: KubernetesObject['spec'], wanted: StoredDatabaseSpec): { name: string; group: Group; wants: NodeGroup }[] {
  const { data, master } = spec.nodes
  return [
    { name: data[0].name, group: data[0], wants: wanted.nodes },
    ...(master && wanted.master ? [{ name: 'master', group: master, wants: wanted.master }] : []),
  ]
}

/** Sets cpu, memory and heap ratio of a group in a CrateDB. */
export function setCompute(group: Group, { cpu, memory, heapRatio }: NodeGroup): void {
  const { cpus: _cpus, memory: _memory, ...resources } = group.resources // the deprecated fields, which limits replace
  group.resources = { ...resources, limits: { cpu, memory }, requests: { cpu, memory }, heapRatio }
}

function hasCompute({ resources }: Group, { cpu, memory }: NodeGroup): boolean {
  return Number(resources?.limits?.cpu) === cpu && compareBytes(String(resources?.limits?.memory ?? ''), memory) === 0
}

function runsWith({ spec }: KubernetesObject, { cpu, memory }: NodeGroup): boolean {
  const crate = spec.containers.find(({ name }: { name: string }) => name === 'crate')
  const has: string = String(crate?.resources?.limits?.cpu ?? '')
  const cores = has.endsWith('m') ? Number(has.slice(0, -1)) / 1000 : Number(has)
  return spec.nodeName !== undefined && cores === cpu && compareBytes(String(crate?.resources?.limits?.memory ?? ''), memory) === 0
}

function withoutReplicas(spec: KubernetesObject['spec']): unknown {
  const { nodes, ...rest } = structuredClone(spec)
  for (const group of [...nodes.data, nodes.master ?? {}]) delete group.replicas
  return { ...rest, nodes }
}

function withoutCompute(spec: KubernetesObject['spec']): unknown {
  const { nodes, ...rest } = structuredClone(spec)
  for (const { resources = {} } of [...nodes.data, nodes.master ?? {}])
    for (const field of ['limits', 'requests', 'heapRatio', 'cpus', 'memory']) delete resources[field]
  return { ...rest, nodes }
}

/** What the operator must find beside the spec: no progress of the abandoned run, and the state to start from. */
function alongside(current: KubernetesObject, last: unknown, now: number) {
  const removed = progressKeys(current.metadata).map((key) => [key, null] as const)
  const annotations = { ...Object.fromEntries(removed), [`${prefix}last`]: `${JSON.stringify({ ...handledState(current), spec: last })}\n` }
  // The next run would find the backups paused, and leave them so: it takes that for somebody else's wish.
  const paused = backupsPaused(current) ? { delay_cronjob: true, delay_cronjob_start: now / 1000 } : {}
  return { metadata: { annotations }, status: { pendingPods: null, pendingPodsTotal: null, ...paused } }
}

/** Whether the abandoned run has paused the backups. */
function backupsPaused({ status }: KubernetesObject): boolean {
  return status?.['cluster_update/before_cluster_update/disable_cronjob']?.ignore_cronjob === false
}

const snapshotsLater = 'Snapshots start again an hour later.'
