import { type MetricValue, same } from './datatypes.ts'
import type { Quality } from './payload.ts'

/** What the decision depends on. */
type Reportable = {
  value: MetricValue | null
  quality: Quality
  deadband: number | undefined
  /** The last report, and its monotonic time. */
  reported: { value: MetricValue | null; quality: Quality; at: number }
}

/**
 * Report by exception: whether the present value of a metric is to be sent [tck-id-principles-rbe-recommended].
 *
 * A change of quality is a change, and so is a change from or to unknown. A number has changed when it has left the deadband around the
 * value last reported, not the value last measured: otherwise a slow drift would never be sent. A value that its source keeps confirming is
 * sent again after `maxSilenceMs`. An unconfirmed value is not: to send it would claim that it is still known.
 */
export function isReportable(
  { value, quality, deadband = 0, reported }: Reportable,
  { maxSilenceMs, now }: { maxSilenceMs: number; now: number },
): boolean {
  if (quality !== reported.quality) return true
  if (now - reported.at >= maxSilenceMs) return true
  if (same(value, reported.value)) return false
  return !(deadband > 0 && isWithin(value, reported.value, deadband))
}

function isWithin(a: MetricValue | null, b: MetricValue | null, deadband: number): boolean {
  if (typeof a === 'bigint' && typeof b === 'bigint') return Math.abs(Number(a - b)) <= deadband
  if ((typeof a !== 'number' && typeof a !== 'bigint') || (typeof b !== 'number' && typeof b !== 'bigint')) return false
  // NaN is in no band, and nothing is in its band.
  return Math.abs(Number(a) - Number(b)) <= deadband
}
