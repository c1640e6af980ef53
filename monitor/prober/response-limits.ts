import { formatDuration } from '../../shared/fields.ts'
import type { CheckResult } from '../checks/kind.ts'
import { shorten } from '../wire/wording.ts'
import type { Check } from './check.ts'

/**
 * The result of a run, judged by its duration: `degradedAfter` and `downAfter` of the check. A run that failed for another reason keeps
 * that reason, and so does one that could not know.
 * @param ms duration of the run, in milliseconds
 */
export function withinLimits(result: CheckResult, ms: number, { degradedAfterMs = Infinity, downAfterMs = Infinity }: Limits): CheckResult {
  if (ms >= downAfterMs && (result.state === 'up' || result.state === 'degraded')) return tooSlow('down', result, ms, downAfterMs)
  if (ms >= degradedAfterMs && result.state === 'up') return tooSlow('degraded', result, ms, degradedAfterMs)
  return result
}

type Limits = Pick<Check, 'degradedAfterMs' | 'downAfterMs'>

function tooSlow(state: 'degraded' | 'down', result: CheckResult, ms: number, limitMs: number): CheckResult {
  const detail = shorten(`Took ${formatDuration(Math.round(ms))}, not less than ${formatDuration(limitMs)}. ${result.detail}`)
  return { ...result, state, reason: 'limit', detail }
}
