import type * as z from 'zod'
import type { Beat } from '../heartbeats/index.ts'
import type { ApiServer } from '../wire/api-server.ts'
import type { Reason } from '../wire/reasons.ts'
import { shorten } from '../wire/wording.ts'

/**
 * The state that a check reports. `up`: the target works. `degraded`: the target works, but someone should look before it stops working.
 * `down`: the target does not work. `unknown`: the monitor cannot tell, for a cause of its own that says nothing about the target.
 * (The prober also uses `unknown`: for a check that has not run yet, and for one that depends on a check that is down.)
 */
export type CheckState = 'up' | 'degraded' | 'down' | 'unknown'

/** One measured value. Its labels are exactly those that the kind's `measures` list for this name. */
export type Measurement = { name: string; value: number; labels?: Record<string, string> }

/** The outcome of one run of a check. */
export type CheckResult = {
  state: CheckState
  /** Why the state is not `up`. It becomes a label, so the set is small and fixed. */
  reason?: Reason
  /** A sentence for people, at most a few hundred characters, without secrets. If something is wrong, it says what to do. */
  detail: string
  /** What the run measured before it ended, whatever the state. */
  measurements?: Measurement[]
}

/** One fault that a check found: degraded, unless it says down. The text says what is wrong and what to do, without a full stop. */
export type Finding = { state?: 'down'; reason: Reason; text: string }

/** The result of findings: up with the detail `fine` if there are none. Else the worst one gives state and reason; the detail lists all. */
export function resultOf(findings: readonly Finding[], fine: string, measurements: Measurement[]): CheckResult {
  const worst = findings.find(({ state }) => state === 'down') ?? findings[0]
  if (worst === undefined) return { state: 'up', detail: fine, measurements }
  const texts = [worst, ...findings.filter((finding) => finding !== worst)].map(({ text }) => text)
  return { state: worst.state ?? 'degraded', reason: worst.reason, detail: shorten(`${texts.join('. ')}.`), measurements }
}

/** One metric of a kind, named by Prometheus' conventions: base units, `_total` for counters. */
export type Measure = {
  type: 'gauge' | 'counter'
  help: string
  /** Labels in addition to `check`, `kind` and `target`, which every series of a check has. */
  labels?: readonly string[]
}

/** What the monitor knows about a watched Sparkplug edge node. Times are Unix times in milliseconds. */
export type SparkplugNodeState = {
  /** `unseen`: no message yet, and the monitor has subscribed for less than the node's interval. `dead`: its NDEATH arrived. */
  state: 'online' | 'silent' | 'offline' | 'dead' | 'unseen'
  lastSeen?: number
  rebirthRequests?: number
}

/** What a check may use in addition to its options. A part that this monitor lacks is absent; a kind that needs it says so. */
export type CheckContext = {
  /** Aborts when the check times out and when the monitor stops. The check then closes what it opened, and rejects. */
  signal: AbortSignal
  /** The API server of the monitor's cluster, or of the kubeconfig that it was given: `apiServerOf(credentials)`. */
  apiServer?: ApiServer
  /**
   * Looks up a watched edge node by `group/node`, or by the name of its resource. Undefined: no such node is watched. `unheard`: the
   * monitor watches the node, but has no connection to its broker.
   */
  sparkplugNode?: (name: string) => SparkplugNodeState | 'unheard' | undefined
  /** Whether programs of this machine may be run; not if left out. */
  mayExec?: boolean
  /** The last heartbeat of a sender, or why it is not known; `since` is when this monitor began to listen, in Unix milliseconds. */
  heartbeat?: (id: string) => { last: Beat | string | undefined; since: number }
  /** Unix time in milliseconds; the clock of this machine by default. */
  now?: () => number
}

/**
 * A kind of health check. It knows its protocol and nothing else: interval, timeout, retries, state and series belong to the prober.
 *
 * `check` imports the client library of its protocol when the first check of the kind runs. Memory follows use, and the schemas can be read
 * without any client library.
 */
export type CheckKind<S extends z.ZodType = z.ZodType> = {
  /** What the kind asks, and what makes a check degraded or down: a few sentences of Markdown for the documentation. */
  about: string
  /** Options that are valid as they stand. */
  example: z.input<S>
  /** A strict object. Each field has a description, and a default where one makes sense. */
  options: S
  measures: Readonly<Record<string, Measure>>
  /** A short name for the target, without secrets: the label `target`. */
  target(options: z.output<S>): string
  /**
   * Runs the check once. A rejection means `down`; `resultOfError` turns it into a reason and a sentence.
   * The promise settles soon after the signal aborts, and nothing stays open.
   */
  check(options: z.output<S>, context: CheckContext): Promise<CheckResult>
}

/** A kind with its options' type inferred from the schema. */
export function checkKind<S extends z.ZodType>(kind: CheckKind<S>): CheckKind<S> {
  return kind
}
