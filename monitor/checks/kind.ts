import type * as z from 'zod'
import type { ApiServer } from '../wire/api-server.ts'
import type { Reason } from '../wire/reasons.ts'

/**
 * What a check found. `up`: it does what it is for. `degraded`: it works, and someone should look before it does not.
 * `down`: it does not do what it is for. `unknown`: the monitor itself lacks what it would see that with, which says nothing of the target.
 * (The prober says `unknown` too: of what has not run yet, or depends on what is down.)
 */
export type CheckState = 'up' | 'degraded' | 'down' | 'unknown'

/** One measured value. The labels are those that the kind's table of measures names for it, no more and no fewer. */
export type Measurement = { name: string; value: number; labels?: Record<string, string> }

/** What one run of a check saw. */
export type CheckResult = {
  state: CheckState
  /** Why it is not up: from a small fixed set, since it becomes a label. */
  reason?: Reason
  /** A sentence for people. Where something is wrong it says what to do. It never holds a secret, and never more than a few hundred letters. */
  detail: string
  /** What was measured, also when the state is not up, as far as the check came. */
  measurements?: Measurement[]
}

/** One row of what a kind measures: named by Prometheus' conventions, in base units, `_total` for counters. */
export type Measure = {
  type: 'gauge' | 'counter'
  help: string
  /** The labels it has besides `check`, `kind` and `target`, which every series of a check has. */
  labels?: readonly string[]
}

/** What the watcher of Sparkplug edge nodes knows about one of them. Times are Unix times in milliseconds. */
export type SparkplugNodeState = {
  /** `unseen`: nothing yet since the watcher subscribed, which is not longer ago than its interval. `dead`: its NDEATH came. */
  state: 'online' | 'silent' | 'offline' | 'dead' | 'unseen'
  lastSeen?: number
  rebirthRequests?: number
}

/** What a check may use besides its options. Parts that this monitor does not have are left out, and the kinds that need them say so. */
export type CheckContext = {
  /** Aborts at the check's timeout, and when the monitor stops. What is open then is closed, and the check rejects. */
  signal: AbortSignal
  /** The API server of the cluster that the monitor runs in, or whose kubeconfig it was given: `apiServerOf(credentials)`. */
  apiServer?: ApiServer
  /**
   * The watched edge nodes by `group/node`, or by the name of their resource. Undefined: no such node is watched. `unheard`: it is, but the
   * monitor itself has no connection to its broker.
   */
  sparkplugNode?: (name: string) => SparkplugNodeState | 'unheard' | undefined
  /** Unix time in milliseconds; the time of this machine when left out. */
  now?: () => number
}

/**
 * A kind of health check: it knows its protocol only. Interval, timeout, retries, state and series belong to the prober.
 *
 * The client library of a protocol is imported inside `check`, when the first check of that kind runs: memory follows use,
 * and the schemas can be read without any of them.
 */
export type CheckKind<S extends z.ZodType = z.ZodType> = {
  /** What it asks and what makes it degraded or down, in a few sentences of Markdown for the documentation. */
  about: string
  /** An example of its options, valid as it stands. */
  example: z.input<S>
  /** A strict object; each field has a description, and a default where there is a sensible one. */
  options: S
  measures: Readonly<Record<string, Measure>>
  /** What is checked, short and without secrets: becomes the label `target`. */
  target(options: z.output<S>): string
  /**
   * Runs it once. It may reject with anything: `resultOfError` says what that means, and it is always `down`.
   * It rejects soon after the signal aborts, and leaves nothing open.
   */
  check(options: z.output<S>, context: CheckContext): Promise<CheckResult>
}

/** A kind with its options' type inferred from the schema. */
export function checkKind<S extends z.ZodType>(kind: CheckKind<S>): CheckKind<S> {
  return kind
}
