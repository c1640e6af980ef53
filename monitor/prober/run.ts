import { formatDuration } from '../../shared/fields.ts'
import type { CheckResult } from '../checks/kind.ts'
import { CheckFailure, reasonOf, reasons, resultOfError } from '../wire/reasons.ts'
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

/** What a run is whose time was up, however it ended then; what it failed for before that, or measured, is kept. */
export function overdueResult(timeoutMs: number, outcome?: { result: CheckResult } | { error: unknown }): CheckResult {
  if (outcome !== undefined && 'result' in outcome && outcome.result.state === 'down') return outcome.result
  // When its time is up a kind may close the connection and then report just that; one that speaks of the timeout itself knows more.
  if (outcome !== undefined && 'error' in outcome && outcome.error instanceof CheckFailure && reasonOf(outcome.error) === 'timeout')
    return resultOfError(outcome.error)
  const measurements = outcome === undefined ? undefined : 'result' in outcome ? outcome.result.measurements : measurementsOf(outcome.error)
  const detail = shorten(`No answer within ${formatDuration(timeoutMs)}. ${reasons.timeout.replace(/^No answer in time\. /, '')}`)
  return { state: 'down', reason: 'timeout', detail, ...(measurements && measurements.length > 0 && { measurements }) }
}

function measurementsOf(error: unknown) {
  return error instanceof CheckFailure ? error.measurements : undefined
}

/** What a run is that was not begun, since the one before has not ended though it was told to. */
export function heldBackResult(): CheckResult {
  return {
    state: 'down',
    reason: 'timeout',
    detail: 'An earlier run has not ended though its time is up, so no other was begun. Restart the monitor if it stays so, and report it.',
  }
}
