import type { Clock } from '../../shared/clock.ts'
import type { Log } from '../../shared/log.ts'
import type { CheckContext, CheckKind, CheckResult } from '../checks/kind.ts'
import { CheckFailure } from '../wire/reasons.ts'
import { Alarm } from './alarm.ts'
import type { Check } from './check.ts'
import { fingerprintOf } from './fingerprint.ts'
import { withinLimits } from './response-limits.ts'
import { heldBackResult, type Outcome, overdueResult, recordDuration, resultOfError } from './run.ts'
import { firstStart, gridOf, nextStart, phaseOf, startsBetween, Timetable } from './schedule.ts'
import type { Slots } from './slots.ts'
import { lateMs, type SchedulerFacts, stallOf } from './stall.ts'
import type { Statistics } from './statistics.ts'
import { newTask, type Run, type Task } from './task.ts'

/** A run that ended. Times are milliseconds of the monotonic clock. */
export type FinishedRun = { result: CheckResult; startedAt: number; endedAt: number }

/** What a runner needs besides the checks. */
type RunnerNeeds = {
  /** What checks may use besides their options. */
  context: Omit<CheckContext, 'signal'>
  clock: Clock
  log: Log
  slots: Slots<Task>
  statistics: Statistics
  kindNamed(name: string): CheckKind | undefined
  /** Judges a run of the check of that name. @returns when it wants the next one, or Infinity if the regular one will do */
  judge(name: string, run: FinishedRun): number
}

/** How long a run may take to end after it was aborted. */
const graceMs = 1_000
/** Checks that were changed, or whose dependency is back, run again within this. */
const soonMs = 5_000
/** The shortest time between two runs of a check that failing dependants request. */
const wantedPauseMs = 1_000
/** If the process stood still for longer than this, its runs get that time in addition. */
const excusedMs = 1_000

/**
 * Starts checks when they are due, and aborts them when they time out. A check has one run at a time, and there are no more runs than
 * slots. A run that does not end within a short grace is abandoned and counted; its check does not run again until it ends.
 *
 * All times are milliseconds of the monotonic clock.
 */
export class Runner {
  readonly #needs: RunnerNeeds
  readonly #origin: number
  readonly #alarm: Alarm
  readonly #timetable = new Timetable<Task>()
  readonly #tasks = new Map<string, Task>()
  /** Tasks with a run, including those of removed checks. */
  readonly #running = new Set<Task>()
  readonly #open = new Map<Run, Promise<void>>()
  readonly #ending = new AbortController()
  #loop: Promise<void> | undefined
  #facts: Pick<SchedulerFacts, 'lastEnd' | 'shortestMs' | 'gap'>

  constructor(needs: RunnerNeeds) {
    this.#needs = needs
    this.#origin = needs.clock.monotonic()
    this.#alarm = new Alarm(needs.clock)
    this.#facts = { lastEnd: this.#origin, shortestMs: undefined, gap: undefined }
  }

