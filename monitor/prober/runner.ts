import type { Clock } from '../../shared/clock.ts'
import type { Log } from '../../shared/log.ts'
import type { CheckContext, CheckKind, CheckResult } from '../checks/kind.ts'
import { CheckFailure } from '../wire/reasons.ts'
import type { Check } from './check.ts'
import type { Entry, Run } from './entry.ts'
import { heldBackResult, overdueResult, recordDuration, resultOfError } from './run.ts'
import { createTimetable, firstStart, phaseOf } from './schedule.ts'
import type { Lane, Slots } from './slots.ts'
import { lateMs, stallOf } from './stall.ts'
import type { Statistics } from './statistics.ts'

/** What a runner needs besides what it is given to run. */
export type RunnerNeeds = {
  /** What checks may use besides their options. */
  context: Omit<CheckContext, 'signal'>
  clock: Clock
  log: Log
  slots: Slots<Entry>
  statistics: Statistics
  /** Takes what a run that began at `startedAt` saw, and plans the next one. */
  conclude(entry: Entry, result: CheckResult, startedAt: number, now: number): void
}

/** Starts checks when they are due and ends them when their time is up. All times are milliseconds of the monotonic clock. */
export type Runner = {
  /** Puts a check that is new, or whose interval is, on its grid; before the start nothing is on it. */
  enter(entry: Entry): void
  plan(entry: Entry, at: number): void
  /** Runs it at `at` unless it runs before that anyway. */
  runBy(entry: Entry, at: number): void
  /** Runs it within a few seconds, spread evenly. */
  runSoon(entry: Entry): void
  /** Ends the run under way, whose result nobody wants any more. */
  giveUp(entry: Entry): void
  /** Lets a check go, whatever it is at. */
  drop(entry: Entry): void
  /** The quickest check at its slowest takes so long from start to end, counted from now; undefined if there are no checks. */
  expectWithin(ms: number | undefined): void
  /** Why the results are not to be believed; undefined if they are. */
  stall(): string | undefined
  start(entries: Iterable<Entry>): void
  /** Resolves when every run has ended and the work given has, or at the deadline. */
  stop(deadline: number, work: Iterable<Promise<unknown>>): Promise<void>
}

type Outcome = { result: CheckResult } | { error: unknown }

/** How long a run may take to end after it was told to. */
const graceMs = 1_000
/** The longest sleep, so that a process that stood still notices it soon. */
const beatMs = 1_000
/** Checks that were changed, or whose dependency is back, run again within this. */
const soonMs = 5_000
/** A pause of the process from which on it is held against nobody that its time was up. */
const excusedMs = 1_000

/**
 * Runs each check when its moment has come: none twice at a time, and no more at once than there are slots. A run that goes on when its
 * time is up is left alone after a short grace, counted, and keeps its check from running until it ends.
 */
