import type { CheckState } from '../checks/kind.ts'
import type { CheckStatus } from '../prober/check.ts'

/** A state as it is shown. `stale`: the check was not heard of lately, so that its last state says nothing about now. */
export type ShownState = CheckState | 'stale'

/** The states as they are shown, the worst first. */
export const shownStates = ['down', 'stale', 'degraded', 'unknown', 'up'] as const satisfies ShownState[]

/** Words for the states. */
export const stateWords: Record<ShownState, string> = { down: 'Down', stale: 'Stale', degraded: 'Degraded', unknown: 'Unknown', up: 'Up' }

/** Runs may wait for a slot, and the last one may have been retried. */
const slackMs = 10_000

/** A check with what the page says of it. */
export type Shown = { status: CheckStatus; state: ShownState; ageMs: number | undefined }

/**
 * A check as it is shown. Its age is that of its last run, by the monotonic clock.
 * @param at the monotonic clock, in milliseconds
 */
export function shownOf(status: CheckStatus, at: number): Shown {
  const { heardAt } = status.past
  const ageMs = heardAt === undefined ? undefined : Math.max(0, at - heardAt)
  const { intervalMs, timeoutMs } = status.check
  const isStale = ageMs !== undefined && ageMs > 2 * intervalMs + timeoutMs + slackMs
  return { status, state: isStale ? 'stale' : status.state, ageMs }
}

const severities = ['critical', 'warning', 'info'] as const

/** The worst first: by state, then by severity, then by name. */
export function worstFirst(all: Shown[]): Shown[] {
  const rank = ({ state, status }: Shown) => shownStates.indexOf(state) * severities.length + severities.indexOf(status.check.severity)
  return all
    .map((shown) => ({ shown, rank: rank(shown), name: sortable(shown.status.check.name) }))
    .sort((a, b) => a.rank - b.rank || (a.name < b.name ? -1 : 1))
    .map(({ shown }) => shown)
}

/** A name of which the text order is that of people: `host 9` before `host 10`. */
function sortable(name: string): string {
  return name.replace(/\d+/g, (digits) => digits.padStart(12, '0'))
}

/** How many checks are in each state. */
export function countStates(all: readonly Shown[]): Record<ShownState, number> {
  const counts = { down: 0, stale: 0, degraded: 0, unknown: 0, up: 0 }
  for (const { state } of all) counts[state]++
  return counts
}
