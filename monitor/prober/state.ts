import type { CheckResult } from '../checks/kind.ts'
import type { Reason } from '../wire/reasons.ts'
import { shorten } from '../wire/wording.ts'
import type { Check, ProbeState } from './check.ts'

/** What the runs of a check came to so far. */
export type Health = {
  readonly state: ProbeState
  /** When it took that state: Unix time in milliseconds. */
  readonly since: number
  readonly reason: Reason | 'dependency' | undefined
  readonly detail: string
  /** Failed runs without another between them. */
  readonly failures: number
  /** When the first of these began, by the monotonic clock. */
  readonly failingSince: number | undefined
  /** Since when it is up without being called so, by the monotonic clock. */
  readonly upSince: number | undefined
  /** It was down and has not been called up since. */
  readonly wasDown: boolean
  /** The check that is down and on which this one depends, directly or through others. */
  readonly blockedBy: string | undefined
}

/** A moment, by both clocks: `now` in Unix milliseconds, `at` of the monotonic one. */
export type Moment = { now: number; at: number }

/** A run that ended. */
export type EndedRun = { result: CheckResult; startedAt: number; ended: Moment }

/** How a check is judged. */
export type Policy = Pick<Check, 'retries' | 'retryDelayMs' | 'recoveryDelayMs'>

/** What the runs come to now, and when the next one is wanted, if that is before the regular one. */
export type Judgement = { health: Health; rerunAt?: number | undefined }

/** A check that was just added. */
export function newHealth(now: number): Health {
  return {
    state: 'unknown',
    since: now,
    reason: undefined,
    detail: 'It has not run yet.',
    failures: 0,
    failingSince: undefined,
    upSince: undefined,
    wasDown: false,
    blockedBy: undefined,
  }
}

/** For so long at most, a check is not called down since what it depends on has not been heard. */
export const longestDoubtMs = 120_000
const doubtPauseMs = 1_000

/**
 * What a run makes of it. Pure.
 * - A failed run is repeated; only when all retries failed too, it is down.
 * - It is not down as long as something that it depends on is in doubt (named by `doubted`): that may be what is down.
 * - After it was down, it must be up for the recovery delay. Degraded counts at once, but it is no recovery.
 * - A run that could not know makes it unknown at once. What failed before is forgotten, what was down is still to recover.
 * - While something that it depends on is down, it stays unknown whatever it saw.
 */
export function afterRun(before: Health, { result, startedAt, ended }: EndedRun, policy: Policy, doubted?: string | undefined): Judgement {
  if (before.blockedBy !== undefined) return { health: before }
  // Why nothing was known is over with the first run that saw something, whenever that becomes its state.
  const health = before.state === 'unknown' ? { ...before, reason: undefined } : before
  if (result.state === 'up') return afterUp(health, result, policy, ended)
  const failing = { upSince: undefined, failures: health.failures + 1, failingSince: health.failingSince ?? startedAt }
  if (result.state === 'degraded' || result.state === 'unknown')
    return { health: entered({ ...health, upSince: undefined, failures: 0, failingSince: undefined }, result, ended.now) }
  if (health.state === 'down' || (failing.failures > policy.retries && doubted === undefined))
    return { health: entered({ ...health, ...failing, wasDown: true }, result, ended.now) }
  if (failing.failures <= policy.retries)
    return {
      health: { ...health, ...failing, detail: shorten(`Failed ${failing.failures} of ${policy.retries + 1} times: ${result.detail}`) },
      rerunAt: ended.at + policy.retryDelayMs,
    }
  if (ended.at - failing.failingSince >= longestDoubtMs)
    return { health: entered({ ...health, ...failing, wasDown: true }, result, ended.now) }
  return {
    health: { ...health, ...failing, detail: shorten(`Failed, and so may ${doubted} have, on which it depends: ${result.detail}`) },
    rerunAt: ended.at + Math.max(doubtPauseMs, policy.retryDelayMs),
  }
}

function afterUp(health: Health, result: CheckResult, { recoveryDelayMs }: Policy, { now, at }: Moment): Judgement {
  const good = { ...health, failures: 0, failingSince: undefined }
  if (!health.wasDown) return { health: entered({ ...good, upSince: undefined }, result, now) }
  const upSince = health.upSince ?? at
  if (at - upSince >= recoveryDelayMs) return { health: entered({ ...good, upSince: undefined, wasDown: false }, result, now) }
  const detail = shorten(`Up again, but not yet for ${Math.ceil(recoveryDelayMs / 1000)} s: ${result.detail}`)
  return { health: { ...good, upSince, detail }, rerunAt: upSince + recoveryDelayMs }
}

function entered(health: Health, { state, reason, detail }: CheckResult, now: number): Health {
  return {
    ...health,
    state,
    reason: state === 'up' ? undefined : (reason ?? 'error'),
    detail,
    since: health.state === state ? health.since : now,
  }
}

/** It depends on a check that is down: nothing is known of it. Its failures so far may have come from that, so they don't count. */
export function blocked(health: Health, by: string, now: number): Health {
  return {
    ...health,
    state: 'unknown',
    since: health.state === 'unknown' ? health.since : now,
    reason: 'dependency',
    detail: shorten(`It depends on ${by}, which is down.`),
    failures: 0,
    failingSince: undefined,
    upSince: undefined,
    blockedBy: by,
  }
}

/** What it depends on is back. It stays unknown until it has run, which should be soon. */
export function unblocked(health: Health): Health {
  if (health.blockedBy === undefined) return health
  return { ...health, reason: undefined, detail: shorten(`It has not run since ${health.blockedBy} was down.`), blockedBy: undefined }
}
