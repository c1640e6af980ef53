import type { CheckState } from '../checks/kind.ts'
import type { CheckStatus } from '../prober/check.ts'
import type { SparkplugCounters } from '../sparkplug/counters.ts'

/** A summary on one line: `12 checks: 11 up, 1 down (website); born on mqtt://…`. For `systemctl status`. */
export function statusText(statuses: Iterable<CheckStatus>, sparkplug: Readonly<SparkplugCounters> | undefined): string {
  const counts = new Map<CheckState, number>()
  const down: string[] = []
  let all = 0
  for (const { state, check } of statuses) {
    all++
    counts.set(state, (counts.get(state) ?? 0) + 1)
    if (state === 'down') down.push(check.name)
  }
  const words = (['up', 'degraded', 'down', 'unknown'] as const).flatMap((state) =>
    counts.has(state) ? [`${counts.get(state)} ${state}`] : [],
  )
  const named = down.length === 0 ? '' : ` (${down.slice(0, 3).join(', ')}${down.length > 3 ? ', …' : ''})`
  const checks = all === 0 ? 'no checks' : `${all} ${all === 1 ? 'check' : 'checks'}: ${words.join(', ')}${named}`
  if (sparkplug === undefined) return checks
  return `${checks}; ${sparkplug.isOnline ? `born on ${sparkplug.server}` : 'not born on any MQTT server'}`
}
