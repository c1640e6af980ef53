import { formatDuration } from '../../shared/fields.ts'
import type { CheckResult } from '../checks/kind.ts'
import { CheckFailure, messageOf, reasonOf, reasons } from '../wire/reasons.ts'
import { shorten } from '../wire/wording.ts'
import { type Durations, durationBuckets } from './check.ts'

/** A histogram without a run. */
export function newDurations(): Durations {
  return { buckets: new Uint32Array(durationBuckets.length + 1), sum: 0, count: 0 }
}

/** Counts a run that took so long. */
export function recordDuration(durations: Durations, seconds: number): void {
  let bucket = 0
  while (bucket < durationBuckets.length && seconds > (durationBuckets[bucket] as number)) bucket++
  durations.buckets[bucket] = (durations.buckets[bucket] as number) + 1
  durations.sum += seconds
  durations.count++
}

/** What a run comes to that threw: always `down`. The detail is bounded, on one line, and ends with what to do. */
export function resultOfError(error: unknown): CheckResult {
  const reason = reasonOf(error)
  const detail = error instanceof CheckFailure ? error.message : `${messageOf(error)}. ${reasons[reason]}`
  return { state: 'down', reason, detail: shorten(detail) }
}

/** What a run comes to whose time was up, however it ended after that. What it found or measured before is kept. */
export function overdueResult(timeoutMs: number, outcome?: { result: CheckResult } | { error: unknown }): CheckResult {
  if (outcome !== undefined && 'result' in outcome && outcome.result.state === 'down') return outcome.result
  // When its time is up a kind may close the connection and then report just that; one that speaks of the timeout itself knows more.
  if (outcome !== undefined && 'error' in outcome && outcome.error instanceof CheckFailure && outcome.error.reason === 'timeout')
    return resultOfError(outcome.error)
  const measurements = outcome !== undefined && 'result' in outcome ? outcome.result.measurements : undefined
  const detail = shorten(`No answer within ${formatDuration(timeoutMs)}. ${reasons.timeout.replace(/^No answer in time\. /, '')}`)
  return { state: 'down', reason: 'timeout', detail, ...(measurements && measurements.length > 0 && { measurements }) }
}

/** What a run is that was not begun, since the one before has not ended though it was told to. */
export function heldBackResult(): CheckResult {
  return {
    state: 'down',
    reason: 'timeout',
    detail: 'An earlier run has not ended though its time is up, so no other was begun. Restart the monitor if it stays so, and report it.',
  }
}