  /** Replaces the checks. @returns the names of those whose kind or options changed; they run soon */
  set(checks: ReadonlyMap<string, Check>): Set<string> {
    for (const [name, task] of this.#tasks) if (!checks.has(name)) this.#drop(task)
    const changed = new Set<string>()
    for (const [name, check] of checks) {
      const task = this.#tasks.get(name)
      if (task === undefined) this.#add(check)
      else if (this.#renew(task, check)) changed.add(name)
    }
    const cycles = [...checks.values()].map(({ intervalMs, timeoutMs }) => intervalMs + timeoutMs)
    this.#facts.shortestMs = cycles.length === 0 ? undefined : cycles.reduce((a, b) => Math.min(a, b))
    this.#facts.lastEnd = this.#now()
    return changed
  }

  /** Runs a check within a few seconds, spread evenly. */
  runSoon(name: string): void {
    const task = this.#tasks.get(name)
    if (task !== undefined) this.#soon(task)
  }

  /** Runs a check now, unless its current run began at or after `since`. */
  runSince(name: string, since: number): void {
    const task = this.#tasks.get(name)
    if (task === undefined || (task.run !== undefined && task.run.startedAt >= since)) return
    task.wantedAt = Math.max(this.#now(), task.lastStart + wantedPauseMs)
    this.#runBy(task, task.wantedAt)
  }

  /** Why the results are stale; undefined if they are not. */
  stall(): string | undefined {
    if (!this.#isActive()) return undefined
    const first = this.#timetable.first()
    const waiting = this.#needs.slots.first()
    return stallOf({
      ...this.#facts,
      now: this.#now(),
      first: first && { name: first.check.name, at: first.at },
      queued: waiting && { name: waiting.check.name, since: waiting.dueAt, intervalMs: waiting.check.intervalMs },
    })
  }

  start(): void {
    this.#facts.lastEnd = this.#now()
    this.#loop = this.#alarm.run((now, late) => this.#onWake(now, late), this.#ending.signal)
    for (const task of this.#tasks.values()) this.#enter(task)
  }

  /** Resolves when every run and `work` have ended, or at the deadline. */
  async stop(deadline: number, work: Iterable<Promise<unknown>>): Promise<void> {
    const { clock } = this.#needs
    this.#ending.abort(new Error('stopping'))
    for (const { run } of this.#running) run?.controller.abort(this.#ending.signal.reason)
    await this.#loop
    const left = deadline - this.#now()
    if (left <= 0) return
    const over = new AbortController()
    await Promise.race([Promise.all([...this.#open.values(), ...work]), clock.sleep(left, over.signal).catch(() => {})])
    over.abort()
  }

  #now(): number {
    return this.#needs.clock.monotonic()
  }

  #isActive(): boolean {
    return this.#loop !== undefined && !this.#ending.signal.aborted
  }

  #isKnown(task: Task): boolean {
    return this.#tasks.get(task.check.name) === task
  }

  // When a check runs

  #plan(task: Task, at: number): void {
    this.#timetable.put(task, at)
    this.#alarm.expect(at)
  }

  #enter(task: Task): void {
    if (this.#isActive()) this.#plan(task, firstStart(task.grid, task.check.name, this.#now()))
  }

  /** Runs it at `at`, unless it is due earlier. */
  #runBy(task: Task, at: number): void {
    const isIdle = task.run === undefined && !this.#needs.slots.isWaiting(task)
    if (this.#isActive() && isIdle && at < task.at) this.#plan(task, at)
  }

  #soon(task: Task): void {
    this.#runBy(task, this.#now() + phaseOf(task.check.name) * Math.min(soonMs, task.check.intervalMs))
  }

  #onWake(now: number, late: number): number | undefined {
    if (late >= excusedMs) this.#excuse(now, late)
    for (let task = this.#timetable.first(); task !== undefined && task.at <= now; task = this.#timetable.first())
      if (task.run === undefined) this.#startDue(task, now)
      else this.#timeOut(task, task.run, now)
    return this.#timetable.first()?.at
  }

  /** While the process stood still, it could not read answers: the runs get that time in addition. */
  #excuse(now: number, ms: number): void {
    for (const task of this.#running) this.#plan(task, task.at + ms)
    if (ms < lateMs) return
    this.#facts.gap = { at: now, ms }
    this.#needs.log.warn({ ms: Math.round(ms) }, 'the monitor stood still and its results are late: check whether it lacks processor time')
  }

  #startDue(task: Task, now: number): void {
    task.dueAt = task.at
    this.#timetable.remove(task)
    // An abandoned run from before a change of the options says nothing about the new ones.
    if (task.abandoned?.aborted === 'unwanted') this.#plan(task, now + graceMs)
    else if (task.abandoned !== undefined) this.#conclude(task, { result: heldBackResult(), startedAt: now, endedAt: now })
    else if (this.#needs.slots.take(task, task.lane)) this.#begin(task)
  }

  // What happens to a check that comes, changes or goes

  #add(check: Check): void {
    const task = newTask(check, { kind: this.#needs.kindNamed(check.kind), origin: this.#origin, now: this.#now() })
    this.#tasks.set(check.name, task)
    this.#enter(task)
  }

  /** @returns whether its kind or options changed */
  #renew(task: Task, check: Check): boolean {
    const { check: was } = task
    if (was === check) return false
    task.check = check
    if (was.intervalMs !== check.intervalMs) {
      task.grid = gridOf(check, this.#origin)
      if (task.run === undefined && task.at !== Infinity) this.#enter(task)
    }
    const fingerprint = fingerprintOf(check)
    if (fingerprint === task.fingerprint) return false
    task.fingerprint = fingerprint
    task.kind = this.#needs.kindNamed(check.kind)
    if (task.run === undefined) this.#soon(task)
    else this.#giveUp(task, task.run)
    return true
  }

  #drop(task: Task): void {
    this.#tasks.delete(task.check.name)
    this.#needs.slots.forget(task)
    if (task.run === undefined) this.#timetable.remove(task)
    else this.#giveUp(task, task.run)
  }

  #giveUp(task: Task, run: Run): void {
    if (run.aborted === 'unwanted') return
    this.#abort(task, run, 'unwanted', new Error('the check was changed or removed'))
  }

  // The life of a run

  #begin(task: Task): void {
    const now = this.#now()
    const { statistics, context } = this.#needs
    const run: Run = { controller: new AbortController(), startedAt: now, lane: task.lane, aborted: undefined, isOver: false }
    recordDuration(statistics.startDelays, Math.max(0, now - task.dueAt) / 1000)
    task.run = run
    task.lastStart = now
    task.wantedAt = Infinity
    this.#running.add(task)
    this.#plan(task, now + task.check.timeoutMs)
    const settle = (outcome: Outcome) => {
      if (!run.isOver) this.#end(task, run, outcome)
      else if (task.abandoned === run) task.abandoned = undefined
      this.#open.delete(run)
    }
    const work = runOnce(task, { ...context, signal: run.controller.signal }).then(
      (result) => settle({ result }),
      (error: unknown) => settle({ error }),
    )
    this.#open.set(run, work)
  }

  #abort(task: Task, run: Run, why: Run['aborted'], reason: Error): void {
    run.aborted = why
    this.#plan(task, this.#now() + graceMs)
    run.controller.abort(reason)
  }

  #timeOut(task: Task, run: Run, now: number): void {
    if (run.aborted === undefined) this.#abort(task, run, 'overdue', new DOMException('the check timed out', 'TimeoutError'))
    else this.#abandon(task, run, now)
  }

  #abandon(task: Task, run: Run, now: number): void {
    const { statistics, log } = this.#needs
    task.abandoned = run
    this.#open.delete(run)
    statistics.abandoned++
    log.warn({ check: task.check.name, kind: task.check.kind }, 'a run did not end after it was aborted; its slot is given away')
    this.#end(task, run, undefined, now)
  }

