import type { CheckState } from '../../checks/kind.ts'
import type { Check, CheckStatus } from '../../prober/check.ts'
import type { Property } from '../../sparkplug/payload.ts'
import type { SparkplugMetric } from '../../sparkplug/tracked-metric.ts'
import { count, flag, moment, text } from './metrics.ts'

/** What is published of a check. */
type SeenOfCheck = Pick<CheckStatus, 'check' | 'state' | 'since' | 'reason' | 'detail' | 'lastDuration'>

/** The metrics of one check in the device of its group. */
export function checkMetrics({ check, state, since, reason, detail, lastDuration }: SeenOfCheck): SparkplugMetric[] {
  const { name } = check
  // Their changes are limited in time, but not when the state changes.
  const goesWith = [`${name}/Since`, `${name}/Reason`]
  return [
    { ...text(`${name}/State`, state, 'up, degraded, down or unknown'), properties: propertiesOf(check) },
    flag(`${name}/Up`, state === 'unknown' ? null : state !== 'down', 'True when up or degraded, false when down, null when unknown'),
    moment(`${name}/Since`, since, 'Time of the last change of State'),
    // Empty is not unknown: there is no reason while it is up.
    { ...text(`${name}/Reason`, null, 'Why it is not up; empty when it is'), value: reason ?? '' },
    { ...text(`${name}/Detail`, detail, 'What the check saw, and what to do if something is wrong'), class: 'detail', goesWith },
    {
      ...{ name: `${name}/Duration`, datatype: 'Double', value: lastDuration ?? null, unit: 's', low: 0 },
      ...{ description: 'Duration of the last run', class: 'duration', goesWith },
    },
  ]
}

/** What a check is, as properties of its State. Its labels have the prefix `label_`, so that none hides another property. */
function propertiesOf({ name, kind, target, severity, group, labels }: Check): Record<string, Property> {
  const all = { check: name, kind, target, severity, group }
  const labelled = Object.entries(labels).map(([label, value]) => [`label_${label}`, value] as const)
  return Object.fromEntries([...Object.entries(all), ...labelled].map(([key, value]) => [key, { type: 'String', value }]))
}

const states: readonly CheckState[] = ['up', 'degraded', 'down', 'unknown']

/** How many checks there are, and how many in each state. */
export function summaryMetrics(statuses: Iterable<CheckStatus>, place = 'Summary'): SparkplugMetric[] {
  const counts: Record<CheckState, number> = { up: 0, degraded: 0, down: 0, unknown: 0 }
  for (const { state } of statuses) counts[state]++
  const total = states.reduce((sum, state) => sum + counts[state], 0)
  const names: Record<CheckState, string> = { up: 'Up', degraded: 'Degraded', down: 'Down', unknown: 'Unknown' }
  return [
    count(`${place}/Total`, total, 'Checks'),
    ...states.map((state) => count(`${place}/${names[state]}`, counts[state], `Checks that are ${state}`)),
  ]
}
