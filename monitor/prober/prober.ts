import type { Clock } from '../../shared/clock.ts'
import type { Leadership } from '../../shared/kubernetes/lease.ts'
import type { Log } from '../../shared/log.ts'
import { checkKindNamed } from '../checks/index.ts'
import type { CheckContext, CheckKind, CheckResult } from '../checks/kind.ts'
import { CheckFailure, resultOfError } from '../checks/reasons.ts'
import type { Act } from './actions/action.ts'
import type { Check, CheckStatus, ProbeEvent, Prober } from './check.ts'
import { inOrder, linkChecks, reachable } from './dependencies.ts'
import { type Entry, newEntry, type Run } from './entry.ts'
import { createNumbers } from './numbers.ts'
import { placeOf, printOf } from './print.ts'
import { heldBackResult, newDurations, overdueResult, recordDuration } from './run.ts'
import { createTimetable, firstStart, gridOf, nextStart, phaseOf, startsBetween } from './schedule.ts'
import { createSlots, type Lane } from './slots.ts'
import { lateMs, stallOf } from './stall.ts'
import { afterRun, blocked, type Health, unblocked } from './state.ts'

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

type Outcome = { result: CheckResult } | { error: unknown }

/** How long a run may take to end after it was told to. */
const graceMs = 1_000
/** The longest sleep, so that a process that stood still notices it soon. */
const beatMs = 1_000
/** Checks that were changed, or whose dependency is back, run again within this, spread evenly. */
const soonMs = 5_000
/** What others ask to be run, since they depend on it and fail, is run no more often than this. */
const wantedPauseMs = 1_000
/** A pause of the process from which on it is held against nobody that its time was up. */
const excusedMs = 1_000

/**
 * Runs checks: each at its interval, on a grid of moments that does not drift; none twice at a time; at most `parallelism` at once. A run
 * that goes on when its time is up is left alone after a short grace, counted, and keeps its check from running until it ends.
 */
