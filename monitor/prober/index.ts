import type { Clock } from '../../shared/clock.ts'
import type { Leadership } from '../../shared/kubernetes/lease.ts'
import type { Log } from '../../shared/log.ts'
import { checkKindNamed } from '../checks/index.ts'
import type { CheckContext, CheckKind } from '../checks/kind.ts'
import type { Act } from './actions/act.ts'
import type { Check, CheckStatus, ProbeEvent, Prober } from './check.ts'
import { Runner } from './runner.ts'
import { createSlots } from './slots.ts'
import { createStatistics } from './statistics.ts'
import type { Task } from './task.ts'
import { Verdicts } from './verdicts.ts'

/** What a prober needs besides the checks. */
export type ProberNeeds = {
  /** What checks may use besides their options. */
  context: Omit<CheckContext, 'signal'>
  clock: Clock
  log: Log
  /** Takes an action. Without it no action is taken, whatever the checks ask for. */
  act?: Act | undefined
  /** Whether this replica leads; when it begins to, the actions that were refused are due. Left out where it always leads. */
  leadership?: Pick<Leadership, 'onChange'> | undefined
  /** The kind of a name: those of monitor/checks when left out. */
  kindNamed?: ((name: string) => CheckKind | undefined) | undefined
}

/** The default number of checks that run at the same time. */
const defaultParallelism = 64

/**
 * Runs checks, at most `parallelism` at once, and keeps their results. The runner decides when a check runs, the verdicts what its result
 * means.
 */
export function createProber(
  { parallelism = defaultParallelism }: { parallelism?: number | undefined },
  { context, clock, log, act, leadership, kindNamed = checkKindNamed }: ProberNeeds,
): Prober {
  const slots = createSlots<Task>(parallelism)
  const statistics = createStatistics(slots)
  const listeners = new Set<(event: ProbeEvent) => void>()
  const ending = new AbortController()
  const runner = new Runner({ context, clock, log, slots, statistics, kindNamed, judge: (name, run) => verdicts.judge(name, run) })
  const verdicts = new Verdicts({ clock, log, statistics, runner, emit, act, signal: ending.signal })
  let forgetLeadership = () => {}

  function emit(type: ProbeEvent['type'], status: CheckStatus): void {
    for (const listener of listeners)
      try {
        listener({ type, status })
      } catch (error) {
        log.error({ err: error, check: status.check.name }, 'a listener of the prober failed')
      }
  }

  return {
    name: 'prober',
    set(checks) {
      if (ending.signal.aborted) return
      const unique = new Map<string, Check>()
      for (const check of checks)
        if (unique.has(check.name)) log.warn({ check: check.name }, 'two checks have the same name; the first one runs')
        else unique.set(check.name, check)
      verdicts.set(unique, runner.set(unique))
    },
    statuses: () => verdicts.statuses(),
    status: (name) => verdicts.status(name),
    refresh: (name) => runner.runSince(name, clock.monotonic()),
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    stall: () => runner.stall(),
    statistics,
    async start() {
      forgetLeadership = leadership?.onChange((leads) => leads && verdicts.takeOwedActions()) ?? forgetLeadership
      runner.start()
    },
    async stop(deadline) {
      ending.abort(new Error('stopping'))
      forgetLeadership()
      await runner.stop(deadline, verdicts.acting)
    },
  }
}
