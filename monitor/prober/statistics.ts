import type { CheckState } from '../checks/kind.ts'
import type { ActionOutcome } from './actions/act.ts'
import type { Durations, ProberNumbers } from './check.ts'
import { newDurations } from './run.ts'
import type { Slots } from './slots.ts'

/** What a prober counts. */
export type Counters = {
  startDelays: Durations
  skipped: number
  abandoned: number
  ran(state: CheckState): void
  acted(outcome: ActionOutcome): void
}

/** Counters at nought, and what others see of them. */
export function createNumbers(slots: Pick<Slots<never>, 'running' | 'waiting'>): { counters: Counters; numbers: ProberNumbers } {
  let runs = 0
  const byState = { up: 0, degraded: 0, down: 0, unknown: 0 }
  const actions: Record<string, number> = {}
  const counters: Counters = {
    startDelays: newDurations(),
    skipped: 0,
    abandoned: 0,
    ran(state) {
      runs++
      byState[state]++
    },
    acted(outcome) {
      actions[outcome] = (actions[outcome] ?? 0) + 1
    },
  }
  const numbers = {
    byState,
    actions,
    startDelays: counters.startDelays,
    get runs() {
      return runs
    },
    get running() {
      return slots.running
    },
    get waiting() {
      return slots.waiting
    },
    get skipped() {
      return counters.skipped
    },
    get abandoned() {
      return counters.abandoned
    },
  }
  return { counters, numbers }
}
