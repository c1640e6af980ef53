/**
 * How the clock of this process compares with those of the others. Nothing here sets a clock.
 *
 *     lease-clock.ts   a node's, from the renewals of its Lease
 *     node-clocks.ts   those of all nodes, from a watch
 *     token-time.ts    the time by which tokens are judged
 *     steady.ts        offsets that are shown, and do not move all the time
 *     patient-time.ts  the time by which the data of deleted databases expires
 */
import type { Clock } from '../../shared/clock.ts'
import type { Offset } from '../../shared/clock-offset.ts'
import { type ClockStep, StepWatch } from '../../shared/clock-steps.ts'
import { spanOf } from '../../shared/clock-wording.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import type { EventRecorder } from '../../shared/kubernetes/event-recorder.ts'
import { type Part, together } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'
import type { AgedSource } from '../region/age.ts'
import { NodeClocks } from './node-clocks.ts'
import { SteadyOffsets } from './steady.ts'
import { TokenTime } from './token-time.ts'

export { nodeLeaseNamespace } from './node-clocks.ts'
export { PatientTime } from './patient-time.ts'
export { TokenTime } from './token-time.ts'

/** How far other clocks are ahead of ours, as far as that is known. */
export type ClockReading = {
  /** Of the replica that leads: only that one speaks with the cloud. */
  cloud: Offset | undefined
  apiServer: Offset | undefined
  /** By the name of the node. */
  nodes: ReadonlyMap<string, Offset>
  /** How often our clock was set since the start of the process, and the last time. */
  steps: number
  lastStep: ClockStep | undefined
}

/** What estimates the offset of one clock. */
type Estimate = { offset(): Offset | undefined }

type ClocksGiven = {
  cloud: Estimate
  apiServer: Estimate
  /** The pod of this process, and who records what happened to it. */
  pod: { name: string; namespace: string }
  recorder: Pick<EventRecorder, 'record'>
}

/** Everything that is known of clocks. */
export type Clocks = Part & {
  read(): ClockReading
  /** The same, but what moved by a few milliseconds is as it was. */
  shown(): ClockReading
  /** What the offsets of the nodes are made from. */
  nodesFrom: AgedSource
  tokenTime: TokenTime
  /**
   * Our clock with the earliest time of day that any known clock tells: for what must not happen early, such as throwing things away. One that is
   * wrong, or that of a cloud that lies, can put it off and nothing else.
   */
  careful: Clock
}

/** Follows the clocks of the nodes, and watches our own. */
export function createClocks(given: ClocksGiven, tools: { cluster: Cluster; clock: Clock; log: Log }): Clocks {
  const { cloud, apiServer } = given
  const nodes = new NodeClocks(tools)
  const steps = new StepWatch({ clock: tools.clock, log: tools.log, stepped: (step) => recordStep(step, given) })
  const steady = new SteadyOffsets()
  const read = (): ClockReading => ({
    cloud: cloud.offset(),
    apiServer: apiServer.offset(),
    nodes: nodes.offsets(),
    steps: steps.count,
    lastStep: steps.last,
  })
  const measured = () => {
    const [byCloud, byServer] = [cloud.offset(), apiServer.offset()]
    if (byCloud) return { by: 'cloud' as const, offset: byCloud }
    return byServer && { by: 'API server' as const, offset: byServer }
  }
  return {
    ...together('clocks', [nodes, steps]),
    read,
    shown() {
      const reading = read()
      const calm = [...reading.nodes].map(([name, offset]) => [name, steady.of(`node/${name}`, offset) ?? offset] as const)
      return {
        ...reading,
        cloud: steady.of('cloud', reading.cloud),
        apiServer: steady.of('api-server', reading.apiServer),
        nodes: new Map(calm),
      }
    },
    nodesFrom: nodes.leases,
    tokenTime: new TokenTime(tools.clock, measured),
    careful: {
      ...tools.clock,
      now: () => tools.clock.now() + Math.min(0, cloud.offset()?.offsetMs ?? 0, apiServer.offset()?.offsetMs ?? 0),
    },
  }
}

function recordStep({ byMs }: ClockStep, { pod, recorder }: ClocksGiven): void {
  recorder.record({
    about: { apiVersion: 'v1', kind: 'Pod', metadata: pod },
    type: 'Warning',
    reason: 'ClockStepped',
    message: `The clock was set ${byMs > 0 ? 'forward' : 'back'} by ${spanOf(byMs)}. Times that were written before that are ${byMs > 0 ? 'early' : 'late'}.`,
  })
}
