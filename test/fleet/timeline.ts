import type { EventClock } from './event-clock.ts'
import type { Meter, Spread } from './meter.ts'

/** A stretch of a simulation, with how something was spread over it. Monotonic milliseconds. */
export type Phase = { name: string; fromMs: number; toMs: number }

/** What must hold at the end. */
export type Bound = { what: string; found: number; most: number; unit: string }

/** What a scenario has shown. */
export type Outcome = {
  /** What was counted, by its unit. */
  meters: { unit: string; meter: Meter }[]
  phases: Phase[]
  facts: string[]
  bounds: Bound[]
}

/** Phases, one after the other. */
export class Timeline {
  readonly phases: Phase[] = []
  readonly #clock: EventClock

  constructor(clock: EventClock) {
    this.#clock = clock
  }

  /** Does something under a name. */
  async phase<T>(name: string, work: () => Promise<T>): Promise<T> {
    const fromMs = this.#clock.monotonic()
    const result = await work()
    this.phases.push({ name, fromMs, toMs: this.#clock.monotonic() })
    return result
  }
}

/**
 * The seconds over which a peak is measured, so that chance alone does not make one step three times the mean: with ten thousand it is one
 * second.
 */
export function stepFor(count: number): number {
  return Math.max(1, Math.ceil(3_000 / count))
}

/** How much higher than the mean of the recovery window any second may be. */
const mostPeak = 3

/**
 * The bounds of a recovery: nobody comes after the window, and no second is far above its mean.
 * @param tookMs until the last one was back; undefined if it is not back yet
 */
export function recoveryBounds(
  what: string,
  { spread, tookMs, windowMs }: { spread: Spread; tookMs: number | undefined; windowMs: number },
): Bound[] {
  return [
    { what: `peak of ${what} after the return, as a multiple of the mean`, found: spread.ratio, most: mostPeak, unit: '×' },
    { what: 'time until all are back', found: (tookMs ?? Number.POSITIVE_INFINITY) / 1_000, most: windowMs / 1_000, unit: 's' },
  ]
}
