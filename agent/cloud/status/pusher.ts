import type { Clock } from '../../../shared/clock.ts'
import type { Offset } from '../../../shared/clock-offset.ts'
import type { Log } from '../../../shared/log.ts'
import type { CloudClock } from '../cloud-clock.ts'
import { endpoints } from '../contract/endpoints.ts'
import { type StatusAnswer, statusAnswer } from '../contract/status.ts'
import { CloudFault } from '../fault.ts'
import type { Session } from '../link.ts'
import { pauseAfter } from '../pause.ts'
import { isAlarm } from './alarm.ts'
import { type Made, newsSince, type StatusDocument } from './news.ts'
import { withoutNulls } from './patch.ts'

export type { StatusDocument } from './news.ts'

export type PusherParts = {
  session: () => Session | undefined
  /** The status of now. */
  read: () => StatusDocument
  cloudClock: () => Pick<CloudClock, 'offset' | 'now'> | undefined
  clock: Clock
  random: () => number
  /** Called with each answer. */
  answered: (answer: StatusAnswer) => Promise<void>
  /** Called when the cloud refuses the region: its registration has to be looked at. */
  refused: () => void
  /** The time between two heartbeats, where the cloud asks for this one. Milliseconds. */
  heartbeatMs?: (asked: number) => number
  log: Log
}

const pauses = { baseMs: 2_000, capMs: 300_000 }

/** A cloud that claims to know a later status of this region than this is not believed: numbers are seconds to begin with. */
const lastSequence = 2 ** 50

/** The status that the cloud has acknowledged. */
type Base = { sequence: number; document: StatusDocument; offset: Offset | undefined }

/** The status of now, with what of it is news to the cloud: undefined if nothing is, and if the cloud knows nothing. */
type Present = { document: StatusDocument; offset: Offset | undefined; made: Made; news: object | undefined }

/**
 * Tells the cloud the status of the region: the whole one at first and whenever the cloud may have another one, then what has changed since the
 * last one that it acknowledged. If nothing changes, a heartbeat is due: a status that says nothing but that the region is there.
 */
export class Pusher {
  readonly #parts: PusherParts
  #base: Base | undefined
  #sequence = 0
  #failures = 0
  /** Whether it is in the log that the cloud does not hear the region. */
  #isWarned = false
  #heartbeatMs: number
  /** No attempt before this monotonic moment, whatever changes. */
  #notBefore = 0
  /** The last entry of the ledger that the cloud has said it knows. */
  #known: number | undefined
  /** The monotonic moment at which the cloud has to hear of the region, whether something changes or not. */
  #dueAt = 0

  /** @param heartbeatMs between two heartbeats, in milliseconds, where the cloud does not say */
  constructor(heartbeatMs: number, parts: PusherParts) {
    this.#parts = parts
    this.#heartbeatMs = heartbeatMs
  }

  /** Whether the cloud has acknowledged a status, and there was no trouble since. */
  get isHeard(): boolean {
    return this.#base !== undefined
  }

  /** Whether something new must not wait. */
  get hasAlarm(): boolean {
    return this.#base !== undefined && isAlarm(this.#base.document, withoutNulls(this.#parts.read()))
  }

  /** The next status is a whole one: after a takeover, another leader may have told the cloud something else. */
  forget(): void {
    this.#base = undefined
  }

  /**
   * Tells what there is to tell: news, or that it is time for a heartbeat. Called too early, or without news, it sends nothing.
   * @returns milliseconds until the next heartbeat or attempt; undefined while there is no session
   */
  async push(): Promise<number | undefined> {
    const { session, clock } = this.#parts
    const open = session()
    if (open === undefined) {
      // The next session begins with the whole status.
      this.#base = undefined
      return undefined
    }
    const waitMs = this.#notBefore - clock.monotonic()
    if (waitMs > 0) return waitMs
    const base = this.#base
    const present = this.#present(base)
    const idleMs = this.#dueAt - clock.monotonic()
    if (base !== undefined && present.news === undefined && idleMs > 0) return idleMs
    try {
      return await this.#answered(await this.#send(open, base, present), base === undefined)
    } catch (error) {
      if (!(error instanceof CloudFault)) throw error
      return this.#failed(error)
    }
  }

