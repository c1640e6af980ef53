import type { KubernetesObject } from '../../client/objects.ts'
import { isReady } from '../databases.ts'
import { ensureServices } from './create.ts'
import { type Call, Retry } from './handling.ts'
import { keyOfDatabase, type Operator } from './operator.ts'
import { reach } from './pauses.ts'
import { directionOf } from './plan.ts'
import { type NodeGroup, nodeGroups } from './stateful-set.ts'
import { type SubHandler, schedule } from './sub-handlers.ts'

/** Scales up or down; suspending and resuming are special cases. */
export function scale(operator: Operator): SubHandler {
  return {
    id: 'scale',
    className: 'ScaleSubHandler',
    async work(call, run) {
      const { object, diff } = call
      const old = call.old?.spec.nodes
      const { resuming, suspending } = directionOf(diff)
      if (resuming) await startNodes(operator, call, true)
      else if (suspending) await stopNodes(operator, call, true)
      else await scaleNodes(operator, call)
      const replicas = (data: { name: string; replicas: number }[]) => data.map(({ name, replicas }) => ({ name, replicas }))
      schedule(run, {
        event: 'scale',
        status: 'success',
        payload: {
          old_data_replicas: replicas(old.data),
          new_data_replicas: replicas(object.spec.nodes.data),
          old_master_replicas: old.master ? (resuming ? 0 : old.master.replicas) : null,
          new_master_replicas: object.spec.nodes.master ? (suspending ? 0 : object.spec.nodes.master.replicas) : null,
        },
      })
    },
  }
}

/** Masters, then groups that grow, then groups that shrink. */
async function scaleNodes(operator: Operator, call: Call): Promise<void> {
  const { object } = call
  reach(operator, object)
  const before = nodeGroups(object.metadata.name, call.old?.spec.nodes)
  const groups = nodeGroups(object.metadata.name, object.spec.nodes)
  const changed = groups
    .map((group, index) => ({ group, from: Number(before[index]?.spec.replicas), to: Number(group.spec.replicas) }))
    .filter(({ from, to }) => from !== to)
  const [masters, data] = [changed.filter(({ group }) => group.isMaster), changed.filter(({ group }) => !group.isMaster)]
  // From the old spec, whatever the StatefulSets have: `total_number_of_nodes` in scale.py.
  let total = before.filter(({ isMaster }) => !isMaster).reduce((sum, { spec }) => sum + Number(spec.replicas), 0)
  for (const { group, from, to } of [...masters, ...data.filter(({ from, to }) => from < to)]) {
    if (!group.isMaster) total += to - from
    if (await setReplicas(operator, call, group, to)) await setTotal(operator, call, groups, total)
    awaitNodes(operator, call, group, from, to)
  }
  for (const { group, from, to } of data.filter(({ from, to }) => from > to)) {
    total += to - from
    // A node that never joined keeps this from ever being true.
    awaitGreen(operator, object)
    if (replicasOf(operator, object, group) !== to) {
      moveShards(operator, object, group, from, to)
      await setReplicas(operator, call, group, to)
      await setTotal(operator, call, groups, total)
    }
    awaitNodes(operator, call, group, from, to)
    operator.databases.state(keyOfDatabase(object)).settings.transient.delete('cluster.routing.allocation.exclude._name')
  }
}

/** All data nodes, and the masters before them. */
export async function startNodes(operator: Operator, call: Call, withBackupMetrics: boolean): Promise<void> {
  const { object } = call
  const { name } = object.metadata
  const groups = nodeGroups(name, object.spec.nodes)
  for (const group of groups.filter(({ isMaster }) => isMaster)) {
    await setReplicas(operator, call, group, group.spec.replicas)
    const ready = podsOf(operator, object, group).filter(isReady).length
    if (ready < group.spec.replicas) throw new Retry(`Waiting for ${group.spec.replicas} master node(s) to be ready (currently ${ready}).`)
  }
  await ensureServices(operator, call)
  if (object.spec.cluster.exposure !== 'traefik' && !hasAddress(operator, object)) throw new Retry(undefined)
  for (const group of groups.filter(({ isMaster, spec }) => !isMaster && spec.replicas > 0)) {
    await setReplicas(operator, call, group, group.spec.replicas)
    if (withBackupMetrics) await scaleBackupMetrics(operator, call, 1)
    const message = `Starting cluster. Scaling back up to ${group.spec.replicas} nodes. Waiting for node(s) to be present.`
    progressNote(operator, call, withBackupMetrics ? 'suspend' : 'scale', message)
    reach(operator, object)
    awaitNodes(operator, call, group, 0, group.spec.replicas)
  }
}

/** All data nodes, then the Service, then the masters. */
export async function stopNodes(operator: Operator, call: Call, withBackupMetrics: boolean): Promise<void> {
  const { object, signal } = call
  const { namespace = '', name } = object.metadata
  const groups = nodeGroups(name, object.spec.nodes)
  const data = groups.filter(({ isMaster }) => !isMaster)
  const running = data.filter((group) => replicasOf(operator, object, group) !== 0)
  if (running.length === data.length) awaitGreen(operator, object)
  for (const group of running) await setReplicas(operator, call, group, 0)
  if (withBackupMetrics && running.length > 0) await scaleBackupMetrics(operator, call, 0)
  progressNote(operator, call, 'suspend', 'Suspending cluster.')
  const left = data.flatMap((group) => podsOf(operator, object, group))
  if (left.length > 0) throw new Retry(`Waiting for pods to be gone ${describePods(left)}`)
  await operator.remove('Service', namespace, `crate-${name}`, signal)
  for (const group of groups.filter(({ isMaster }) => isMaster)) {
    await setReplicas(operator, call, group, 0)
    const masters = podsOf(operator, object, group)
    if (masters.length > 0) throw new Retry(`Waiting for master pods to be gone ${describePods(masters)}`)
  }
}

