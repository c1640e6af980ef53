import { describeBytes, parseBytes, parseMillicores } from '../../shared/kubernetes/quantity.ts'
import { usableHosts } from '../region/status.ts'
import type { Evidence, PodSum, Requests } from './evidence.ts'
import { type Finding, fail, ok, warn } from './finding.ts'
import { stackNeeds } from './stack.ts'

type Needs = ReturnType<typeof stackNeeds>

/** The part of each node for its operating system and the kubelet: one core and one GiB. */
const forSystem: Requests = { millicores: 1_000, bytes: 1n << 30n }
/** The smallest useful node of a database. */
const smallestDatabase: Requests = { millicores: 1_000, bytes: 2n << 30n }

/**
 * Whether processor and memory are enough for the stack, and how much is left for databases. The requests of other pods are subtracted: those
 * on nodes that take new pods. Pods that wait for a node take nothing yet; they are mentioned. The stack counts with its needs, whether it
 * runs already or not.
 */
export function capacity({ nodes, pods, components }: Evidence): Finding[] {
  if (!nodes || !pods) return []
  const usable = usableHosts(nodes)
  // Another rule reports a cluster without usable nodes.
  if (usable.length === 0) return []
  const has = usable.map(({ status }) => roomOf(status))
  const own = new Set(components.map(({ namespace }) => namespace))
  const names = new Set<string | undefined>(usable.map(({ metadata }) => metadata.name))
  const others = pods.filter(({ namespace }) => !own.has(namespace))
  const taken = others.filter(({ node }) => names.has(node))
  const waiting = others.filter(({ node }) => node === undefined)
  const free = {
    millicores: sum(has.map(({ millicores }) => millicores)) - sum(taken.map(({ millicores }) => millicores)),
    bytes: total(has.map(({ bytes }) => bytes)) - total(taken.map(({ bytes }) => bytes)),
  }
  const needs = stackNeeds(components)
  return [
    withDemand(judgeProcessor(free.millicores, needs), waiting, cores(sum(waiting.map(({ millicores }) => millicores)))),
    withDemand(judgeMemory(free.bytes, needs), waiting, describeBytes(total(waiting.map(({ bytes }) => bytes)))),
  ]
}

/** The finding, with the pods that wait for a node and what they request. */
function withDemand(finding: Finding, waiting: PodSum[], asked: string): Finding {
  const count = sum(waiting.map(({ pods }) => pods))
  if (count === 0) return finding
  return {
    ...finding,
    what: `${finding.what}. ${count} more ${count === 1 ? 'pod waits' : 'pods wait'} for a node, with requests of ${asked}`,
  }
}

/** The capacity of a node for pods: as it declares, but at most its total capacity without the part of the system. */
function roomOf({
  allocatable = {},
  capacity = {},
}: {
  allocatable?: Record<string, string>
  capacity?: Record<string, string>
} = {}): Requests {
  const declared = { millicores: parseMillicores(allocatable.cpu ?? '0') ?? 0, bytes: parseBytes(allocatable.memory ?? '0') ?? 0n }
  const whole = {
    millicores: parseMillicores(capacity.cpu ?? allocatable.cpu ?? '0') ?? 0,
    bytes: parseBytes(capacity.memory ?? allocatable.memory ?? '0') ?? 0n,
  }
  const rest = { millicores: whole.millicores - forSystem.millicores, bytes: whole.bytes - forSystem.bytes }
  return {
    millicores: Math.max(0, Math.min(declared.millicores, rest.millicores)),
    bytes: rest.bytes < 0n ? 0n : rest.bytes < declared.bytes ? rest.bytes : declared.bytes,
  }
}

function judgeProcessor(free: number, { least, usual }: Needs): Finding {
  const what = `${cores(free)} left after 1 for the system of each node and the requests of other pods`
  const action = 'Add nodes or larger ones, or stop unneeded pods. The requests are in: kubectl describe nodes'
  if (free < least.millicores)
    return fail('cpu', what, `The stack alone takes ${cores(least.millicores)} to ${cores(usual.millicores)}.`, action)
  if (free < usual.millicores)
    return warn('cpu', what, `The stack takes up to ${cores(usual.millicores)}: no database fits beside it.`, action)
  const forDatabases = free - usual.millicores
  const rest = `${what}, ${cores(forDatabases)} of them for databases`
  return forDatabases < smallestDatabase.millicores
    ? warn('cpu', rest, 'Even the smallest database needs 1 core.', action)
    : ok('cpu', rest)
}

function judgeMemory(free: bigint, { least, usual }: Needs): Finding {
  const left = free < 0n ? 0n : free
  const what = `${describeBytes(left)} of memory left after 1 GiB for the system of each node and the requests of other pods`
  const action = 'Add nodes or larger ones, or stop unneeded pods. The requests are in: kubectl describe nodes'
  const range = `${describeBytes(least.bytes)} to ${describeBytes(usual.bytes)}`
  if (left < least.bytes) return fail('memory', what, `The stack alone takes ${range}.`, action)
  if (left < usual.bytes) return warn('memory', what, `The stack takes ${range}: no database fits beside it.`, action)
  const forDatabases = left - usual.bytes
  const rest = `${what}, ${describeBytes(forDatabases)} of it for databases`
  return forDatabases < smallestDatabase.bytes
    ? warn('memory', rest, 'Even the smallest database needs 2 GiB.', action)
    : ok('memory', rest)
}

/** `2.5 cores` */
function cores(millicores: number): string {
  const amount = Math.max(0, Math.round(millicores / 100) / 10)
  return `${amount} ${amount === 1 ? 'core' : 'cores'}`
}

function sum(amounts: number[]): number {
  return amounts.reduce((all, each) => all + each, 0)
}

function total(amounts: bigint[]): bigint {
  return amounts.reduce((all, each) => all + each, 0n)
}
