import type { Clock } from '../../shared/clock.ts'
import type { Log } from '../../shared/log.ts'
import type { CheckResult } from '../checks/kind.ts'
import type { Act } from './actions/act.ts'
import type { CheckStatus, ProbeEvent } from './check.ts'
import { reachable } from './dependencies.ts'
import type { Entry } from './entry.ts'
import { recordDuration } from './run.ts'
import type { Runner } from './runner.ts'
import { nextStart, startsBetween } from './schedule.ts'
import { afterRun, blocked, type Health, unblocked } from './state.ts'
import type { Statistics } from './statistics.ts'

/** What it takes to give verdicts. */
export type VerdictNeeds = {
  clock: Clock
  log: Log
  statistics: Statistics
  runner: Pick<Runner, 'plan' | 'runBy' | 'runSoon'>
  emit(type: ProbeEvent['type'], status: CheckStatus): void
  /** Takes an action, which ends with the signal; left out, none is taken. */
  act?: Act | undefined
  signal: AbortSignal
}

/** Says what the results of runs mean: for the check, for those that depend on it, and for what is done about it. */
export type Verdicts = {
  /** Takes in what a run saw, and plans the next one. Times are milliseconds of the monotonic clock. */
  record(entry: Entry, result: CheckResult, startedAt: number, now: number): void
  /** Blocks or unblocks it by what is above it. @returns whether that changed */
  settleDependency(entry: Entry): boolean
  /**
   * A check may have gone down while nobody led, or together with the leader. Whether the one before acted cannot be known, so this one does
   * what it was refused: once, and only for what is down still.
   */
  takeOwedActions(entries: Iterable<Entry>): void
  /** Actions under way. */
  readonly open: ReadonlySet<Promise<unknown>>
}

/** What others ask to be run, since they depend on it and fail, is run no more often than this. */
const wantedPauseMs = 1_000

/** Verdicts upon what the runner brings. */
export function createVerdicts({ clock, log, statistics, runner, emit, act, signal }: VerdictNeeds): Verdicts {
  const open = new Set<Promise<unknown>>()

  function record(entry: Entry, result: CheckResult, startedAt: number, now: number): void {
    const { status, check, grid } = entry
    const wall = clock.now()
    const seconds = (now - startedAt) / 1000
    statistics.runs[result.state]++
    recordDuration(status.durations, seconds)
    status.lastDuration = seconds
    status.finishedAt = wall
    if (result.state === 'down') status.consecutiveFailures++
    else if (result.state !== 'unknown') {
      status.consecutiveFailures = 0
      status.lastSuccessAt = wall
    }
    if (result.measurements !== undefined) status.measurements = result.measurements
    entry.heardSince = startedAt
    const doubted = result.state === 'down' ? doubtOf(entry, entry.health.failingSince ?? startedAt, now) : undefined
    const { health, rerunAt = Infinity } = afterRun(entry.health, { result, startedAt, ended: { now: wall, at: now } }, check, doubted)
    statistics.skipped += startsBetween(grid, entry.dueAt, now)
    runner.plan(entry, Math.max(now, Math.min(nextStart(grid, now), rerunAt, entry.wantedAt)))
    apply(entry, health)
    emit('finished', status)
  }

  function apply(entry: Entry, health: Health): void {
    const { status, check } = entry
    const from = status.state
    const { state, since, reason, detail } = health
    entry.health = health
    Object.assign(status, { state, since, reason, detail })
    if (from === state) return
    entry.owesActions = false
    const isConsequence = state === 'unknown' || from === 'unknown'
    const dependants = state === 'down' ? [...reachable(entry, 'below')].length : 0
    // What is up from the start is no news, and of what only follows something else there may be thousands.
    const level = state === 'down' || state === 'degraded' ? 'warn' : isConsequence ? 'debug' : 'info'
    const fields = { check: check.name, kind: check.kind, target: check.target, from, to: state, reason, detail }
    log[level]({ ...fields, ...(dependants > 0 && { dependants }) }, 'check changed')
    emit('changed', status)
    if (from === 'down' || state === 'down') propagate(entry)
    if (state === 'down') takeActions(entry)
  }

  function propagate(entry: Entry): void {
    const left = [...entry.below] as Entry[]
    for (const next of left) if (settleDependency(next)) left.push(...(next.below as Entry[]))
  }

  function settleDependency(entry: Entry): boolean {
    const above = entry.above as Entry[]
    const cause = above.find(({ health }) => health.state === 'down')?.name ?? above.find(isBlocked)?.health.blockedBy
    if (cause === entry.health.blockedBy) return false
    if (cause !== undefined) apply(entry, blocked(entry.health, cause, clock.now()))
    else {
      apply(entry, unblocked(entry.health))
      runner.runSoon(entry)
    }
    return true
  }

  /**
   * What a failing check depends on and may have failed as well: it is being retried, or it has not been heard since `since`. The latter is
   * asked to run at once.
   */
  function doubtOf(entry: Entry, since: number, now: number): string | undefined {
    let doubted: string | undefined
    for (const other of reachable(entry, 'above')) {
      if (other.health.failures > 0 && other.health.state !== 'down') doubted ??= other.name
      if (other.heardSince >= since) continue
      doubted ??= other.name
      if (other.phase === 'running' && (other.run?.startedAt ?? 0) >= since) continue
      other.wantedAt = Math.max(now, other.lastStart + wantedPauseMs)
      runner.runBy(other, other.wantedAt)
    }
    return doubted
  }

  function takeActions(entry: Entry): void {
    if (act === undefined) return
    const { check, status } = entry
    const cause = { ...status }
    for (const action of check.actions) {
      const taken = act(action, cause, signal).then(
        (outcome) => {
          statistics.actions[outcome] = (statistics.actions[outcome] ?? 0) + 1
          if (outcome === 'refused' && entry.health.state === 'down') entry.owesActions = true
        },
        (error: unknown) => log.error({ err: error, check: check.name, action: action.type }, 'an action failed in an unknown way'),
      )
      open.add(taken)
      taken.finally(() => open.delete(taken))
    }
  }

  function takeOwedActions(entries: Iterable<Entry>): void {
    for (const entry of entries) {
      if (!entry.owesActions) continue
      entry.owesActions = false
      takeActions(entry)
    }
  }

  return { record, settleDependency, takeOwedActions, open }
}

function isBlocked({ health }: Entry): boolean {
  return health.blockedBy !== undefined
}
