import type { CheckKind } from '../checks/kind.ts'
import type { Check } from './check.ts'
import { fingerprintOf } from './fingerprint.ts'
import { type Due, type Grid, gridOf } from './schedule.ts'
import type { Lane } from './slots.ts'

/** One run of a check. */
export type Run = {
  readonly controller: AbortController
  readonly startedAt: number
  readonly lane: Lane
  /** Why it was aborted: it timed out, or its result is no longer wanted. */
  aborted: 'overdue' | 'unwanted' | undefined
  /** It ended, or its slot was given away. */
  isOver: boolean
}

/** A check as the runner keeps it; nobody else writes to it. Times are milliseconds of the monotonic clock. */
export type Task = Due & {
  check: Check
  kind: CheckKind | undefined
  fingerprint: string
  grid: Grid
  /** When the current run, or the last one, should have begun. */
  dueAt: number
  lastStart: number
  /** When a run is wanted before the regular one. */
  wantedAt: number
  run: Run | undefined
  /** A run that did not end after it was aborted, and whose slot was given away. */
  abandoned: Run | undefined
  /** The lane of its next run. */
  lane: Lane
}

/** The task of a new check, which is not due yet. */
export function newTask(check: Check, { kind, origin, now }: { kind: CheckKind | undefined; origin: number; now: number }): Task {
  return {
    at: Infinity,
    check,
    kind,
    fingerprint: fingerprintOf(check),
    grid: gridOf(check, origin),
    dueAt: now,
    lastStart: -Infinity,
    wantedAt: Infinity,
    run: undefined,
    abandoned: undefined,
    lane: 'quick',
  }
}
