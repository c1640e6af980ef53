/** The facts that show whether the prober itself works. All times are milliseconds of the monotonic clock. */
export type SchedulerFacts = {
  now: number
  /** The check that is due first, and when. */
  first: { name: string; at: number } | undefined
  /** The check that has waited longest for a slot, the start of its wait, and its interval. */
  queued: { name: string; since: number; intervalMs: number } | undefined
  /** When a run last ended, or the checks were last set. */
  lastEnd: number
  /** The smallest sum of a check's interval and timeout, within which a run must end; undefined if there are no checks. */
  shortestMs: number | undefined
  /** When the process last stood still for too long, and for how long. */
  gap: { at: number; ms: number } | undefined
}

/** A start that is later than this is a fault of the scheduler, not of a busy moment. */
export const lateMs = 5_000
/** At the usual intervals, the checks have run again within this after the process stood still. */
const gapMemoryMs = 15_000
const queuedMs = 30_000

/** Why the results are stale; undefined if they are not. */
export function stallOf({ now, first, queued, lastEnd, shortestMs, gap }: SchedulerFacts): string | undefined {
  if (first !== undefined && now - first.at > lateMs)
    return `The scheduler is stuck: ${first.name} has been due for ${seconds(now - first.at)}.`
  if (gap !== undefined && now - gap.at < gapMemoryMs)
    return `The process stood still for ${seconds(gap.ms)}: it was stopped, starved of processor time, or blocked.`
  if (queued !== undefined && now - queued.since > Math.max(queuedMs, 2 * queued.intervalMs))
    return `Checks are late: ${queued.name} has waited ${seconds(now - queued.since)} for a slot. Raise the parallelism, or the intervals.`
  if (shortestMs !== undefined && now - lastEnd > 2 * shortestMs + lateMs)
    return `No run of a check has ended for ${seconds(now - lastEnd)}.`
  return undefined
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`
}
