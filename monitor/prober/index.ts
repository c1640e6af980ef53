import type { Clock } from '../../shared/clock.ts'
import type { Leadership } from '../../shared/kubernetes/lease.ts'
import type { Log } from '../../shared/log.ts'
import { checkKindNamed } from '../checks/index.ts'
import type { CheckContext, CheckKind } from '../checks/kind.ts'
import type { Act } from './actions/act.ts'
import type { Check, CheckStatus, ProbeEvent, Prober } from './check.ts'
import { inOrder, linkChecks } from './dependencies.ts'
import { type Entry, newEntry } from './entry.ts'
import { placeOf, printOf } from './fingerprint.ts'
import { newDurations } from './run.ts'
import { createRunner } from './runner.ts'
import { gridOf } from './schedule.ts'
import { createSlots } from './slots.ts'
import { createStatistics } from './statistics.ts'
import { createVerdicts } from './verdicts.ts'

/** What a prober needs besides its checks. */
export type ProberNeeds = {
  /** What checks may use besides their options. */
  context: Omit<CheckContext, 'signal'>
  clock: Clock
  log: Log
  /** Takes an action; without it none is taken, whatever the checks say. */
  act?: Act | undefined
  /** Tells when this replica begins to lead: actions that were refused until then are due. Left out where it always leads. */
  leadership?: Pick<Leadership, 'onChange'> | undefined
  /** The kind of a name: those of monitor/checks when left out. */
  kindNamed?: ((name: string) => CheckKind | undefined) | undefined
}

/** How many checks run at the same time unless the configuration says otherwise. */
export const defaultParallelism = 64

/**
 * Runs checks, each at its interval on a grid of moments that does not drift, at most `parallelism` at once, and keeps what they saw: the
 * runner says when, the verdicts say what it means.
 */
export function createProber(
  { parallelism = defaultParallelism }: { parallelism?: number | undefined },
  { context, clock, log, act, leadership, kindNamed = checkKindNamed }: ProberNeeds,
): Prober {
  let entries = new Map<string, Entry>()
  const slots = createSlots<Entry>(parallelism)
  const statistics = createStatistics(slots)
  const listeners = new Set<(event: ProbeEvent) => void>()
  const ending = new AbortController()
  const origin = clock.monotonic()
  const runner = createRunner({ context, clock, log, slots, statistics, conclude: (...run) => verdicts.record(...run) })
  const verdicts = createVerdicts({ clock, log, statistics, runner, emit, act, signal: ending.signal })
  let forgetLeadership = () => {}

  function emit(type: ProbeEvent['type'], status: CheckStatus): void {
    for (const listener of listeners)
      try {
        listener({ type, status })
      } catch (error) {
        log.error({ err: error, check: status.check.name }, 'a listener of the prober failed')
      }
  }

  function set(checks: readonly Check[]): void {
    if (ending.signal.aborted) return
    const before = entries
    entries = new Map()
    const events: [ProbeEvent['type'], CheckStatus][] = []
    for (const check of checks) {
      if (entries.has(check.name)) {
        log.warn({ check: check.name }, 'two checks of one name, the first one runs')
        continue
      }
      const known = before.get(check.name)
      const entry = known ?? added(check)
      entries.set(check.name, entry)
      const was = known?.status
      if (known !== undefined) renew(known, check)
      if (was !== undefined && was !== entry.status) events.push(['removed', was])
      if (was !== entry.status) events.push(['added', entry.status])
    }
    for (const [name, entry] of before) {
      if (entries.has(name)) continue
      runner.drop(entry)
      events.push(['removed', entry.status])
    }
    for (const [type, status] of events) emit(type, status)
    link()
  }

  function link(): void {
    const cycles = linkChecks(entries, (node) => node.check.dependsOn)
    for (const cycle of cycles) log.warn({ cycle }, 'checks depend on each other in a circle; the last step is ignored')
    for (const entry of inOrder(entries.values())) verdicts.settleDependency(entry)
    let shortestMs: number | undefined
    for (const { check } of entries.values()) shortestMs = Math.min(shortestMs ?? Infinity, check.intervalMs + check.timeoutMs)
    runner.expectWithin(shortestMs)
  }

  function added(check: Check): Entry {
    const entry = newEntry(check, { kind: kindNamed(check.kind), origin, at: clock.monotonic(), now: clock.now() })
    runner.enter(entry)
    return entry
  }

  /** Takes the check as it is now. Its status is another object when its series or metrics are called otherwise or stand elsewhere. */
  function renew(entry: Entry, check: Check): void {
    const { check: was, status } = entry
    if (was === check) return
    entry.check = check
    if (placeOf(was) === placeOf(check)) status.check = check
    else entry.status = { ...status, check, ...(was.kind !== check.kind && { measurements: [], durations: newDurations() }) }
    if (was.intervalMs !== check.intervalMs) {
      entry.grid = gridOf(check, origin)
      if (entry.index !== -1 && entry.phase === 'idle') runner.enter(entry)
    }
    const print = printOf(check)
    if (print === entry.print) return
    entry.print = print
    entry.kind = kindNamed(check.kind)
    // What it failed of, or recovered from, was another question.
    entry.health = { ...entry.health, failures: 0, failingSince: undefined, upSince: undefined }
    if (entry.phase === 'running') runner.giveUp(entry)
    else runner.runSoon(entry)
  }

  return {
    name: 'prober',
    set,
    *statuses() {
      for (const { status } of entries.values()) yield status
    },
    status: (name) => entries.get(name)?.status,
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    stall: runner.stall,
    statistics,
    async start() {
      forgetLeadership = leadership?.onChange((leads) => leads && verdicts.takeOwedActions(entries.values())) ?? forgetLeadership
      runner.start(entries.values())
    },
    async stop(deadline) {
      ending.abort(new Error('told to stop'))
      forgetLeadership()
      await runner.stop(deadline, verdicts.open)
    },
  }
}
