import type { Clock } from '../../shared/clock.ts'
import type { Log } from '../../shared/log.ts'
import type { CheckState } from '../checks/kind.ts'
import { shorten } from '../wire/wording.ts'
import type { Act } from './actions/act.ts'
import { type Occasion, occasionsOf } from './actions/action.ts'
import type { Check, CheckStatus, ProbeEvent } from './check.ts'
import { inOrder, type Linked, linkChecks, reachable } from './dependencies.ts'
import { placeOf } from './fingerprint.ts'
import { PastRuns } from './past-runs.ts'
import { newDurations, recordDuration } from './run.ts'
import type { FinishedRun, Runner } from './runner.ts'
import { afterRun, blocked, type Health, newHealth, unblocked, withoutFailures } from './state.ts'
import type { Statistics } from './statistics.ts'

/** What verdicts need besides the checks. */
type VerdictNeeds = {
  clock: Clock
  log: Log
  statistics: Statistics
  runner: Pick<Runner, 'runSoon' | 'runSince'>
  emit(type: ProbeEvent['type'], status: CheckStatus): void
  /** Takes an action, which ends with the signal. Without it, no action is taken. */
  act?: Act | undefined
  signal: AbortSignal
}

/** A status as the verdicts write it. */
type OwnStatus = { -readonly [K in keyof CheckStatus]: CheckStatus[K] }

/** A check as the verdicts keep it; nobody else writes to it. */
interface Subject extends Linked<Subject> {
  status: OwnStatus
  health: Health
  /** When the last run that ended began, in milliseconds of the monotonic clock. */
  heardSince: number
  /** It was down or degraded since it was up last: when it is up again, it has recovered. */
  hadTrouble: boolean
  /** Actions for this were refused: they are due if this replica leads by then, unless the state changes before. Monotonic milliseconds. */
  owed: { occasion: Occasion; until: number } | undefined
}

/** The log level of a change to a state. A check that is down may make thousands of others unknown. */
const levels: Record<CheckState, 'warn' | 'info' | 'debug'> = { up: 'info', degraded: 'warn', down: 'warn', unknown: 'debug' }

/** Within this, a replica leads after the one before has died, in milliseconds. */
const longestHandoverMs = 60_000

/** Decides what the results of runs mean: for the check, for the checks that depend on it, and for its actions. */
export class Verdicts {
  readonly #needs: VerdictNeeds
  #subjects = new Map<string, Subject>()
  /** Actions under way. */
  readonly acting = new Set<Promise<unknown>>()

  constructor(needs: VerdictNeeds) {
    this.#needs = needs
  }

