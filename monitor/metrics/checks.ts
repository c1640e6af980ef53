import { checkKindNamed, checkKinds } from '../checks/index.ts'
import type { Measure, Measurement } from '../checks/kind.ts'
import type { Check, CheckStatus, ProbeState } from '../prober/check.ts'
import { type Family, isLabelName, labelPairs, numberText } from './exposition.ts'
import { histogram } from './histogram.ts'
import { createLines, type Lines } from './page-memory.ts'

/** Labels that configuration cannot give a check: they are its own, or those of its series. One given all the same is left out. */
export const ownLabels: ReadonlySet<string> = new Set(['check', 'kind', 'target', 'severity', 'state', 'reason', 'le', 'quantile'])

/** Measurements of one check that are shown: a target that answers with a million names must not become a million series. */
const maxMeasurements = 2_000

/** UTF-16 units of a measurement's label that are shown: some are names that the target chose, as long as it likes. */
const longestLabel = 200

const states: readonly ProbeState[] = ['up', 'degraded', 'down', 'unknown']

/**
 * The series of checks, rendered by hand: prom-client takes 20 ms for 10,000 of them.
 *
 * | series | before the first run |
 * |---|---|
 * | `skerry_check_up`: 1 while up or degraded | 0: not known to be up |
 * | `skerry_check_state`: 1 for the state it has, 0 for the three others | `unknown` |
 * | `skerry_check_reason`: 1 with the reason why it is not up | none |
 * | `skerry_check_duration_seconds`: histogram of all runs | all 0 |
 * | `skerry_check_last_finished_timestamp_seconds`, `…_last_success_…` | NaN |
 * | `skerry_check_consecutive_failures`, `skerry_check_interval_seconds` | 0, and what it is |
 * | what its kind measures, from the last run that gave any | none |
 *
 * An alert belongs on `skerry_check_state{state="down"} == 1`: a check whose dependency is down is unknown, and `up` is 0 for it too.
 *
 * Escaped labels are kept for as long as the check is as it was.
 */
export function createCheckSeries(): (statuses: Iterable<CheckStatus>) => Family[] {
  const labelsOf = new WeakMap<Check, string>()

  function labels(check: Check): string {
    let text = labelsOf.get(check)
    if (text === undefined) {
      text = labelPairs(labelsOfCheck(check))
      labelsOf.set(check, text)
    }
    return text
  }

  return (statuses) => {
    const up = createLines()
    const state = createLines()
    const reason = createLines()
    const duration = createLines()
    const finished = createLines()
    const success = createLines()
    const failures = createLines()
    const interval = createLines()
    const measures = new Map<string, Lines>()
    for (const status of statuses) {
      const { check, durations } = status
      const pairs = labels(check)
      up.add(`skerry_check_up{${pairs}} ${status.state === 'up' || status.state === 'degraded' ? 1 : 0}\n`)
      for (const each of states) state.add(`skerry_check_state{${pairs},state="${each}"} ${each === status.state ? 1 : 0}\n`)
      if (status.reason !== undefined && status.state !== 'up') reason.add(`skerry_check_reason{${pairs},reason="${status.reason}"} 1\n`)
      duration.add(histogram('skerry_check_duration_seconds', pairs, durations))
      finished.add(`skerry_check_last_finished_timestamp_seconds{${pairs}} ${seconds(status.finishedAt)}\n`)
      success.add(`skerry_check_last_success_timestamp_seconds{${pairs}} ${seconds(status.lastSuccessAt)}\n`)
      failures.add(`skerry_check_consecutive_failures{${pairs}} ${status.consecutiveFailures}\n`)
      interval.add(`skerry_check_interval_seconds{${pairs}} ${check.intervalMs / 1000}\n`)
      addMeasurements(measures, check, pairs, status.measurements)
    }
    const gauge = (name: string, help: string, lines: Lines): Family => ({ name, type: 'gauge', help, text: lines })
    return [
      gauge('skerry_check_up', '1 while the check is up or degraded, 0 while it is down or not known.', up),
      gauge('skerry_check_state', '1 for the state that the check has, 0 for the others.', state),
      gauge('skerry_check_reason', 'Always 1; why the check is not up.', reason),
      { name: 'skerry_check_duration_seconds', type: 'histogram', help: 'How long runs of the check took.', text: duration },
      gauge('skerry_check_last_finished_timestamp_seconds', 'When the last run ended; NaN if none has.', finished),
      gauge('skerry_check_last_success_timestamp_seconds', 'When a run last ended well; NaN if none has.', success),
      gauge('skerry_check_consecutive_failures', 'Runs that failed since the last one that did not.', failures),
      gauge('skerry_check_interval_seconds', 'From the start of a run to the next.', interval),
      ...[...measures].map(([name, lines]) => ({ name, text: lines, ...(allMeasures.get(name) as Measure) })),
    ]
  }
}

/** Every measure of every kind: a family of series has one type and one help, whichever kind of check it comes from. */
const allMeasures = new Map<string, Measure>(
  Object.values(checkKinds).flatMap(({ measures }) => Object.entries(measures as Record<string, Measure>)),
)

function labelsOfCheck({ name, kind, target, severity, labels }: Check): Record<string, string> {
  const configured = Object.entries(labels).filter(([label]) => isLabelName(label) && !ownLabels.has(label))
  return { check: name, kind, target, severity, ...Object.fromEntries(configured) }
}

function seconds(ms: number | undefined): string {
  return ms === undefined ? 'NaN' : `${ms / 1000}`
}

/** Adds the measurements of a check to the lines of their families. What is not in the kind's table is left out, and what came twice. */
function addMeasurements(families: Map<string, Lines>, check: Check, pairs: string, measurements: readonly Measurement[]): void {
  const known = checkKindNamed(check.kind)?.measures ?? {}
  const seen = new Set<string>()
  for (const { name, value, labels } of measurements) {
    if (seen.size >= maxMeasurements) break
    if (!Object.hasOwn(known, name)) continue
    const series = `${name}{${labels === undefined ? pairs : withLabels(check, pairs, shortened(labels))}}`
    if (seen.has(series)) continue
    seen.add(series)
    const lines = families.get(name) ?? createLines()
    families.set(name, lines)
    lines.add(`${series} ${numberText(value)}\n`)
  }
}

/** Labels cut to what is shown. What is no Unicode is replaced here already, lest two series become the same only on the page. */
function shortened(labels: Record<string, string>): Record<string, string> {
  const isFit = Object.values(labels).every((value) => value.length <= longestLabel && value.isWellFormed())
  if (isFit) return labels
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, value.slice(0, longestLabel).toWellFormed()]))
}

/** The check's labels and the measurement's. One that both have is the measurement's. */
function withLabels(check: Check, pairs: string, labels: Record<string, string>): string {
  const own = labelPairs(labels)
  if (own === '') return pairs
  const outer = labelsOfCheck(check)
  return Object.keys(labels).some((name) => Object.hasOwn(outer, name)) ? labelPairs({ ...outer, ...labels }) : `${pairs},${own}`
}
