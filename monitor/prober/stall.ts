/** What is looked at to see whether the prober itself works. All times are milliseconds of the monotonic clock. */
export type SchedulerFacts = {
  now: number
  /** What is due first, and when. */
  first: { name: string; at: number } | undefined
  /** The check that has waited longest for a slot, since when, and its interval. */
  queued: { name: string; since: number; intervalMs: number } | undefined
  /** When a run ended last, or the checks were set last. */
  lastEnd: number
  /** From start to end of the quickest check at its slowest; undefined if there are no checks. */
  shortestMs: number | undefined
  /** When the process last stood still for longer than it may, and for how long. */
  gap: { at: number; ms: number } | undefined
}

/** A start that is so late is a fault of the scheduler, not of a busy moment. */
export const lateMs = 5_000
/** What was seen while the process stood still is corrected within this, at the usual intervals. */
const gapMemoryMs = 15_000
const queuedMs = 30_000

/** Why the results are not to be believed; undefined if they are. */
export function stallOf({ now, first, queued, lastEnd, shortestMs, gap }: SchedulerFacts): string | undefined {
  if (first !== undefined && now - first.at > lateMs)
    return `The scheduler stands still: ${first.name} is due since ${seconds(now - first.at)}.`
  if (gap !== undefined && now - gap.at < gapMemoryMs)
    return `The process stood still for ${seconds(gap.ms)}: it was stopped, starved of processor time, or blocked.`
  if (queued !== undefined && now - queued.since > Math.max(queuedMs, 2 * queued.intervalMs))
    return `Checks are late: ${queued.name} has waited ${seconds(now - queued.since)} for a slot. Raise the parallelism, or the intervals.`
  if (shortestMs !== undefined && now - lastEnd > 2 * shortestMs + lateMs)
    return `No check has come to its end for ${seconds(now - lastEnd)}.`
  return undefined
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`
}
