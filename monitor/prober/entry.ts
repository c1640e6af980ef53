import type { CheckKind } from '../checks/kind.ts'
import type { Check, CheckStatus } from './check.ts'
import type { Linked } from './dependencies.ts'
import { printOf } from './fingerprint.ts'
import { newDurations } from './run.ts'
import { type Due, type Grid, gridOf } from './schedule.ts'
import type { Lane } from './slots.ts'
import { type Health, newHealth } from './state.ts'

/** One run of a check. Overdue: its time was up. Unwanted: nobody cares for its result any more. Both have been told to stop. */
export type Run = {
  controller: AbortController
  startedAt: number
  lane: Lane
  isOverdue: boolean
  isUnwanted: boolean
  isOver: boolean
  work: Promise<void>
}

/** A status as the prober itself writes it. */
type OwnStatus = { -readonly [K in keyof CheckStatus]: CheckStatus[K] }

/** All that the prober keeps of a check. Times are milliseconds of the monotonic clock. */
export type Entry = Linked &
  Due & {
    check: Check
    kind: CheckKind | undefined
    /** What it asks of whom: see `printOf`. */
    print: string
    grid: Grid
    status: OwnStatus
    health: Health
    /** Idle until `at`; waiting for a slot; or running, and `at` is when its patience ends. */
    phase: 'idle' | 'queued' | 'running'
    /** When the run under way, or the one before, should have begun. */
    dueAt: number
    lastStart: number
    /** When the last run that ended began. */
    heardSince: number
    run: Run | undefined
    /** A run that did not end though it was told to, and whose slot was given away. */
    abandoned: Run | undefined
    /** When a run is wanted before the regular one. */
    wantedAt: number
    /** Its last run used up its whole time. */
    hung: boolean
    /** It went down, and its actions were refused: they are due when this replica leads, if it is down still. */
    owesActions: boolean
    isGone: boolean
  }

/** A check of which nothing is known yet. It is not in the timetable. */
export function newEntry(
  check: Check,
  { kind, origin, at, now }: { kind: CheckKind | undefined; origin: number; at: number; now: number },
): Entry {
  const health = newHealth(now)
  const { state, since, detail } = health
  return {
    name: check.name,
    above: [],
    below: [],
    at: 0,
    index: -1,
    check,
    kind,
    print: printOf(check),
    grid: gridOf(check, origin),
    status: { check, state, since, detail, measurements: [], consecutiveFailures: 0, durations: newDurations() },
    health,
    phase: 'idle',
    dueAt: at,
    lastStart: -Infinity,
    heardSince: -Infinity,
    run: undefined,
    abandoned: undefined,
    wantedAt: Infinity,
    hung: false,
    owesActions: false,
    isGone: false,
  }
}
