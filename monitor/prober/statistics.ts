import type { CheckState } from '../checks/kind.ts'
import type { ActionOutcome } from './actions/act.ts'
import type { ProberStatistics } from './check.ts'
import { newDurations } from './run.ts'
import type { Slots } from './slots.ts'

/** The statistics as the prober itself writes them: the runner its delays and what it abandoned or skipped, the verdicts the rest. */
export type Statistics = ProberStatistics & {
  runs: Record<CheckState, number>
  actions: Partial<Record<ActionOutcome, number>>
  skipped: number
  abandoned: number
}

/** Statistics with all counts at zero. */
export function createStatistics(slots: Pick<Slots<never>, 'running' | 'waiting'>): Statistics {
  return {
    runs: { up: 0, degraded: 0, down: 0, unknown: 0 },
    startDelays: newDurations(),
    actions: {},
    skipped: 0,
    abandoned: 0,
    get running() {
      return slots.running
    },
    get waiting() {
      return slots.waiting
    },
  }
}
