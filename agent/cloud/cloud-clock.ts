import type { Clock } from '../../shared/clock.ts'

/** How far the clock of the cloud is ahead of ours. */
export type Offset = { offsetMs: number; uncertaintyMs: number }

type Sample = Offset & { at: number }

/** Samples that count: of the last ones, the one with the shortest way is the best. */
const kept = 8

/**
 * The clock of the cloud, as its answers tell it: Cristian's estimate, the middle of the exchange, with half its duration as uncertainty.
 * Durations are measured with the monotonic clock; a step of ours therefore shows as a change of the offset.
 */
export class CloudClock {
  readonly #clock: Clock
  #samples: Sample[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Unix milliseconds by the clock of the cloud; by our own until the cloud has told its time. */
  now(): number {
    return this.#clock.now() + (this.offset()?.offsetMs ?? 0)
  }

  /** The best estimate; undefined before the first answer. */
  offset(): Offset | undefined {
    const [best] = [...this.#samples].sort((a, b) => a.uncertaintyMs - b.uncertaintyMs)
    return best && { offsetMs: best.offsetMs, uncertaintyMs: best.uncertaintyMs }
  }

  /**
   * Takes the time that an answer tells.
   * @param told Unix milliseconds
   * @param tookMs how long the exchange took, which has just ended
   */
  heard(told: number, tookMs: number): void {
    const now = this.#clock.now()
    const offsetMs = Math.round(told - (now - tookMs / 2))
    const sample = { offsetMs, uncertaintyMs: Math.ceil(tookMs / 2), at: this.#clock.monotonic() }
    // One that contradicts the earlier ones shows that a clock was set: they say nothing any more.
    const agrees = (other: Sample) => Math.abs(other.offsetMs - offsetMs) <= other.uncertaintyMs + sample.uncertaintyMs + 1_000
    this.#samples = [...this.#samples.filter(agrees), sample].slice(-kept)
  }
}
