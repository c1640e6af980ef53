import type { CheckResult } from '../checks/kind.ts'
import type { CheckStatus } from '../prober/check.ts'

/** The result of one run for programs, as docs/monitoring.md describes it. Fields without a value are left out. */
export function resultAsJson({ state, reason, detail, measurements = [] }: CheckResult, seconds: number) {
  return { state, reason, detail, durationSeconds: seconds, measurements }
}

/** Checks for programs, as docs/monitoring.md describes them: one JSON object. A check that did not run has neither a time nor a duration. */
export function checksAsJson(statuses: readonly CheckStatus[]): string {
  const summary = { total: statuses.length, up: 0, degraded: 0, down: 0, unknown: 0 }
  for (const { state } of statuses) summary[state]++
  return `${JSON.stringify({ summary, checks: statuses.map(asJson) })}\n`
}

function asJson({ check, state, reason, detail, measurements, finishedAt, lastDuration, consecutiveFailures }: CheckStatus) {
  const { name, kind, target, group, severity, labels } = check
  return {
    name,
    kind,
    target,
    group,
    severity,
    labels,
    state,
    reason,
    detail,
    failures: consecutiveFailures,
    ...(finishedAt !== undefined && { finishedAt: new Date(finishedAt).toISOString() }),
    durationSeconds: lastDuration,
    measurements,
  }
}
