import type { Part } from '../../shared/lifecycle.ts'
import type { CheckKindName } from '../checks/index.ts'
import type { CheckState, Measurement } from '../checks/kind.ts'
import type { Reason } from '../wire/reasons.ts'
import type { Action } from './actions/act.ts'

/** How bad it is when a check is not up: becomes a label, for routing alerts. */
export type Severity = 'info' | 'warning' | 'critical'

/** A health check, as it was configured or discovered. Two with the same `name` are the same check. All times are milliseconds. */
export type Check = {
  /** Unique, and the label `check`. */
  name: string
  kind: CheckKindName
  /** What is checked, short and without secrets: the label `target`. */
  target: string
  /** As the kind's schema gives them out. */
  options: unknown
  /** The Sparkplug device that tells of it. */
  group: string
  severity: Severity
  /** Labels of its series besides `check`, `kind`, `target` and `severity`. */
  labels: Readonly<Record<string, string>>
  /** From start to start. */
  intervalMs: number
  timeoutMs: number
  /** Failed runs that are repeated before the check is down. */
  retries: number
  retryDelayMs: number
  /** How long it must be up before it is called so after it was down. */
  recoveryDelayMs: number
  /** Names of checks: while one of them is down, this one is unknown. */
  dependsOn: readonly string[]
  /** What is done when it goes down. */
  actions: readonly Action[]
}

/** `unknown`: it has not run yet, what it depends on is down, or its last run could not know. */
export type ProbeState = CheckState

/** How long runs took: a Prometheus histogram. `buckets[i]` counts the runs of at most `durationBuckets[i]` seconds, not cumulated. */
export type Durations = { readonly buckets: Uint32Array; sum: number; count: number }

/** Upper bounds of the buckets, in seconds; the last bucket, above all of them, has none. */
export const durationBuckets = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60] as const

/** What is known of a check now. Times are Unix times in milliseconds. */
export type CheckStatus = {
  readonly check: Check
  state: ProbeState
  /** When it took that state. */
  since: number
  /** Why it is not up. */
  reason?: Reason | 'dependency' | undefined
  /** A sentence for people, without secrets. */
  detail: string
  /** Of the last run that gave any. */
  measurements: readonly Measurement[]
  /** Undefined: never run. */
  finishedAt?: number | undefined
  lastSuccessAt?: number | undefined
  /** Of the last run, in seconds. */
  lastDuration?: number | undefined
  consecutiveFailures: number
  readonly durations: Durations
}

/** What happened to a check. `finished`: a run ended, and its state may be the same. */
export type ProbeEvent = { type: 'added' | 'finished' | 'changed' | 'removed'; status: CheckStatus }

/** What a prober counts, live. */
export type ProberStatistics = {
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

/** Runs checks, each at its interval, and keeps what they saw. */
export type Prober = Part & {
  /**
   * The checks from now on. One that is as it was goes on with all it knows; one whose options changed keeps its state until it has run;
   * one that is no longer among them is let go.
   */
  set(checks: readonly Check[]): void
  /** Every check, in the order given. */
  statuses(): Iterable<CheckStatus>
  status(name: string): CheckStatus | undefined
  /** @returns how to end that */
  subscribe(listener: (event: ProbeEvent) => void): () => void
  /** Why the results are not to be believed: the scheduler is late, or checks don't come to an end. Undefined: all is well. */
  stall(): string | undefined
  readonly statistics: ProberStatistics
}