export function createProber(
  { parallelism = defaultParallelism }: { parallelism?: number | undefined },
  { context, clock, log, act, leadership, kindNamed = checkKindNamed }: ProberNeeds,
): Prober {
  let entries = new Map<string, Entry>()
  const timetable = createTimetable<Entry>()
  const slots = createSlots<Entry>(parallelism)
  const listeners = new Set<(event: ProbeEvent) => void>()
  const ending = new AbortController()
  const open = new Set<Promise<unknown>>()
  const origin = clock.monotonic()
  const { counters, numbers } = createNumbers(slots)
  let wake = new AbortController()
  /** When the next sleep ends; nobody needs to be woken while nobody sleeps. */
  let wakeAt = -Infinity
  let isStarted = false
  let lastEnd = origin
  let shortestMs: number | undefined
  let gap: { at: number; ms: number } | undefined
  let driving = Promise.resolve()
  let forgetLeadership = () => {}

  function emit(type: ProbeEvent['type'], status: CheckStatus): void {
    for (const listener of listeners)
      try {
        listener({ type, status })
      } catch (error) {
        log.error({ err: error, check: status.check.name }, 'a listener of the prober failed')
      }
  }

  function plan(entry: Entry, at: number): void {
    timetable.put(entry, at)
    if (at < wakeAt) wake.abort()
  }

  function own(promise: Promise<unknown>): void {
    open.add(promise)
    promise.finally(() => open.delete(promise))
  }

  // What there is to check

  function set(checks: readonly Check[]): void {
    if (ending.signal.aborted) return
    const now = clock.monotonic()
    const before = entries
    entries = new Map()
    const events: [ProbeEvent['type'], CheckStatus][] = []
    for (const check of checks) {
      if (entries.has(check.name)) {
        log.warn({ check: check.name }, 'two checks of one name, the first one runs')
        continue
      }
      const known = before.get(check.name)
      const entry = known ?? added(check, now)
      entries.set(check.name, entry)
      const was = known?.status
      if (known !== undefined) renew(known, check, now)
      if (was !== undefined && was !== entry.status) events.push(['removed', was])
      if (was !== entry.status) events.push(['added', entry.status])
    }
    for (const [name, entry] of before) {
      if (entries.has(name)) continue
      drop(entry, now)
      events.push(['removed', entry.status])
    }
    for (const [type, status] of events) emit(type, status)
    const cycles = linkChecks(entries, (node) => node.check.dependsOn)
    for (const cycle of cycles) log.warn({ cycle }, 'checks depend on each other in a circle; the last step is ignored')
    for (const entry of inOrder(entries.values())) settleDependency(entry)
    shortestMs = undefined
    for (const { check } of entries.values()) shortestMs = Math.min(shortestMs ?? Infinity, check.intervalMs + check.timeoutMs)
    lastEnd = Math.max(lastEnd, now)
  }

  function added(check: Check, now: number): Entry {
    const entry = newEntry(check, { kind: kindNamed(check.kind), origin, at: now, now: clock.now() })
    if (isStarted) plan(entry, firstStart(entry.grid, entry.name, now))
    return entry
  }

  /** Takes the check as it is now. Its status is another object when its series or metrics are called otherwise or stand elsewhere. */
  function renew(entry: Entry, check: Check, now: number): void {
    const { check: was, status } = entry
    if (was === check) return
    entry.check = check
    if (placeOf(was) === placeOf(check)) status.check = check
    else entry.status = { ...status, check, ...(was.kind !== check.kind && { measurements: [], durations: newDurations() }) }
    const print = printOf(check)
    if (was.intervalMs !== check.intervalMs) {
      entry.grid = gridOf(check, origin)
      if (entry.index !== -1 && entry.phase === 'idle') plan(entry, firstStart(entry.grid, entry.name, now))
    }
    if (print === entry.print) return
    entry.print = print
    entry.kind = kindNamed(check.kind)
    // What it failed of, or recovered from, was another question.
    entry.health = { ...entry.health, failures: 0, failingSince: undefined, upSince: undefined }
    if (entry.phase === 'running') giveUp(entry, now)
    else runSoon(entry)
  }

  function drop(entry: Entry, now: number): void {
    entry.isGone = true
    if (entry.phase === 'running') giveUp(entry, now)
    else {
      timetable.remove(entry)
      slots.forget(entry)
    }
  }

  /** Ends the run under way, whose result nobody wants any more. */
  function giveUp(entry: Entry, now: number): void {
    const { run } = entry
    if (run === undefined || run.isUnwanted) return
    run.isUnwanted = true
    plan(entry, now + graceMs)
    run.controller.abort(new Error('the check was changed or removed'))
  }

  function runSoon(entry: Entry): void {
    if (!isStarted || entry.phase !== 'idle') return
    const at = clock.monotonic() + phaseOf(entry.name) * Math.min(soonMs, entry.check.intervalMs)
    if (entry.index === -1 || at < entry.at) plan(entry, at)
  }

  // Running

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
    for (const entry of entries.values()) if (entry.phase === 'running') plan(entry, entry.at + ms)
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
    else if (entry.abandoned !== undefined) record(entry, heldBackResult(), now, now)
    else if (slots.take(entry, lane)) begin(entry, lane)
    else entry.phase = 'queued'
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
    counters.abandoned++
    log.warn({ check: entry.name, kind: entry.check.kind }, 'a run did not end when it was told to, its slot is given away')
    end(entry, run, undefined)
  }

  function begin(entry: Entry, lane: Lane): void {
    const now = clock.monotonic()
    const { check, kind } = entry
    const controller = new AbortController()
    recordDuration(counters.startDelays, Math.max(0, now - entry.dueAt) / 1000)
    entry.phase = 'running'
    entry.lastStart = now
    entry.wantedAt = Infinity
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
    own(work)
  }

  async function runOnce(kind: CheckKind | undefined, { kind: name, options }: Check, signal: AbortSignal): Promise<CheckResult> {
    if (kind === undefined) throw new CheckFailure('misconfigured', `There is no kind of check called ${name}.`)
    return kind.check(options, { ...context, signal })
  }

  /** A run ended, or was abandoned, which is without an outcome. */
  function end(entry: Entry, run: Run, outcome: Outcome | undefined): void {
    const now = clock.monotonic()
    run.isOver = true
    entry.run = undefined
    entry.phase = 'idle'
    entry.hung = run.isOverdue
    timetable.remove(entry)
    if (!ending.signal.aborted) {
      lastEnd = now
      if (!entry.isGone) {
        if (run.isUnwanted) runSoon(entry)
        else record(entry, resultOf(entry, run, outcome), run.startedAt, now)
      }
    }
    const next = slots.free(run.lane)
    if (next !== undefined && !ending.signal.aborted) begin(next.item, next.lane)
  }

  function resultOf({ check }: Entry, { isOverdue }: Run, outcome: Outcome | undefined): CheckResult {
    if (isOverdue || outcome === undefined) return overdueResult(check.timeoutMs, outcome)
    return 'result' in outcome ? outcome.result : resultOfError(outcome.error)
  }

  function record(entry: Entry, result: CheckResult, startedAt: number, now: number): void {
    const { status, check, grid } = entry
    const wall = clock.now()
    const seconds = (now - startedAt) / 1000
    counters.ran(result.state)
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
    counters.skipped += startsBetween(grid, entry.dueAt, now)
    plan(entry, Math.max(now, Math.min(nextStart(grid, now), rerunAt, entry.wantedAt)))
    apply(entry, health)
    emit('finished', status)
  }

  // What it means

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

  /** Blocks or unblocks it by what is above it. @returns whether that changed */
  function settleDependency(entry: Entry): boolean {
    const above = entry.above as Entry[]
    const cause = above.find(({ health }) => health.state === 'down')?.name ?? above.find(isBlocked)?.health.blockedBy
    if (cause === entry.health.blockedBy) return false
    if (cause !== undefined) apply(entry, blocked(entry.health, cause, clock.now()))
    else {
      apply(entry, unblocked(entry.health))
      runSoon(entry)
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
      if (other.phase === 'idle' && isStarted && other.wantedAt < other.at) plan(other, other.wantedAt)
    }
    return doubted
  }

  function takeActions(entry: Entry): void {
    if (act === undefined) return
    const { check, status } = entry
    const cause = { ...status }
    for (const action of check.actions)
      own(
        act(action, cause, ending.signal).then(
          (outcome) => {
            counters.acted(outcome)
            if (outcome === 'refused' && entry.health.state === 'down') entry.owesActions = true
          },
          (error: unknown) => log.error({ err: error, check: check.name, action: action.type }, 'an action failed in an unknown way'),
        ),
      )
  }

  /**
   * A check may have gone down while nobody led, or together with the leader. Whether the one before acted cannot be known, so this one does
   * what it was refused: once, and only for what is down still.
   */
  function takeOwedActions(): void {
    for (const entry of entries.values()) {
      if (!entry.owesActions) continue
      entry.owesActions = false
      takeActions(entry)
    }
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
    stall() {
      if (!isStarted || ending.signal.aborted) return undefined
      const queued = slots.first()
      return stallOf({
        now: clock.monotonic(),
        first: timetable.first(),
        queued: queued && { name: queued.name, since: queued.dueAt, intervalMs: queued.check.intervalMs },
        lastEnd,
        shortestMs,
        gap,
      })
    },
    numbers,
    async start() {
      isStarted = true
      forgetLeadership = leadership?.onChange((leads) => leads && takeOwedActions()) ?? forgetLeadership
      const now = clock.monotonic()
      lastEnd = now
      for (const entry of entries.values()) plan(entry, firstStart(entry.grid, entry.name, now))
      driving = drive()
    },
    async stop(deadline) {
      ending.abort(new Error('told to stop'))
      forgetLeadership()
      wake.abort()
      for (const { run } of entries.values()) run?.controller.abort(ending.signal.reason)
      await driving
      const left = deadline - clock.monotonic()
      if (left <= 0) return
      const over = new AbortController()
      await Promise.race([Promise.all(open), clock.sleep(left, over.signal).catch(() => {})])
      over.abort()
    },
  }
}

function isBlocked({ health }: Entry): boolean {
  return health.blockedBy !== undefined
}
