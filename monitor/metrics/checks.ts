import type { Family, Labels, Sample } from '../../shared/prometheus.ts'
import { visible } from '../../shared/visible.ts'
import { checkKindNamed, checkKinds } from '../checks/index.ts'
import type { CheckState, Measure, Measurement } from '../checks/kind.ts'
import type { Check, CheckStatus } from '../prober/check.ts'
import { reservedLabels } from '../prober/check-fields.ts'
import { histogram } from './histogram.ts'

/** Measurements of one check that are shown: a target that answers with a million names must not become a million series. */
const maxMeasurements = 2_000

/** The longest label of a measurement that is shown, in UTF-16 units: the target chooses some of them, and may make them long. */
const longestLabel = 200

/** The value of `skerry_check_up` in each state. */
const upIn: Record<CheckState, 0 | 1> = { up: 1, degraded: 1, down: 0, unknown: 0 }

const stateLabels = Object.keys(upIn).map((state) => ({ state }))

const durationSamples = histogram('skerry_check_duration_seconds')

/** A family that each check has, and the samples of one check in it; their labels are added to the check's. */
type CheckFamily = Pick<Family, 'name' | 'type' | 'help'> & { read(status: CheckStatus): Sample[] }

/**
 * Before the first run, a check is `unknown` and not up, its counts are 0, its times are NaN, and it has no reason and no measurement.
 *
 * An alert belongs on `skerry_check_state{state="down"} == 1`: a check whose dependency is down is unknown, and `up` is 0 for it too.
 */
const families: readonly CheckFamily[] = [
  gauge('skerry_check_up', '1 while the check is up or degraded, 0 while it is down or unknown.', ({ state }) => [{ value: upIn[state] }]),
  gauge('skerry_check_state', '1 for the state that the check has, 0 for the others.', ({ state }) =>
    stateLabels.map((labels) => ({ labels, value: labels.state === state ? 1 : 0 })),
  ),
  gauge('skerry_check_reason', 'Always 1; why the check is not up.', ({ state, reason }) =>
    reason === undefined || state === 'up' ? [] : [{ labels: { reason }, value: 1 }],
  ),
  {
    name: 'skerry_check_duration_seconds',
    type: 'histogram',
    help: 'How long runs of the check took.',
    read: ({ durations }) => durationSamples(durations),
  },
  gauge('skerry_check_last_finished_timestamp_seconds', 'When the last run ended; NaN if none has.', ({ finishedAt = Number.NaN }) => [
    { value: finishedAt / 1000 },
  ]),
  gauge(
    'skerry_check_last_success_timestamp_seconds',
    'When the last successful run ended; NaN if none has.',
    ({ lastSuccessAt = Number.NaN }) => [{ value: lastSuccessAt / 1000 }],
  ),
  gauge('skerry_check_consecutive_failures', 'Failed runs since the last successful one.', ({ consecutiveFailures }) => [
    { value: consecutiveFailures },
  ]),
  gauge('skerry_check_interval_seconds', 'Time from the start of a run to the start of the next.', ({ check }) => [
    { value: check.intervalMs / 1000 },
  ]),
]

function gauge(name: string, help: string, read: CheckFamily['read']): CheckFamily {
  return { name, type: 'gauge', help, read }
}

/** The series of checks. A check keeps one object of labels as long as its configuration does not change: see `Sample`. */
export function createCheckSeries(): (statuses: Iterable<CheckStatus>) => Family[] {
  const known = new WeakMap<Check, Labels>()

  function labelsOf(check: Check): Labels {
    const labels = known.get(check) ?? labelsOfCheck(check)
    known.set(check, labels)
    return labels
  }

  return (statuses) => {
    const all = [...statuses].map((status) => ({ status, sharedLabels: labelsOf(status.check) }))
    const measured = new Map<string, Sample[]>()
    for (const { status, sharedLabels } of all) addMeasurements(measured, status, sharedLabels)
    return [
      ...families.map(({ name, type, help, read }) => ({ name, type, help, values: samplesOf(all, read) })),
      ...[...measured].map(([name, values]) => ({ name, values, ...(allMeasures.get(name) as Measure) })),
    ]
  }
}

/** Samples are made while the page is written: those of a thousand checks need not be in memory together. */
function* samplesOf(all: readonly { status: CheckStatus; sharedLabels: Labels }[], read: CheckFamily['read']): Generator<Sample> {
  for (const { status, sharedLabels } of all)
    for (const sample of read(status)) {
      sample.sharedLabels = sharedLabels
      yield sample
    }
}

/** Every measure of every kind: a family of series has one type and one help, whichever kind of check it comes from. */
const allMeasures = new Map<string, Measure>(
  Object.values(checkKinds).flatMap(({ measures }) => Object.entries(measures as Record<string, Measure>)),
)

function labelsOfCheck({ name, kind, target, severity, labels }: Check): Labels {
  const configured = Object.entries(labels).filter(([label]) => isLabelName(label) && !reservedLabels.includes(label))
  return { check: name, kind, target, severity, ...Object.fromEntries(configured) }
}

/** Whether a series may have a label of that name. Names with two underscores at the start are Prometheus' own. */
function isLabelName(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !name.startsWith('__')
}

/** Adds the measurements that are in the kind's table. Of two with the same name and labels, the first one counts. */
function addMeasurements(measured: Map<string, Sample[]>, { check, measurements }: CheckStatus, sharedLabels: Labels): void {
  const known = checkKindNamed(check.kind)?.measures ?? {}
  const seen = new Set<string>()
  for (const { name, value, labels } of measurements) {
    if (seen.size >= maxMeasurements) break
    if (!Object.hasOwn(known, name)) continue
    const own = labels && shortened(labels)
    const series = own === undefined ? name : name + JSON.stringify(own)
    if (seen.has(series)) continue
    seen.add(series)
    const values = measured.get(name) ?? []
    measured.set(name, values)
    values.push({ value, ...merged(sharedLabels, own) })
  }
}

/**
 * Each label cut to the longest length shown, with invisible characters in writing. Lone surrogates are replaced before series are compared: on
 * the page they look the same.
 */
function shortened(labels: NonNullable<Measurement['labels']>): Record<string, string> {
  const isFit = Object.values(labels).every((value) => value.length <= longestLabel && /^[\x20-\x7e]*$/.test(value))
  if (isFit) return labels
  const fit = (value: string) => visible(value.slice(0, longestLabel)).slice(0, longestLabel).toWellFormed()
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, fit(value)]))
}

/** The check's labels and the measurement's, which takes precedence where both have one of the same name. */
function merged(sharedLabels: Labels, labels: Labels | undefined): Pick<Sample, 'labels' | 'sharedLabels'> {
  for (const name in labels) if (Object.hasOwn(sharedLabels, name)) return { labels: { ...sharedLabels, ...labels } }
  return { labels, sharedLabels }
}
