import type { Part } from '../../shared/lifecycle.ts'
import type { CheckKindName } from '../checks/index.ts'
import type { CheckState, Measurement } from '../checks/kind.ts'
import type { Reason } from '../wire/reasons.ts'
import type { Action } from './actions/action.ts'
import type { PastRuns } from './past-runs.ts'

/** How bad it is when a check is not up: a label, for routing alerts. */
type Severity = 'info' | 'warning' | 'critical'

/** A health check, configured or discovered. Two with the same `name` are the same check. All times are milliseconds. */
export type Check = {
  /** Unique, and the label `check`. */
  name: string
  kind: CheckKindName
  /** The target, short and without secrets: the label `target`. */
  target: string
  /** As parsed by the kind's schema. */
  options: unknown
  /** The Sparkplug device that publishes it. */
  group: string
  severity: Severity
  /** Labels of its series besides `check`, `kind`, `target` and `severity`. */
  labels: Readonly<Record<string, string>>
  /** From the start of a run to the start of the next. */
  intervalMs: number
  timeoutMs: number
  /** A run that takes at least this long is degraded. */
  degradedAfterMs?: number | undefined
  /** A run that takes at least this long is down. */
  downAfterMs?: number | undefined
  /** How often a failed run is repeated before the check is down. */
  retries: number
  retryDelayMs: number
  /** How long it must be up before it has recovered from being down. */
  recoveryDelayMs: number
  /** Names of checks: while one of them is down, this one is unknown. */
  dependsOn: readonly string[]
  /** Actions to take when it goes down. */
  actions: readonly Action[]
}

/** A Prometheus histogram. `buckets[i]` counts the durations of at most `durationBuckets[i]` seconds, not cumulated. */
export type Durations = { readonly buckets: Uint32Array; sum: number; count: number }

/** Upper bounds of the buckets, in seconds. One more bucket holds what exceeds all of them. */
export const durationBuckets = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60] as const

/** The current state of a check. Times are Unix times in milliseconds. */
export type CheckStatus = {
  readonly check: Check
  /** `unknown`: it has not run yet, what it depends on is down, or its last run could not know. */
  state: CheckState
  /** When it entered that state. */
  since: number
  /** Why it is not up. */
  reason?: Reason | 'dependency' | undefined
  /** A sentence for people, without secrets. */
  detail: string
  /** From the last run that had any. */
  measurements: readonly Measurement[]
  /** Undefined before the first run has ended. */
  finishedAt?: number | undefined
  lastSuccessAt?: number | undefined
  /** The duration of the last run, in seconds. */
  lastDuration?: number | undefined
  consecutiveFailures: number
  readonly durations: Durations
  /** The last runs. */
  readonly past: PastRuns
}

/** A change of a check. `finished`: a run ended, whether or not the state changed. */
export type ProbeEvent = { type: 'added' | 'finished' | 'changed' | 'removed'; status: CheckStatus }

/** What a prober counts, live. */
type ProberStatistics = {
  /** Runs that ended, by their result. */
  readonly runs: Readonly<Record<CheckState, number>>
  /** Runs under way. */
  readonly running: number
  /** Checks that are due and wait for a slot. */
  readonly waiting: number
  /** How late runs began. */
  readonly startDelays: Durations
  /** Actions by their outcome: see `ActionOutcome`. */
  readonly actions: Readonly<Record<string, number>>
  /** Starts that were skipped, because the run before took until then or the monitor itself stood still. */
  readonly skipped: number
  /** Runs that did not end after they were aborted. Each keeps its check from running until it ends. */
  readonly abandoned: number
}

/** Runs checks, each at its interval, and keeps their results. */
export type Prober = Part & {
  /**
   * Replaces the checks. A check that did not change keeps its history. A check whose options changed keeps its state until it has run
   * again. A check that is missing is dropped.
   */
  set(checks: readonly Check[]): void
  /** The status of every check, in the order given. */
  statuses(): Iterable<CheckStatus>
  status(name: string): CheckStatus | undefined
  /** Runs a check now, because something is known to have changed. */
  refresh(name: string): void
  /** @returns a function that ends the subscription */
  subscribe(listener: (event: ProbeEvent) => void): () => void
  /** Why the results are stale: the scheduler is late, or runs do not end. Undefined if they are not. */
  stall(): string | undefined
  readonly statistics: ProberStatistics
}