/** @returns whether they differed */
async function setReplicas(operator: Operator, { object, signal }: Call, { setName }: NodeGroup, replicas: number): Promise<boolean> {
  const set = operator.get('StatefulSet', object.metadata.namespace ?? '', setName)
  if (!set || set.spec.replicas === replicas) return false
  await operator.patch('StatefulSet', set, { spec: { replicas } }, signal)
  return true
}

/** Tells every node, at its next start, how many data nodes there are (`patch_command` in scale.py). */
async function setTotal(operator: Operator, { object, signal }: Call, groups: NodeGroup[], total: number): Promise<void> {
  const values = { 'gateway.expected_data_nodes': total, 'gateway.recover_after_data_nodes': Math.floor(total / 2) + 1 }
  for (const { setName } of groups) {
    const set = operator.get('StatefulSet', object.metadata.namespace ?? '', setName)
    if (!set) continue
    const containers = set.spec.template.spec.containers.map((container: { name: string; command?: string[] }) =>
      container.name === 'crate'
        ? { ...container, command: (container.command ?? []).map((argument) => withTotal(argument, values)) }
        : container,
    )
    await operator.patch('StatefulSet', set, { spec: { template: { spec: { containers } } } }, signal)
  }
}

function withTotal(argument: string, values: Record<string, number>): string {
  const [name, value] = Object.entries(values).find(([name]) => argument.startsWith(`-C${name}=`)) ?? []
  return name === undefined ? argument : `-C${name}=${value}`
}

/** It works without backups too. */
async function scaleBackupMetrics(operator: Operator, { object, signal }: Call, replicas: number): Promise<void> {
  const { namespace, name } = object.metadata
  await operator.patch(
    'Deployment',
    { metadata: { namespace: namespace as string, name: `backup-metrics-${name}` } },
    { spec: { replicas } },
    signal,
  )
}

function awaitNodes(operator: Operator, { object }: Call, { nodePrefix }: NodeGroup, from: number, to: number): void {
  if (operator.options.withoutPods) return
  // The database itself is asked: without a node that can be master, it does not answer.
  reach(operator, object)
  const present = new Set(operator.databases.nodes(keyOfDatabase(object)).map(({ name }) => name))
  const between = Array.from({ length: Math.abs(to - from) }, (_, i) => `${nodePrefix}-${Math.min(from, to) + i}`)
  const grows = to > from
  const open = between.filter((name) => present.has(name) !== grows)
  if (open.length > 0) throw new Retry(`Waiting for nodes ${between.join(', ')} to be ${grows ? 'present' : 'gone'}.`)
}

function awaitGreen(operator: Operator, object: KubernetesObject): void {
  if (operator.options.withoutPods) return
  const key = keyOfDatabase(object)
  const isWhole = operator.databases.nodes(key).length === operator.databases.expectedNodes(key)
  if (!isWhole || operator.databases.health(key) !== 'GREEN') throw new Retry('Waiting for cluster to be healthy.')
}

/** Shards leave the nodes that are removed, here at once. */
function moveShards(operator: Operator, object: KubernetesObject, { nodePrefix }: NodeGroup, from: number, to: number): void {
  const names = Array.from({ length: from - to }, (_, i) => `${nodePrefix}-${to + i}`)
  operator.databases.state(keyOfDatabase(object)).settings.transient.set('cluster.routing.allocation.exclude._name', names.join(','))
}

function replicasOf(operator: Operator, object: KubernetesObject, { setName }: NodeGroup): number {
  return operator.get('StatefulSet', object.metadata.namespace ?? '', setName)?.spec.replicas ?? 0
}

/** The pods of one group by name, those that are being deleted included. */
export function podsOf(operator: Operator, object: KubernetesObject, { name }: NodeGroup): KubernetesObject[] {
  return operator.children.pods
    .of(keyOfDatabase(object))
    .filter(({ metadata }) => metadata.labels?.['cloud.crate.io/node-name'] === name)
    .sort((a, b) => a.metadata.name.localeCompare(b.metadata.name, 'en', { numeric: true }))
}

function hasAddress(operator: Operator, { metadata }: KubernetesObject): boolean {
  const service = operator.get('Service', metadata.namespace ?? '', `crate-${metadata.name}`)
  const [first] = service?.status?.loadBalancer?.ingress ?? []
  return Boolean(first?.ip || first?.hostname)
}

/** A list of dictionaries as Python prints it, for the operator's messages. */
const describePods = (pods: KubernetesObject[]): string =>
  `[${pods.map(({ metadata }) => `{'uid': '${metadata.uid}', 'name': '${metadata.name}'}`).join(', ')}]`

function progressNote(operator: Operator, { object }: Call, action: 'scale' | 'suspend', message: string): void {
  operator.webhooks.feedback(keyOfDatabase(object), 'in_progress', 'update', action, message)
}