  #present(base: Base | undefined): Present {
    const { read, cloudClock, clock } = this.#parts
    const document = withoutNulls(read())
    const offset = cloudClock()?.offset()
    const made: Made = { generatedAt: new Date(clock.now()).toISOString(), ...(offset && { clock: { ...offset, source: 'cloud' } }) }
    return { document, offset, made, news: base && newsSince(base, made, document) }
  }

  async #send(session: Session, base: Base | undefined, { document, offset, made, news }: Present): Promise<StatusAnswer> {
    const { cloudClock, clock } = this.#parts
    const before = this.#sequence
    // Seconds to begin with: higher than what an earlier leader has told, and short. By the clock of the cloud: ours may start in 1970, and one
    // that is ahead would leave a number that is not reached for hours after it was set right. Asked at each attempt, since the first one may
    // be refused because of our clock, and teach us the time of the cloud.
    const next = (): number => {
      const first = base === undefined ? Math.floor((cloudClock()?.now() ?? clock.now()) / 1000) : 0
      this.#sequence = Math.max(before + 1, first)
      return this.#sequence
    }
    const answer =
      base === undefined
        ? await session.call({
            endpoint: endpoints.whole,
            body: () => ({ sequence: next(), ...made, region: document }),
            answer: statusAnswer,
          })
        : await session.call({
            endpoint: endpoints.change,
            headers: { 'if-match': `"${base.sequence}"` },
            body: () => ({ sequence: next(), ...news }),
            answer: statusAnswer,
          })
    const sequence = this.#sequence
    if (answer.acknowledged !== sequence) throw this.#mismatch(answer.acknowledged, sequence)
    this.#base = { sequence, document, offset }
    return answer
  }

  /** The cloud has stored another status than the one that was sent. */
  #mismatch(acknowledged: number, sequence: number): CloudFault {
    const told = `The cloud acknowledged status ${acknowledged}, not ${sequence}.`
    if (acknowledged < sequence || acknowledged > lastSequence) return new CloudFault('garbled', told)
    // Somebody with a clock ahead of ours was here before. The numbers go on from there.
    this.#sequence = acknowledged
    return new CloudFault('out-of-step', told)
  }

  async #answered(answer: StatusAnswer, wasWhole: boolean): Promise<number> {
    const { answered, random, clock, log } = this.#parts
    if (this.#isWarned) log.info({ sequence: this.#sequence }, 'the cloud hears the region again')
    this.#isWarned = false
    this.#failures = 0
    if (answer.heartbeat !== undefined) this.#heartbeatMs = answer.heartbeat * 1000
    // Regions that began together do not stay together: the first heartbeat is anywhere in an interval, and then a quarter of it is jitter.
    const heartbeatMs = this.#parts.heartbeatMs?.(this.#heartbeatMs) ?? this.#heartbeatMs
    const jitter = wasWhole ? 1 : 1 / 4
    const pauseMs = Math.round(heartbeatMs * (1 + (random() - 0.5) * jitter))
    this.#dueAt = clock.monotonic() + pauseMs
    const isBehind = this.#isBehind(answer)
    await answered(answer)
    if (!answer.resync && (wasWhole || !isBehind)) return pauseMs
    this.#base = undefined
    if (!wasWhole) return 0
    // It has just got the whole status. A cloud that asks for it each time does not get it more often than it gets heartbeats.
    this.#notBefore = this.#dueAt
    return pauseMs
  }

  /**
   * Whether the cloud knows less of the ledger than it did: it was restored from a backup, and what else it knows of the region may be as old,
   * even if the sequence of the status is the same by chance.
   */
  #isBehind({ ledger }: StatusAnswer): boolean {
    if (ledger === undefined) return false
    const before = this.#known
    this.#known = ledger.known
    if (before === undefined || ledger.known >= before) return false
    this.#parts.log.warn(
      { known: ledger.known, before },
      'the cloud knows less of the ledger than before: it may have been restored from a backup',
    )
    return true
  }

  #failed(fault: CloudFault): number {
    const { random, clock, log, refused } = this.#parts
    const { kind, failure, message, retryAfterMs = 0 } = fault
    const isOutOfStep = failure === 'out-of-step'
    this.#base = undefined
    this.#failures++
    // The whole status follows at once, which ends it.
    if (isOutOfStep && this.#failures === 1 && retryAfterMs === 0) return 0
    if (!this.#isWarned) log.warn({ kind, failure, message }, 'the cloud does not hear the region')
    this.#isWarned = true
    if (kind === 'refused' && !isOutOfStep) refused()
    const pauseMs = pauseAfter(fault, pauses, this.#failures, random())
    this.#notBefore = clock.monotonic() + pauseMs
    return pauseMs
  }
}
