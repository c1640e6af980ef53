import { backoff, type Clock } from '../../../shared/clock.ts'
import type { Log } from '../../../shared/log.ts'
import type { Age } from '../../region/age.ts'
import type { CloudClock, Offset } from '../cloud-clock.ts'
import { endpoints } from '../contract/endpoints.ts'
import { type StatusAnswer, statusAnswer } from '../contract/status.ts'
import { CloudFault } from '../fault.ts'
import type { Session } from '../link.ts'
import { patchBetween } from './patch.ts'

/**
 * The status of a region: its document, as the API shows it. `parts` has the age of each field, by its name. While a field is not stale, each
 * status confirms it.
 */
export type StatusDocument = { [field: string]: unknown; parts: Record<string, Age> }

export type PusherParts = {
  session: () => Session | undefined
  /** The status of now. */
  read: () => StatusDocument
  cloudClock: () => Pick<CloudClock, 'offset'> | undefined
  clock: Clock
  random: () => number
  /** Called with each answer. */
  answered: (answer: StatusAnswer) => Promise<void>
  /** Called when the cloud refuses the region: its registration has to be looked at. */
  refused: () => void
  log: Log
}

const pauses = { baseMs: 2_000, capMs: 300_000 }

/** The status that the cloud has acknowledged. */
type Base = { sequence: number; document: StatusDocument; offset: Offset | undefined }

/**
 * Tells the cloud the status of the region: the whole one at first and whenever the cloud may have another one, then what has changed since the
 * last one that it acknowledged. What is due at the latest is a heartbeat: a status in which nothing has changed.
 */
export class Pusher {
  readonly #parts: PusherParts
  #base: Base | undefined
  #sequence = 0
  #failures = 0
  #heartbeatMs: number
  /** No attempt before this monotonic moment, whatever changes. */
  #notBefore = 0

  /** @param heartbeatMs between two heartbeats, in milliseconds, where the cloud does not say */
  constructor(heartbeatMs: number, parts: PusherParts) {
    this.#parts = parts
    this.#heartbeatMs = heartbeatMs
  }

  /** Whether the cloud has acknowledged a status, and there was no trouble since. */
  get isHeard(): boolean {
    return this.#base !== undefined
  }

  /** The next status is a whole one: after a takeover, another leader may have told the cloud something else. */
  forget(): void {
    this.#base = undefined
  }

  /** Pushes the status. @returns milliseconds until the next heartbeat or attempt; undefined while there is no session */
  async push(): Promise<number | undefined> {
    const { session, random, clock, log } = this.#parts
    const open = session()
    if (open === undefined) return undefined
    const waitMs = this.#notBefore - clock.monotonic()
    if (waitMs > 0) return waitMs
    try {
      const answer = await this.#send(open)
      if (this.#failures > 0) log.info({ sequence: this.#sequence }, 'the cloud hears the region again')
      this.#failures = 0
      if (answer.heartbeat !== undefined) this.#heartbeatMs = answer.heartbeat * 1000
      if (answer.resync) this.#base = undefined
      await this.#parts.answered(answer)
      // A quarter of it as jitter, so that regions that began together do not stay together.
      return answer.resync ? 0 : Math.round(this.#heartbeatMs * (0.875 + random() / 4))
    } catch (error) {
      if (!(error instanceof CloudFault)) throw error
      return this.#failed(error)
    }
  }

  async #send(session: Session): Promise<StatusAnswer> {
    const { read, cloudClock, clock } = this.#parts
    const document = read()
    const offset = cloudClock()?.offset()
    // Seconds to begin with: higher than what an earlier leader has told, and short.
    const sequence = Math.max(this.#sequence + 1, this.#base === undefined ? Math.floor(clock.now() / 1000) : 0)
    this.#sequence = sequence
    const base = this.#base
    const made = { generatedAt: new Date(clock.now()).toISOString(), ...(offset && { clock: { ...offset, source: 'cloud' } }) }
    const answer =
      base === undefined
        ? await session.call({ endpoint: endpoints.whole, body: { sequence, ...made, region: document }, answer: statusAnswer })
        : await session.call({
            endpoint: endpoints.change,
            headers: { 'if-match': `"${base.sequence}"` },
            body: { sequence, ...newsOf(made, base, document) },
            answer: statusAnswer,
          })
    if (answer.acknowledged !== sequence)
      throw new CloudFault('garbled', `The cloud acknowledged status ${answer.acknowledged}, not ${sequence}.`)
    this.#base = { sequence, document, offset }
    return answer
  }

  #failed(fault: CloudFault): number {
    const { random, clock, log, refused } = this.#parts
    const { kind, failure, message, retryAfterMs = 0 } = fault
    this.#base = undefined
    this.#failures++
    if (failure === 'out-of-step' && this.#failures === 1) return 0
    if (this.#failures === 1) log.warn({ kind, failure, message }, 'the cloud does not hear the region')
    if (kind === 'refused') refused()
    const pauseMs = Math.max(backoff(pauses, Math.min(this.#failures, 20), random()), retryAfterMs)
    this.#notBefore = clock.monotonic() + pauseMs
    return pauseMs
  }
}

/** A clock that was set is news; its estimate moves by itself. */
const clockNewsMs = 250

/** What a status says besides its number: nothing in a heartbeat, whose time is that of its proof. */
function newsOf(made: { generatedAt: string; clock?: Offset }, base: Base, document: StatusDocument): object {
  const change = changeOf(base.document, document)
  const moved = Math.abs((made.clock?.offsetMs ?? 0) - (base.offset?.offsetMs ?? 0)) > clockNewsMs
  return change.region === undefined && !moved ? {} : { ...made, ...change }
}

/** What has changed. When something was observed is no change, but goes with one. */
function changeOf(before: StatusDocument, now: StatusDocument): { region?: unknown } {
  const change = patchBetween(withoutTimes(before), withoutTimes(now)) as Record<string, unknown> | undefined
  if (change === undefined) return {}
  const ages = Object.keys(change).flatMap((field) => {
    const age = now.parts[field]
    return age === undefined ? [] : [[field, { observedAt: age.observedAt }] as const]
  })
  const parts = merged(Object.fromEntries(ages), change.parts)
  return { region: { ...change, ...(parts && { parts }) } }
}

function merged(ages: Record<string, object>, change: unknown): object | undefined {
  const changed = Object.entries((change as Record<string, object | null> | undefined) ?? {})
  const all = { ...ages, ...Object.fromEntries(changed.map(([field, age]) => [field, age && { ...ages[field], ...age }])) }
  return Object.keys(all).length === 0 ? undefined : all
}

function withoutTimes(document: StatusDocument): object {
  const parts = Object.entries(document.parts).map(([field, { observedAt: _, ...age }]) => [field, age])
  return { ...document, parts: Object.fromEntries(parts) }
}
