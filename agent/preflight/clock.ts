import { sideOf, spanOf } from '../../shared/clock-wording.ts'
import { conditionOf, listed } from '../region/obstacles/evidence.ts'
import type { Evidence } from './evidence.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

/** Differences in milliseconds from which on leases and tokens are sometimes misjudged, and from which on certificates and tokens are refused. */
const [noticeable, harmful] = [5_000, 60_000]
/** The same between nodes: databases and etcd compare times that their members have written. */
const amongNodes = { noticeable: 500, harmful: 5_000 }
/** The same to the cloud, with which the region reckons: further off, certificates are refused. */
const toCloud = { noticeable: 30_000, harmful: 300_000 }

const action = 'Synchronize all machines with the same time servers: timedatectl status; chronyc tracking'

/** Whether the clocks of this machine, of the control plane, of the nodes and of the cloud agree. */
export function clocks(evidence: Evidence): Finding[] {
  return [...controlPlane(evidence), ...amongEachOther(evidence), ...cloud(evidence)]
}

function controlPlane({ now, serverDate, roundTripMs, nodes, nodeClocks, audience }: Evidence): Finding[] {
  if (serverDate === undefined) return []
  // The server reports whole seconds, rounded down: half a second is the best estimate of the rest.
  const difference = now - (serverDate + 500)
  const uncertain = 500 + roundTripMs / 2
  const apart = Math.max(0, Math.abs(difference) - uncertain)
  const machine = audience === 'agent' ? "the agent's host" : 'this machine'
  const what = `the clock of ${machine} is ${seconds(difference)} ${difference > 0 ? 'ahead of' : 'behind'} the control plane's`
  const why = 'Tokens and certificates appear expired or not yet valid, and leaders are declared dead too early or too late.'
  const own = apart >= harmful ? fail : apart >= noticeable ? warn : undefined
  const first = own ? own('clock', what, why, action) : ok('clock', `the clock of ${machine} agrees with the control plane's`)
  return [first, ...(nodeClocks?.size ? [] : nodesAhead(serverDate, nodes ?? [], why))]
}

/** Each node against the middle of them all, as the renewals of their Leases tell. */
function amongEachOther({ nodeClocks = new Map() }: Evidence): Finding[] {
  const all = [...nodeClocks].toSorted(([, a], [, b]) => a.offsetMs - b.offsetMs)
  const middle = all[Math.floor((all.length - 1) / 2)]?.[1]
  if (middle === undefined || all.length < 2) return []
  const apart = all.map(([name, { offsetMs, uncertaintyMs }]) => {
    const byMs = offsetMs - middle.offsetMs
    return { name, byMs, surelyMs: Math.max(0, Math.abs(byMs) - uncertaintyMs - middle.uncertaintyMs) }
  })
  const off = apart.filter(({ surelyMs }) => surelyMs > amongNodes.noticeable)
  if (off.length === 0) return [ok('clock-nodes', `the clocks of ${all.length} nodes agree`)]
  const level = off.some(({ surelyMs }) => surelyMs > amongNodes.harmful) ? fail : warn
  const named = off.map(({ name, byMs }) => `${name} is ${spanOf(byMs)} ${byMs > 0 ? 'ahead' : 'behind'}`)
  const why = 'etcd and databases compare times that different nodes have written, and leaders are declared dead too early or too late.'
  return [level('clock-nodes', `clocks of nodes do not agree: ${listed(named)}`, why, action)]
}

function cloud({ cloudClock }: Evidence): Finding[] {
  if (cloudClock === undefined) return []
  const surelyMs = Math.max(0, Math.abs(cloudClock.offsetMs) - cloudClock.uncertaintyMs)
  if (surelyMs <= toCloud.noticeable) return [ok('clock-cloud', "the clock of the agent's host agrees with the cloud's")]
  const level = surelyMs > toCloud.harmful ? fail : warn
  const what = `the clock of the agent's host is ${sideOf(cloudClock)}, as the cloud tells the time`
  const why = 'The agent reckons with the difference, but certificates appear expired or not yet valid, and times that it writes are wrong.'
  return [level('clock-cloud', what, why, action)]
}

/** Where no Leases can be read. A heartbeat has the node's own time: one in the future shows that its clock is ahead. */
function nodesAhead(serverDate: number, nodes: NonNullable<Evidence['nodes']>, why: string): Finding[] {
  const ahead = nodes.flatMap((node) => {
    const heartbeat = Date.parse((conditionOf(node, 'Ready') as { lastHeartbeatTime?: string } | undefined)?.lastHeartbeatTime ?? '')
    return heartbeat - serverDate > noticeable ? [`${node.metadata.name} by ${seconds(heartbeat - serverDate)}`] : []
  })
  return ahead.length === 0 ? [] : [warn('clock-nodes', `clocks of nodes are ahead of the control plane's: ${listed(ahead)}`, why, action)]
}

function seconds(ms: number): string {
  return `${Math.round(Math.abs(ms) / 1000)} s`
}
