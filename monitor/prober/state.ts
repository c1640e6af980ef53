import type { CheckResult, CheckState } from '../checks/kind.ts'
import type { Reason } from '../wire/reasons.ts'
import { shorten } from '../wire/wording.ts'
import type { Check } from './check.ts'

/** The health of a check after its runs so far. */
export type Health = {
  readonly state: CheckState
  /** When it entered that state: Unix time in milliseconds. */
  readonly since: number
  readonly reason: Reason | 'dependency' | undefined
  readonly detail: string
  /** Failed runs in succession. */
  readonly failures: number
  /** When the first of them began, by the monotonic clock. */
  readonly failingSince: number | undefined
  /** When its recovery began, by the monotonic clock. */
  readonly upSince: number | undefined
  /** It was down and has not recovered. */
  readonly wasDown: boolean
  /** The check that is down and on which this one depends, directly or indirectly. */
  readonly blockedBy: string | undefined
}

/** A moment, by both clocks: `now` in Unix milliseconds, `at` of the monotonic one. */
type Moment = { now: number; at: number }

/** A run that ended. */
type EndedRun = { result: CheckResult; startedAt: number; ended: Moment }

/** How a check is judged. */
export type Policy = Pick<Check, 'retries' | 'retryDelayMs' | 'recoveryDelayMs'>

/** The health after a run, and when the next run is wanted, if that is before the regular one. */
type Judgement = { health: Health; rerunAt?: number | undefined }

/** The health of a new check. */
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

/** The longest time for which a failing check is not down because a check that it depends on is in doubt. */
export const longestDoubtMs = 120_000
const doubtPauseMs = 1_000

/**
 * The health after a run. Pure.
 * - A failed run is repeated; the check is down only after all retries failed too.
 * - It is not down while a check that it depends on is in doubt (named by `doubted`), which may be the one that is down.
 * - After it was down, it must be up for the recovery delay. It is degraded at once, but that is no recovery.
 * - A run that could not know makes it unknown at once. Failures before that no longer count, and a recovery is still due.
 * - While a check that it depends on is down, it stays unknown whatever the run saw.
 */
export function afterRun(before: Health, { result, startedAt, ended }: EndedRun, policy: Policy, doubted?: string | undefined): Judgement {
  if (before.blockedBy !== undefined) return { health: before }
  // The first run that saw something ends the reason for being unknown, even where the state follows later.
  const health = before.state === 'unknown' ? { ...before, reason: undefined } : before
  switch (result.state) {
    case 'up':
      return afterUp(health, result, policy, ended)
    case 'degraded':
    case 'unknown':
      return { health: entered(withoutFailures(health), result, ended.now) }
    case 'down':
      return afterFailure(health, { result, startedAt, ended }, policy, doubted)
  }
}

function afterFailure(health: Health, { result, startedAt, ended }: EndedRun, policy: Policy, doubted: string | undefined): Judgement {
  const { retries, retryDelayMs } = policy
  const failures = health.failures + 1
  const failingSince = health.failingSince ?? startedAt
  const failing = { ...health, upSince: undefined, failures, failingSince }
  if (health.state !== 'down' && failures <= retries) {
    const detail = shorten(`Failed ${failures} of ${retries + 1} times: ${result.detail}`)
    return { health: { ...failing, detail }, rerunAt: ended.at + retryDelayMs }
  }
  if (health.state === 'down' || doubted === undefined || ended.at - failingSince >= longestDoubtMs)
    return { health: entered({ ...failing, wasDown: true }, result, ended.now) }
  const detail = shorten(`Failed, and ${doubted}, on which it depends, may have failed too: ${result.detail}`)
  return { health: { ...failing, detail }, rerunAt: ended.at + Math.max(doubtPauseMs, retryDelayMs) }
}

/** The same health without the failures and the recovery under way. */
export function withoutFailures(health: Health): Health {
  return { ...health, failures: 0, failingSince: undefined, upSince: undefined }
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
    // A kind may have put foreign text into it as it came.
    detail: shorten(detail),
    since: health.state === state ? health.since : now,
  }
}

/** The health of a check that depends on a check that is down, which may have caused its failures too: they no longer count. */
export function blocked(health: Health, by: string, now: number): Health {
  return {
    ...withoutFailures(health),
    state: 'unknown',
    since: health.state === 'unknown' ? health.since : now,
    reason: 'dependency',
    detail: shorten(`It depends on ${by}, which is down.`),
    blockedBy: by,
  }
}

/** The health of a check whose dependencies are back. It stays unknown until it has run, which should be soon. */
export function unblocked(health: Health): Health {
  if (health.blockedBy === undefined) return health
  return { ...health, reason: undefined, detail: shorten(`It has not run since ${health.blockedBy} was down.`), blockedBy: undefined }
}
