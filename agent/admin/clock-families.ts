import type { Offset } from '../../shared/clock-offset.ts'
import { type Family, family } from '../../shared/prometheus.ts'
import type { ClockReading } from '../clock/index.ts'

type Labels = { to: 'cloud' | 'api-server' | 'node'; node?: string }

/** The metrics of the clocks: series of a clock that is not known are missing. */
export function clockFamilies({ cloud, apiServer, nodes, steps }: ClockReading): Family[] {
  const known: [Labels, Offset][] = [
    ...(cloud ? [[{ to: 'cloud' }, cloud] satisfies [Labels, Offset]] : []),
    ...(apiServer ? [[{ to: 'api-server' }, apiServer] satisfies [Labels, Offset]] : []),
    ...[...nodes].map(([node, offset]): [Labels, Offset] => [{ to: 'node', node }, offset]),
  ]
  const seconds = (of: keyof Offset) => known.map(([labels, offset]) => [labels, offset[of] / 1000] as const)
  return [
    family(
      'gauge',
      'skerry_agent_clock_offset_seconds',
      "How far another clock is ahead of that of the agent's host: of the cloud, of the API server, of each node.",
      seconds('offsetMs'),
    ),
    family('gauge', 'skerry_agent_clock_uncertainty_seconds', 'By how much that offset may be wrong.', seconds('uncertaintyMs')),
    family('counter', 'skerry_agent_clock_steps_total', "How often the clock of the agent's host was set since the start.", steps),
  ]
}