  /** A run ended, or was abandoned, which has no outcome. */
  #end(task: Task, run: Run, outcome: Outcome | undefined, now = this.#now()): void {
    run.isOver = true
    task.run = undefined
    task.lane = run.aborted === 'overdue' ? 'slow' : 'quick'
    this.#running.delete(task)
    this.#timetable.remove(task)
    if (this.#ending.signal.aborted) return
    this.#facts.lastEnd = now
    if (this.#isKnown(task)) {
      if (run.aborted === 'unwanted') this.#soon(task)
      else this.#conclude(task, { result: resultOf(task.check, run, outcome, now - run.startedAt), startedAt: run.startedAt, endedAt: now })
    }
    const next = this.#needs.slots.free(run.lane)
    if (next !== undefined) this.#begin(next.item)
  }

  #conclude(task: Task, run: FinishedRun): void {
    const { judge, statistics } = this.#needs
    const { endedAt } = run
    const rerunAt = judge(task.check.name, run)
    if (!this.#isKnown(task)) return
    statistics.skipped += startsBetween(task.grid, task.dueAt, endedAt)
    this.#plan(task, Math.max(endedAt, Math.min(nextStart(task.grid, endedAt), rerunAt, task.wantedAt)))
  }
}

async function runOnce({ kind, check }: Task, context: CheckContext): Promise<CheckResult> {
  if (kind === undefined) throw new CheckFailure('misconfigured', `There is no kind of check called ${check.kind}.`)
  return kind.check(check.options, context)
}

function resultOf(check: Check, { aborted }: Run, outcome: Outcome | undefined, ms: number): CheckResult {
  if (aborted === 'overdue' || outcome === undefined) return overdueResult(check.timeoutMs, outcome)
  return 'result' in outcome ? withinLimits(outcome.result, ms, check) : resultOfError(outcome.error)
}
