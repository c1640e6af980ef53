import type { CheckState } from '../../../monitor/checks/kind.ts'
import type { Check, CheckStatus } from '../../../monitor/prober/check.ts'
import { PastRuns } from '../../../monitor/prober/past-runs.ts'
import { statusOf } from '../metrics/endpoint-in-hand.ts'

/** A check that has run, whose last runs saw these states. @param agoMs how long ago the last one ended */
export function ranStatus(
  check: Partial<Check>,
  { states, agoMs = 5_000, detail = 'status 200', ...status }: Partial<CheckStatus> & { states: readonly CheckState[]; agoMs?: number },
): CheckStatus {
  const past = new PastRuns()
  const interval = check.intervalMs ?? 30_000
  const end = Date.now() - agoMs
  for (const [index, state] of states.entries()) {
    const back = (states.length - 1 - index) * interval
    const reason = state === 'up' ? undefined : 'timeout'
    past.add({ at: end - back, state, seconds: 0.035, reason, detail }, performance.now() - agoMs - back)
  }
  const state = states.at(-1) ?? 'unknown'
  return statusOf(check, { state, since: end - 3_600_000, finishedAt: end, lastDuration: 0.035, detail, past, ...status })
}

const kinds = ['http', 'tcp', 'postgresql', 'dns', 'redis'] as const

/** That many checks as a region may have them: most are up, some are not. */
export function manyChecks(number: number): CheckStatus[] {
  return Array.from({ length: number }, (_, index) => {
    const kind = kinds[index % kinds.length] as (typeof kinds)[number]
    const name = `site ${Math.floor(index / 40)}/${kind}/${index}`
    const target = kind === 'http' ? `https://service-${index}.harbour.example.net/healthz` : `host-${index}.harbour.example.net:5432`
    const check: Partial<Check> = { name, kind, target, severity: index % 7 === 0 ? 'critical' : 'warning' }
    const ups = Array.from({ length: 20 }, () => 'up' as const)
    if (index % 250 === 3)
      return ranStatus(check, {
        states: [...ups.slice(0, 15), 'down', 'down', 'down', 'down', 'down'],
        reason: 'connection_refused',
        detail: 'Nothing listens on that port. Check that the service is running, and that host and port are right.',
        since: Date.now() - 240_000,
      })
    if (index % 200 === 11)
      return ranStatus(check, {
        states: [...ups.slice(0, 12), 'degraded', 'up', 'degraded', 'degraded', 'up', 'degraded', 'degraded', 'degraded'],
        reason: 'expiring',
        detail: 'The certificate of service-11.harbour.example.net expires in 9 days. Renew it.',
      })
    if (index % 500 === 17) return ranStatus(check, { states: ups, agoMs: 20 * 60_000 })
    if (index % 300 === 29)
      return ranStatus(check, {
        states: [...ups.slice(0, 17), 'up', 'up'],
        state: 'unknown',
        reason: 'dependency',
        detail: 'It depends on gateway, which is down.',
      })
    if (index % 333 === 40) return statusOf(check, { detail: 'It has not run yet.', since: Date.now() - 2_000 })
    return ranStatus(check, {
      states: index % 10 === 5 ? [...ups.slice(0, 9), 'down', 'up', 'up'] : ups,
      since: Date.now() - (index + 1) * 500_000,
    })
  })
}
