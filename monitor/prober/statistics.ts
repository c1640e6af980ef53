import type { ActionOutcome } from './actions/act.ts'
import { newDurations } from './run.ts'
import type { Slots } from './slots.ts'

/** The statistics as the prober itself writes them: the runner its delays and what it abandoned or skipped, the verdicts the rest. */
export type Statistics = ReturnType<typeof createStatistics>

/** Statistics with all counts at zero. */
export function createStatistics(slots: Pick<Slots<never>, 'running' | 'waiting'>) {
  return {
    runs: { up: 0, degraded: 0, down: 0, unknown: 0 },
    startDelays: newDurations(),
    actions: {} as Partial<Record<ActionOutcome, number>>,
    skipped: 0,
    abandoned: 0,
    get running(): number {
      return slots.running
    },
    get waiting(): number {
      return slots.waiting
    },
  }
}
