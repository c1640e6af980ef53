import { conditionOf, listed } from '../region/obstacles/evidence.ts'
import type { Evidence } from './evidence.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

/** Differences in milliseconds from which on leases and tokens are sometimes misjudged, and from which on certificates and tokens are refused. */
const [noticeable, harmful] = [5_000, 60_000]

/** Whether the clocks of this machine, of the control plane and of the nodes agree. */
export function clocks({ now, serverDate, roundTripMs, nodes, audience }: Evidence): Finding[] {
  if (serverDate === undefined) return []
  // The server reports whole seconds, rounded down: half a second is the best estimate of the rest.
  const difference = now - (serverDate + 500)
  const uncertain = 500 + roundTripMs / 2
  const apart = Math.max(0, Math.abs(difference) - uncertain)
  const machine = audience === 'agent' ? "the agent's host" : 'this machine'
  const what = `the clock of ${machine} is ${seconds(difference)} ${difference > 0 ? 'ahead of' : 'behind'} the control plane's`
  const why = 'Tokens and certificates appear expired or not yet valid, and leaders are declared dead too early or too late.'
  const action = 'Synchronize all machines with the same time servers: timedatectl status; chronyc tracking'
  const own = apart >= harmful ? fail : apart >= noticeable ? warn : undefined
  const first = own ? own('clock', what, why, action) : ok('clock', `the clock of ${machine} agrees with the control plane's`)
  return [first, ...nodesAhead(serverDate, nodes ?? [], why, action)]
}

/** A heartbeat has the node's own time: one in the future shows that its clock is ahead. */
function nodesAhead(serverDate: number, nodes: NonNullable<Evidence['nodes']>, why: string, action: string): Finding[] {
  const ahead = nodes.flatMap((node) => {
    const heartbeat = Date.parse((conditionOf(node, 'Ready') as { lastHeartbeatTime?: string } | undefined)?.lastHeartbeatTime ?? '')
    return heartbeat - serverDate > noticeable ? [`${node.metadata.name} by ${seconds(heartbeat - serverDate)}`] : []
  })
  return ahead.length === 0 ? [] : [warn('clock-nodes', `clocks of nodes are ahead of the control plane's: ${listed(ahead)}`, why, action)]
}

function seconds(ms: number): string {
  return `${Math.round(Math.abs(ms) / 1000)} s`
}
