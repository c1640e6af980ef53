import { limitConcurrency } from '../../shared/limit-concurrency.ts'
import { checkKinds } from '../checks/index.ts'
import type { CheckContext, CheckKind, CheckResult } from '../checks/kind.ts'
import type { Check, CheckStatus } from '../prober/check.ts'
import { PastRuns } from '../prober/past-runs.ts'
import { withinLimits } from '../prober/response-limits.ts'
import { newDurations, overdueResult, recordDuration, resultOfError } from '../prober/run.ts'
import { shorten } from '../wire/wording.ts'

/** The result of one run, and its duration in seconds. */
export type Outcome = { result: CheckResult; seconds: number }

/** How long a run may take to end after its abort, in milliseconds. */
const graceMs = 500

/** Runs a check once, as the prober does: it is down if it throws, or if it does not end in time. */
export async function runOnce(
  { kind: name, options, timeoutMs, ...limits }: Pick<Check, 'kind' | 'options' | 'timeoutMs' | 'degradedAfterMs' | 'downAfterMs'>,
  context: Omit<CheckContext, 'signal'>,
): Promise<Outcome> {
  const kind: CheckKind = checkKinds[name]
  const started = performance.now()
  const controller = new AbortController()
  const timeUp = Promise.withResolvers<CheckResult>()
  const timers = [
    setTimeout(() => controller.abort(new DOMException('time is up', 'TimeoutError')), timeoutMs),
    setTimeout(() => timeUp.resolve(overdueResult(timeoutMs)), timeoutMs + graceMs),
  ]
  const work = (async () => kind.check(options, { ...context, signal: controller.signal }))().catch(resultOfError)
  const found = await Promise.race([work, timeUp.promise])
  const result = { ...found, detail: shorten(found.detail) }
  for (const timer of timers) clearTimeout(timer)
  const ms = performance.now() - started
  return { result: withinLimits(result, ms, limits), seconds: ms / 1000 }
}

/**
 * Runs every check once, plus its retries if it fails, at most `parallelism` at a time. A check whose dependency is down does not run, and
 * is unknown. Resolves with the statuses in the order given.
 */
export async function runAllOnce(
  checks: readonly Check[],
  context: Omit<CheckContext, 'signal'>,
  { parallelism = 32, now = Date.now }: { parallelism?: number; now?: () => number } = {},
): Promise<CheckStatus[]> {
  const statuses = new Map<string, Promise<CheckStatus>>()
  const byName = new Map(checks.map((check) => [check.name, check]))
  const inSlot = limitConcurrency(parallelism)

  /** Dependencies have no circles: a file with one is refused. */
  function statusOf(check: Check): Promise<CheckStatus> {
    const known = statuses.get(check.name)
    if (known !== undefined) return known
    const found = look(check)
    statuses.set(check.name, found)
    return found
  }

  async function look(check: Check): Promise<CheckStatus> {
    const status = newStatus(check, now())
    for (const name of check.dependsOn) {
      const above = byName.get(name)
      const state = above && (await statusOf(above))
      if (state === undefined || (state.state !== 'down' && state.reason !== 'dependency')) continue
      return Object.assign(status, { reason: 'dependency', detail: `${name} is not up.` })
    }
    for (let tries = 0; ; tries++) {
      const { result, seconds } = await inSlot(() => runOnce(check, context))
      const { state, reason, detail, measurements = [] } = result
      recordDuration(status.durations, seconds)
      Object.assign(status, { state, reason, detail, measurements, since: now(), finishedAt: now(), lastDuration: seconds })
      if (state === 'unknown') return status
      if (state !== 'down') return Object.assign(status, { consecutiveFailures: 0, lastSuccessAt: now() })
      status.consecutiveFailures++
      if (tries >= check.retries) return status
      await new Promise((resolve) => setTimeout(resolve, check.retryDelayMs))
    }
  }
  return Promise.all(checks.map(statusOf))
}

function newStatus(check: Check, since: number): CheckStatus {
  return {
    check,
    state: 'unknown',
    since,
    detail: '',
    measurements: [],
    consecutiveFailures: 0,
    durations: newDurations(),
    past: new PastRuns(),
  }
}
