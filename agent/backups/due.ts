import { createHash } from 'node:crypto'
import { type Cron, lastRun, nextRun } from './cron.ts'
import type { BackupState } from './state.ts'

/** The last backup of a schedule that is in the ledger. */
export type LastBackup = {
  sequence: number
  /** The run that it was for, in Unix milliseconds. */
  due: number
  /** When it failed, in Unix milliseconds; undefined if it did not. */
  failedAt: number | undefined
}

/** All that decides when the next backup of a schedule is taken. */
export type Known = {
  uid: string
  cron: Cron
  /** Since when the runs of the schedule count, in Unix milliseconds. */
  since: number
  state: Pick<BackupState, 'failures'>
  last: LastBackup | undefined
}

/** A failed backup is tried again after this time, then after twice as long, and so on; in milliseconds. */
const firstRetryMs = 10 * 60_000
const lastRetryMs = 6 * 60 * 60_000

/** Backups that are due at the same moment are spread over this time, or over a tenth of the time to the next run; in milliseconds. */
const longestSpreadMs = 15 * 60_000

/**
 * When the next backup is to be taken, in Unix milliseconds; undefined for a schedule that never comes.
 *
 * It is the first run since the last one that was taken, so that several that were missed are caught up with one. A failed one is tried again before
 * the next run: less and less often, but at least as often as the schedule says, and never within ten minutes.
 *
 * @param now a moment that the last run must not be after: if a clock was set back, runs count from now on
 */
export function nextBackup({ uid, cron, since, state, last }: Known, now: number): number | undefined {
  const reference = Math.min(now, Math.max(since, last?.due ?? since))
  const due = nextRun(cron, reference)
  if (due === undefined) return undefined
  const regular = due + spread(uid, gapAt(cron, due))
  if (last?.failedAt === undefined || last.due < since) return regular
  const failures = Math.max(1, state.failures ?? 1)
  const retry = last.failedAt + Math.min(lastRetryMs, firstRetryMs * 2 ** Math.min(20, failures - 1))
  // After a step of the clock, the failure may be in the future.
  const earliest = Math.min(last.failedAt, now) + firstRetryMs
  return Math.max(earliest, Math.min(retry, regular))
}

/** The run that a backup at this moment is for: the last one that was due, or the one that is tried again. */
export function runAt({ cron, since, last }: Pick<Known, 'cron' | 'since' | 'last'>, now: number): number {
  return Math.max(lastRun(cron, now) ?? since, last?.due ?? since, since)
}

/** The time between a run and the next one. */
function gapAt(cron: Cron, run: number): number {
  return (nextRun(cron, run) ?? run) - run
}

/** Always the same for a database, so that its backups are as far apart as its schedule says. */
function spread(uid: string, gapMs: number): number {
  const window = Math.min(longestSpreadMs, Math.floor(gapMs / 10))
  return window === 0 ? 0 : createHash('sha256').update(uid).digest().readUInt32BE(0) % window
}

/**
 * From when on the last successful backup is too old, in Unix milliseconds: the second run after it has passed, and nothing came of it. Undefined for
 * a schedule that never comes.
 * @param from when the last successful backup was begun; or since when the schedule counts, if there is none
 */
export function overdueFrom(cron: Cron, from: number): number | undefined {
  const first = nextRun(cron, from)
  return first === undefined ? undefined : nextRun(cron, first)
}
