import type { CheckState } from '../../checks/kind.ts'
import type { Check, CheckStatus, Prober } from '../../prober/check.ts'
import type { SparkplugMetric } from '../../sparkplug/tracked-metric.ts'
import type { DeviceFamily } from './family.ts'
import { count } from './metrics.ts'

/** Seconds by which a duration must differ to be a change: otherwise each run would be one. */
const durationDeadband = 0.1

/** The metrics of one check in the device of its group. They have no descriptions: a group may have thousands of metrics. */
export function checkMetrics({ check, state, since, reason, detail, lastDuration }: CheckStatus): SparkplugMetric[] {
  const { name, kind, target, severity } = check
  const properties = Object.fromEntries(
    Object.entries({ kind, target, severity }).map(([key, value]) => [key, { type: 'String' as const, value }]),
  )
  return [
    { name: `${name}/State`, datatype: 'String', value: state, properties },
    { name: `${name}/Up`, datatype: 'Boolean', value: state === 'unknown' ? null : state !== 'down' },
    { name: `${name}/Since`, datatype: 'DateTime', value: since },
    { name: `${name}/Reason`, datatype: 'String', value: reason ?? '' },
    { name: `${name}/Detail`, datatype: 'String', value: detail === '' ? null : detail },
    { name: `${name}/Duration`, datatype: 'Double', value: lastDuration ?? null, unit: 's', low: 0, deadband: durationDeadband },
  ]
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

/** One device for each group of checks. A run of one check updates its own metrics and the summary, not the whole group. */
export function checkDevices(prober: Pick<Prober, 'statuses' | 'subscribe'>): DeviceFamily {
  const groups = new Map<string, Map<string, CheckStatus>>()
  /** Each check as it was born, with its properties. */
  const checks = new Map<string, Check>()

  function add(status: CheckStatus): void {
    const { name, group } = status.check
    checks.set(name, status.check)
    const others = groups.get(group)
    if (others) others.set(name, status)
    else groups.set(group, new Map([[name, status]]))
  }

  function remove({ name, group }: Check): void {
    checks.delete(name)
    const others = groups.get(group)
    others?.delete(name)
    if (others?.size === 0) groups.delete(group)
  }

  return {
    kind: 'checks',
    sources: ['prober'],
    keys() {
      for (const status of prober.statuses()) add(status)
      return groups.keys()
    },
    metrics(group) {
      const statuses = groups.get(group)
      return statuses && [...summaryMetrics(statuses.values()), ...[...statuses.values()].flatMap(checkMetrics)]
    },
    part(group, name) {
      const statuses = groups.get(group)
      const status = statuses?.get(name)
      return statuses && status ? [...summaryMetrics(statuses.values()), ...checkMetrics(status)] : []
    },
    follow: (touch) =>
      prober.subscribe(({ type, status }) => {
        const { check } = status
        const known = checks.get(check.name)
        if (type === 'removed') remove(known ?? check)
        else {
          if (known !== undefined && known.group !== check.group) remove(known)
          add(status)
        }
        const isSame = type !== 'removed' && known === check
        if (isSame) return touch(check.group, check.name)
        touch(check.group)
        if (known !== undefined && known.group !== check.group) touch(known.group)
      }),
  }
}