  /** Every check, in the order given. */
  *statuses(): Generator<CheckStatus> {
    for (const { status } of this.#subjects.values()) yield status
  }

  status(name: string): CheckStatus | undefined {
    return this.#subjects.get(name)?.status
  }

  /** Replaces the checks. @param changed names of those whose kind or options changed: their failures so far no longer count */
  set(checks: ReadonlyMap<string, Check>, changed: ReadonlySet<string>): void {
    const before = this.#subjects
    const events: [ProbeEvent['type'], CheckStatus][] = []
    this.#subjects = new Map()
    for (const [name, check] of checks) {
      const known = before.get(name)
      const was = known?.status
      const subject = known ?? newSubject(check, this.#needs.clock.now())
      subject.status = statusFor(subject.status, check)
      if (changed.has(name)) subject.health = withoutFailures(subject.health)
      this.#subjects.set(name, subject)
      if (was === subject.status) continue
      if (was !== undefined) events.push(['removed', was])
      events.push(['added', subject.status])
    }
    for (const [name, { status }] of before) if (!checks.has(name)) events.push(['removed', status])
    for (const [type, status] of events) this.#needs.emit(type, status)
    this.#link()
  }

  /** Judges a run. @returns when the next one is wanted, by the monotonic clock; Infinity if the regular one will do */
  judge(name: string, run: FinishedRun): number {
    const { result, startedAt, endedAt } = run
    const subject = this.#subjects.get(name)
    if (subject === undefined) return Infinity
    const { clock, statistics, emit } = this.#needs
    const { status } = subject
    const now = clock.now()
    statistics.runs[result.state]++
    status.lastDuration = (endedAt - startedAt) / 1000
    recordDuration(status.durations, status.lastDuration)
    status.finishedAt = now
    this.#remember(status, run, now)
    if (result.state === 'down') status.consecutiveFailures++
    else if (result.state !== 'unknown') {
      status.consecutiveFailures = 0
      status.lastSuccessAt = now
    }
    if (result.measurements !== undefined) status.measurements = result.measurements
    subject.heardSince = startedAt
    const doubted = result.state === 'down' ? this.#doubtOf(subject, subject.health.failingSince ?? startedAt) : undefined
    const { health, rerunAt = Infinity } = afterRun(
      subject.health,
      { result, startedAt, ended: { now, at: endedAt } },
      status.check,
      doubted,
    )
    this.#apply(subject, health)
    emit('finished', status)
    return rerunAt
  }

  #remember({ check, past, lastDuration: seconds = 0 }: OwnStatus, { result, endedAt }: FinishedRun, at: number): void {
    const { state, reason } = result
    // A kind may have put foreign text into it as it came.
    const detail = shorten(result.detail)
    past.add({ at, state, seconds, reason, detail }, endedAt)
    if (state === 'down') this.#needs.log.debug({ check: check.name, kind: check.kind, reason, detail, seconds }, 'run failed')
  }

  /**
   * Takes the actions that were refused, for the checks that are still down. A check may have gone down while no replica led, or together
   * with the leader, and whether that one acted cannot be known.
   */
  takeOwedActions(): void {
    for (const subject of this.#subjects.values()) {
      const { owed } = subject
      subject.owed = undefined
      if (owed !== undefined && this.#needs.clock.monotonic() <= owed.until) this.#takeActions(subject, owed.occasion)
    }
  }

  #link(): void {
    const cycles = linkChecks(this.#subjects, ({ status }) => status.check.dependsOn)
    for (const cycle of cycles) this.#needs.log.warn({ cycle }, 'checks depend on each other in a circle; the last step is ignored')
    for (const subject of inOrder(this.#subjects.values())) this.#settleDependency(subject)
  }

  #apply(subject: Subject, health: Health): void {
    const { log, emit } = this.#needs
    const { status } = subject
    const { check, state: from } = status
    const { state, since, reason, detail } = health
    subject.health = health
    Object.assign(status, { state, since, reason, detail })
    if (from === state) return
    subject.owed = undefined
    const dependants = state === 'down' ? [...reachable(subject, 'below')].length : 0
    const fields = { check: check.name, kind: check.kind, target: check.target, from, to: state, reason, detail }
    const level = state === 'up' && from === 'unknown' ? 'debug' : levels[state]
    log[level]({ ...fields, ...(dependants > 0 && { dependants }) }, 'check changed')
    emit('changed', status)
    if (from === 'down' || state === 'down') this.#propagate(subject)
    const occasion = occasionOf(subject, state)
    if (occasion !== undefined) this.#takeActions(subject, occasion)
  }

  #propagate(subject: Subject): void {
    const left = [...subject.below]
    for (const next of left) if (this.#settleDependency(next)) left.push(...next.below)
  }

  /** Blocks or unblocks a check by the checks above it. @returns whether that changed */
  #settleDependency(subject: Subject): boolean {
    const { health, above } = subject
    const cause =
      above.find((each) => each.health.state === 'down')?.name ??
      above.find((each) => each.health.blockedBy !== undefined)?.health.blockedBy
    if (cause === health.blockedBy) return false
    if (cause !== undefined) this.#apply(subject, blocked(health, cause, this.#needs.clock.now()))
    else {
      this.#apply(subject, unblocked(health))
      this.#needs.runner.runSoon(subject.name)
    }
    return true
  }

  /**
   * The name of a check that a failing one depends on and that may have failed too: its failed run is being repeated, or it has not run
   * since `since`, which it then does at once.
   */
  #doubtOf(subject: Subject, since: number): string | undefined {
    let doubted: string | undefined
    for (const { name, health, heardSince } of reachable(subject, 'above')) {
      if (health.failures > 0 && health.state !== 'down') doubted ??= name
      if (heardSince >= since) continue
      doubted ??= name
      this.#needs.runner.runSince(name, since)
    }
    return doubted
  }

  /** A check that is down stays worth telling. That one recovered is old news once a new leader should have been found. */
  #owedFor(occasion: Occasion): Subject['owed'] {
    return { occasion, until: occasion === 'recovered' ? this.#needs.clock.monotonic() + longestHandoverMs : Infinity }
  }

  #takeActions(subject: Subject, occasion: Occasion): void {
    const { act, log, statistics, signal } = this.#needs
    if (act === undefined) return
    const cause = { ...subject.status }
    const { check } = cause
    const due = check.actions.filter((action) => occasionsOf(action).includes(occasion))
    for (const action of due) {
      const taken = act(action, cause, { signal, occasion })
        .then(
          (outcome) => {
            statistics.actions[outcome] = (statistics.actions[outcome] ?? 0) + 1
            if (outcome === 'refused' && subject.status.state === cause.state) subject.owed = this.#owedFor(occasion)
          },
          (error: unknown) => log.error({ err: error, check: check.name, action: action.type }, 'an action failed unexpectedly'),
        )
        .finally(() => this.acting.delete(taken))
      this.acting.add(taken)
    }
  }
}

function newSubject(check: Check, now: number): Subject {
  const health = newHealth(now)
  const { state, since, detail } = health
  const status = { check, state, since, detail, measurements: [], consecutiveFailures: 0, durations: newDurations(), past: new PastRuns() }
  return { name: check.name, above: [], below: [], status, health, heardSince: -Infinity, hadTrouble: false, owed: undefined }
}

/** What a check that enters a state gives occasion for. A check that is unknown may still be down, and has not recovered. */
function occasionOf(subject: Subject, state: CheckState): Occasion | undefined {
  if (state === 'unknown') return undefined
  const { hadTrouble } = subject
  subject.hadTrouble = state !== 'up'
  if (state === 'up') return hadTrouble ? 'recovered' : undefined
  return state
}

/** The status of a check as it is configured now: another object when its series or metrics have other names or labels. */
function statusFor(status: OwnStatus, check: Check): OwnStatus {
  const { check: was } = status
  if (was === check || placeOf(was) === placeOf(check)) {
    status.check = check
    return status
  }
  return { ...status, check, ...(was.kind !== check.kind && { measurements: [], durations: newDurations(), past: new PastRuns() }) }
}
