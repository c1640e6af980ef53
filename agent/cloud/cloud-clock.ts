import type { Clock } from '../../shared/clock.ts'
import type { Offset } from '../../shared/clock-offset.ts'

/** The time of the cloud less our monotonic time, by how much that may be wrong, and the monotonic moment at which it was measured. */
type Sample = { distanceMs: number; uncertaintyMs: number; at: number }

/** Samples that count: of the last ones, the one with the shortest way is the best. */
const kept = 8
/** How much worse a sample gets with time: see `DateClock`. */
const driftPerMs = 1e-4

/**
 * The clock of the cloud, as its answers tell it: Cristian's estimate, the middle of the exchange, with half its duration as uncertainty.
 * What is kept is the distance to our monotonic clock: the time of the cloud stays right when our time of day is set, and the offset changes at
 * that moment.
 */
export class CloudClock {
  readonly #clock: Clock
  #samples: Sample[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Unix milliseconds by the clock of the cloud; by our own until the cloud has told its time. */
  now(): number {
    const best = this.#best()
    return best === undefined ? this.#clock.now() : Math.round(this.#clock.monotonic() + best.distanceMs)
  }

  /** The best estimate; undefined before the first answer. */
  offset(): Offset | undefined {
    const best = this.#best()
    return best && { offsetMs: Math.round(this.now() - this.#clock.now()), uncertaintyMs: Math.ceil(this.#uncertaintyOf(best)) }
  }

  /**
   * Takes the time that an answer tells.
   * @param told Unix milliseconds
   * @param tookMs how long the exchange took, which has just ended
   */
  heard(told: number, tookMs: number): void {
    const at = this.#clock.monotonic()
    const sample = { distanceMs: told - (at - tookMs / 2), uncertaintyMs: tookMs / 2, at }
    // One that contradicts the earlier ones shows that the clock there was set, or that this machine slept: they say nothing any more.
    const agrees = (other: Sample) =>
      Math.abs(other.distanceMs - sample.distanceMs) <= this.#uncertaintyOf(other) + sample.uncertaintyMs + 1_000
    this.#samples = [...this.#samples.filter(agrees), sample].slice(-kept)
  }

  #best(): Sample | undefined {
    return this.#samples.toSorted((a, b) => this.#uncertaintyOf(a) - this.#uncertaintyOf(b))[0]
  }

  #uncertaintyOf({ uncertaintyMs, at }: Sample): number {
    return uncertaintyMs + (this.#clock.monotonic() - at) * driftPerMs
  }
}
