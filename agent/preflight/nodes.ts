import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { conditionOf, listed } from '../region/obstacles/evidence.ts'
import { hostsOf, usableHosts } from '../region/status.ts'
import type { Evidence } from './evidence.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

/** A database keeps a copy of all data on another host, and survives the loss of one of three hosts. */
const forHighAvailability = 3

/** Conditions that show a shortage on a node. */
const pressures = ['MemoryPressure', 'DiskPressure', 'PIDPressure', 'NetworkUnavailable']

/** Whether there are enough nodes for databases, and the state of all nodes. */
export function nodes({ nodes }: Evidence): Finding[] {
  if (!nodes) return []
  const usable = usableHosts(nodes)
  return [judgeNumber(nodes, usable.length), ...notReady(nodes), ...underPressure(nodes)]
}

function judgeNumber(nodes: KubernetesObject[], usable: number): Finding {
  const what = `${usable} of ${nodes.length} ${nodes.length === 1 ? 'node takes' : 'nodes take'} new pods`
  if (usable === 0) {
    const action = 'Add a node, or see why none is ready: kubectl describe nodes. Control plane nodes take pods without their taint only.'
    return fail('nodes', nodes.length === 0 ? 'the cluster has no nodes' : what, 'Nothing can run.', action)
  }
  if (usable >= forHighAvailability) return ok('nodes', what)
  return warn(
    'nodes',
    what,
    `Each node of a database needs a host of its own; with fewer than ${forHighAvailability}, no database survives the loss of one.`,
    `Add nodes until there are ${forHighAvailability}, or keep to databases of ${usable === 1 ? 'one node' : 'two nodes'}.`,
  )
}

function notReady(nodes: KubernetesObject[]): Finding[] {
  const names = hostsOf(nodes).flatMap(({ hostname, ready }) => (ready ? [] : [hostname]))
  if (names.length === 0) return []
  const action = `See why: kubectl describe node ${names[0]}. Only if the machine is gone for good, for this loses what no other disk has: kubectl delete node ${names[0]}`
  return [warn('nodes-not-ready', `${listed(names)} ${names.length === 1 ? 'is' : 'are'} not ready`, 'No new pods run there.', action)]
}

function underPressure(nodes: KubernetesObject[]): Finding[] {
  const found = nodes.flatMap((node) =>
    pressures.filter((type) => conditionOf(node, type)?.status === 'True').map((type) => `${node.metadata.name} (${type})`),
  )
  if (found.length === 0) return []
  const why = 'Pods are evicted there, or cannot be reached.'
  return [
    warn(
      'nodes-under-pressure',
      `nodes under pressure: ${listed(found)}`,
      why,
      'Free the resource that the condition names: kubectl describe nodes',
    ),
  ]
}
