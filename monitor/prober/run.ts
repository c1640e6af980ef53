import { formatDuration } from '../../shared/fields.ts'
import type { CheckResult } from '../checks/kind.ts'
import { CheckFailure, explain, reasonOf, reasons } from '../wire/reasons.ts'
import { shorten } from '../wire/wording.ts'
import { type Durations, durationBuckets } from './check.ts'

/** An empty histogram. */
export function newDurations(): Durations {
  return { buckets: new Uint32Array(durationBuckets.length + 1), sum: 0, count: 0 }
}

/** Adds a duration to a histogram. */
export function recordDuration(durations: Durations, seconds: number): void {
  let bucket = 0
  while (bucket < durationBuckets.length && seconds > (durationBuckets[bucket] as number)) bucket++
  durations.buckets[bucket] = (durations.buckets[bucket] as number) + 1
  durations.sum += seconds
  durations.count++
}

/** What a run returned or threw. */
export type Outcome = { result: CheckResult } | { error: unknown }

/** The result of a run that threw: always `down`. The detail is bounded, on one line, and ends with what to do. */
export function resultOfError(error: unknown): CheckResult {
  return { state: 'down', reason: reasonOf(error), detail: shorten(explain(error)) }
}

/** The result of a run that timed out, however it ended. An earlier failure that it saw, and its measurements, are kept. */
export function overdueResult(timeoutMs: number, outcome?: Outcome): CheckResult {
  if (outcome !== undefined && 'result' in outcome && outcome.result.state === 'down') return outcome.result
  // A kind that is aborted may report only that the connection was closed. An error about the timeout itself says more.
  if (outcome !== undefined && 'error' in outcome && outcome.error instanceof CheckFailure && outcome.error.reason === 'timeout')
    return resultOfError(outcome.error)
  const measurements = outcome !== undefined && 'result' in outcome ? outcome.result.measurements : undefined
  const detail = shorten(`No answer within ${formatDuration(timeoutMs)}. ${reasons.timeout.replace(/^No answer in time\. /, '')}`)
  return { state: 'down', reason: 'timeout', detail, ...(measurements && measurements.length > 0 && { measurements }) }
}

/** The result of a run that was not begun, because the one before has not ended after it was aborted. */
export function heldBackResult(): CheckResult {
  return {
    state: 'down',
    reason: 'timeout',
    detail: 'An earlier run has timed out and not ended, so no other was begun. If this persists, restart the monitor, and report it.',
  }
}
