import type { Clock } from './clock.ts'

/** How far another clock is ahead of ours, and by how much that may be wrong at most. Milliseconds. */
export type Offset = { offsetMs: number; uncertaintyMs: number }

/**
 * How fast two clocks drift apart at most: 100 ms in 1,000 s. Crystals are better by a factor of two, and NTP slews by half a thousandth at
 * most, in the same sense.
 */
const driftPerMs = 1e-4

/**
 * The clock of an HTTP server, as the `Date` headers of its answers tell it. They have whole seconds, but each of many answers narrows what is
 * possible: the second that an answer names had begun when the answer was there, and had not ended when the request was sent. Answers on both
 * sides of the edge of a second leave a few milliseconds.
 *
 * What is kept is the distance to our monotonic clock: when our time of day is set, the offset changes at that moment.
 */
export class DateClock {
  readonly #clock: Clock
  /** The time of the server less the monotonic time is between these two, as of `#at`. */
  #low = Number.NEGATIVE_INFINITY
  #high = Number.POSITIVE_INFINITY
  #at = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * Takes the header of an answer that has just begun. One that contradicts the earlier ones shows that the clock there was set, or that
   * another server answers: they say nothing any more.
   *
   * @param date the header; one that is missing or no date is ignored
   * @param sentAt the monotonic moment before the request was sent
   */
  readonly heard = (date: string | undefined, sentAt: number): void => {
    const told = Date.parse(date ?? '')
    if (Number.isNaN(told)) return
    const now = this.#clock.monotonic()
    const drift = (now - this.#at) * driftPerMs
    const [low, high] = [told - now, told + 1_000 - sentAt]
    const [before, after] = [this.#low - drift, this.#high + drift]
    const agrees = low <= after && before <= high
    this.#low = agrees ? Math.max(before, low) : low
    this.#high = agrees ? Math.min(after, high) : high
    this.#at = now
  }

  /** The best estimate; undefined before the first answer. */
  offset(): Offset | undefined {
    if (!Number.isFinite(this.#low)) return undefined
    const now = this.#clock.monotonic()
    const drift = (now - this.#at) * driftPerMs
    const middle = (this.#low + this.#high) / 2
    return {
      offsetMs: Math.round(middle + now - this.#clock.now()),
      uncertaintyMs: Math.ceil((this.#high - this.#low) / 2 + drift),
    }
  }
}
