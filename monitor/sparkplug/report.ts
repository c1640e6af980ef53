import { type MetricValue, same } from './datatypes.ts'
import { type Deadband, isWithin } from './deadbands.ts'
import type { Quality } from './payload.ts'

/** What the decision depends on. */
type Reportable = {
  value: MetricValue | null
  quality: Quality
  /** The deadband that the metric itself asks for, in its unit. */
  deadband: number | undefined
  /** The last report, and its monotonic time. */
  reported: { value: MetricValue | null; quality: Quality; at: number }
}

type Circumstances = {
  maxSilenceMs: number
  now: number
  /** The deadband of its class, if it has one. */
  limits?: Deadband | undefined
  /** The monotonic time of the last report of a metric that it goes with. */
  leaderAt?: number | undefined
}

/**
 * Report by exception: whether the present value of a metric is to be sent [tck-id-principles-rbe-recommended].
 *
 * A change of quality is a change, and so is a change from or to unknown. A number has changed when it has left the deadband around the
 * value last reported, not the value last measured: otherwise a slow drift would never be sent. What may change at most every so often waits
 * for a later measurement, unless a metric that it goes with has been reported since. A value that its source keeps confirming is sent
 * again after `maxSilenceMs`. An unconfirmed value is not: to send it would claim that it is still known.
 */
export function isReportable(
  { value, quality, deadband = 0, reported }: Reportable,
  { maxSilenceMs, now, limits = {}, leaderAt = Number.NEGATIVE_INFINITY }: Circumstances,
): boolean {
  if (quality !== reported.quality) return true
  if (now - reported.at >= maxSilenceMs) return true
  if (same(value, reported.value) || isWithin(value, reported.value, limits, deadband)) return false
  if (value === null || reported.value === null) return true
  return leaderAt > reported.at || now - reported.at >= (limits.atMostEveryMs ?? 0)
}