export function createRunner({ context, clock, log, slots, statistics, conclude }: RunnerNeeds): Runner {
  const timetable = createTimetable<Entry>()
  const underWay = new Set<Entry>()
  const open = new Set<Promise<unknown>>()
  const ending = new AbortController()
  let wake = new AbortController()
  /** When the next sleep ends; nobody needs to be woken while nobody sleeps. */
  let wakeAt = -Infinity
  let isStarted = false
  let lastEnd = clock.monotonic()
  let shortestMs: number | undefined
  let gap: { at: number; ms: number } | undefined
  let driving = Promise.resolve()

  // When

  function plan(entry: Entry, at: number): void {
    timetable.put(entry, at)
    if (at < wakeAt) wake.abort()
  }

  function enter(entry: Entry): void {
    if (isStarted) plan(entry, firstStart(entry.grid, entry.name, clock.monotonic()))
  }

  function runBy(entry: Entry, at: number): void {
    if (isStarted && entry.phase === 'idle' && (entry.index === -1 || at < entry.at)) plan(entry, at)
  }

  function runSoon(entry: Entry): void {
    runBy(entry, clock.monotonic() + phaseOf(entry.name) * Math.min(soonMs, entry.check.intervalMs))
  }

  async function drive(): Promise<void> {
    let beat = clock.monotonic()
    let planned = 0
    while (!ending.signal.aborted) {
      const now = clock.monotonic()
      noticeGap(now, now - beat - planned)
      beat = now
      for (let next = timetable.first(); next !== undefined && next.at <= now; next = timetable.first()) fallDue(next, now)
      const first = timetable.first()
      planned = first === undefined ? beatMs : Math.min(beatMs, Math.max(0, first.at - clock.monotonic()))
      wakeAt = clock.monotonic() + planned
      await clock.sleep(Math.ceil(planned), wake.signal).catch(() => {})
      wakeAt = -Infinity
      if (wake.signal.aborted) wake = new AbortController()
    }
  }

  /** While the process stood still nobody read the answers: those who are waited for get that time back. */
  function noticeGap(now: number, ms: number): void {
    if (ms < excusedMs) return
    for (const entry of underWay) plan(entry, entry.at + ms)
    if (ms < lateMs) return
    gap = { at: now, ms }
    log.warn({ ms: Math.round(ms) }, 'the monitor stood still, its results are late: see whether it is starved of processor time')
  }

  function fallDue(entry: Entry, now: number): void {
    if (entry.phase === 'running') {
      patienceEnds(entry, now)
      return
    }
    entry.dueAt = entry.at
    timetable.remove(entry)
    const lane = entry.hung ? 'slow' : 'quick'
    // One that was only in the way of changed options says nothing about what they ask for.
    if (entry.abandoned?.isUnwanted) plan(entry, now + graceMs)
    else if (entry.abandoned !== undefined) conclude(entry, heldBackResult(), now, now)
    else if (slots.take(entry, lane)) begin(entry, lane)
    else entry.phase = 'queued'
  }

  // From begin to end

  function begin(entry: Entry, lane: Lane): void {
    const now = clock.monotonic()
    const { check, kind } = entry
    const controller = new AbortController()
    recordDuration(statistics.startDelays, Math.max(0, now - entry.dueAt) / 1000)
    entry.phase = 'running'
    entry.lastStart = now
    entry.wantedAt = Infinity
    underWay.add(entry)
    plan(entry, now + check.timeoutMs)
    const settled = (outcome: Outcome) => {
      if (!run.isOver) end(entry, run, outcome)
      else if (entry.abandoned === run) entry.abandoned = undefined
    }
    const work = runOnce(kind, check, controller.signal).then(
      (result) => settled({ result }),
      (error: unknown) => settled({ error }),
    )
    const run: Run = { controller, startedAt: now, lane, isOverdue: false, isUnwanted: false, isOver: false, work }
    entry.run = run
    open.add(work)
    work.finally(() => open.delete(work))
  }

  async function runOnce(kind: CheckKind | undefined, { kind: name, options }: Check, signal: AbortSignal): Promise<CheckResult> {
    if (kind === undefined) throw new CheckFailure('misconfigured', `There is no kind of check called ${name}.`)
    return kind.check(options, { ...context, signal })
  }

  function giveUp(entry: Entry): void {
    const { run } = entry
    if (run === undefined || run.isUnwanted) return
    run.isUnwanted = true
    plan(entry, clock.monotonic() + graceMs)
    run.controller.abort(new Error('the check was changed or removed'))
  }

  function drop(entry: Entry): void {
    entry.isGone = true
    if (entry.phase === 'running') giveUp(entry)
    else {
      timetable.remove(entry)
      slots.forget(entry)
    }
  }

  function patienceEnds(entry: Entry, now: number): void {
    const run = entry.run as Run
    if (!run.isOverdue && !run.isUnwanted) {
      run.isOverdue = true
      plan(entry, now + graceMs)
      run.controller.abort(new DOMException('The time of the check is up', 'TimeoutError'))
      return
    }
    entry.abandoned = run
    open.delete(run.work)
    statistics.abandoned++
    log.warn({ check: entry.name, kind: entry.check.kind }, 'a run did not end when it was told to, its slot is given away')
    end(entry, run, undefined)
  }

  /** A run ended, or was abandoned, which is without an outcome. */
  function end(entry: Entry, run: Run, outcome: Outcome | undefined): void {
    const now = clock.monotonic()
    run.isOver = true
    entry.run = undefined
    entry.phase = 'idle'
    entry.hung = run.isOverdue
    underWay.delete(entry)
    timetable.remove(entry)
    if (!ending.signal.aborted) {
      lastEnd = now
      if (!entry.isGone) {
        if (run.isUnwanted) runSoon(entry)
        else conclude(entry, resultOf(entry, run, outcome), run.startedAt, now)
      }
    }
    const next = slots.free(run.lane)
    if (next !== undefined && !ending.signal.aborted) begin(next.item, next.lane)
  }

  function resultOf({ check }: Entry, { isOverdue }: Run, outcome: Outcome | undefined): CheckResult {
    if (isOverdue || outcome === undefined) return overdueResult(check.timeoutMs, outcome)
    return 'result' in outcome ? outcome.result : resultOfError(outcome.error)
  }

  return {
    enter,
    plan,
    runBy,
    runSoon,
    giveUp,
    drop,
    expectWithin(ms) {
      shortestMs = ms
      lastEnd = clock.monotonic()
    },
    stall() {
      if (!isStarted || ending.signal.aborted) return undefined
      const waiting = slots.first()
      const queued = waiting && { name: waiting.name, since: waiting.dueAt, intervalMs: waiting.check.intervalMs }
      return stallOf({ now: clock.monotonic(), first: timetable.first(), queued, lastEnd, shortestMs, gap })
    },
    start(entries) {
      isStarted = true
      lastEnd = clock.monotonic()
      for (const entry of entries) enter(entry)
      driving = drive()
    },
    async stop(deadline, work) {
      ending.abort(new Error('told to stop'))
      wake.abort()
      for (const { run } of underWay) run?.controller.abort(ending.signal.reason)
      await driving
      const left = deadline - clock.monotonic()
      if (left <= 0) return
      const over = new AbortController()
      await Promise.race([Promise.all([...open, ...work]), clock.sleep(left, over.signal).catch(() => {})])
      over.abort()
    },
  }
}
