import type { Clock } from '../../shared/clock.ts'

/** How long a jump forward must last before it is believed: an administrator notices within a day that the date is wrong. */
const disbeliefMs = 24 * 60 * 60_000
/** NTP slews a clock by 43 s a day at most; a tick of a busy process is late by seconds. */
const toleranceMs = 60_000

/**
 * A time of day for what cannot be undone. A clock that is set forward is not believed for a day, by the monotonic clock; one that is set back is
 * believed at once. What the clock said at the first look is believed, since nothing is known before.
 */
export class PatientTime {
  readonly #clock: Clock
  /** The time of day less the monotonic time, as it is believed. */
  #distance: number | undefined
  /** The monotonic moment since which the clock is ahead of what is believed. */
  #aheadSince: number | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Unix milliseconds. */
  now(): number {
    const monotonic = this.#clock.monotonic()
    const distance = this.#clock.now() - monotonic
    this.#distance ??= distance
    const isAhead = distance - this.#distance > toleranceMs
    if (isAhead) this.#aheadSince ??= monotonic
    if (!isAhead || monotonic - (this.#aheadSince ?? monotonic) >= disbeliefMs) {
      this.#distance = distance
      this.#aheadSince = undefined
    }
    return monotonic + this.#distance
  }
}
