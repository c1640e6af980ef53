import type { Clock } from '../../shared/clock.ts'

/** The longest sleep, so that a process that stood still notices it soon. */
const longestSleepMs = 1_000

/** Calls its owner when something is due. Times are milliseconds of the monotonic clock. */
export class Alarm {
  readonly #clock: Clock
  #waking = new AbortController()
  /** When the current sleep ends; -Infinity while there is none. */
  #wakesAt = -Infinity

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Ends the current sleep if it would last beyond that moment. */
  expect(at: number): void {
    if (at < this.#wakesAt) this.#waking.abort()
  }

  /**
   * Calls `onWake` repeatedly until the signal aborts, with the time and how late the call is. `onWake` returns when something is due
   * next; undefined if nothing is.
   */
  async run(onWake: (now: number, lateMs: number) => number | undefined, signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#waking.abort(), { once: true })
    let planned = this.#clock.monotonic()
    while (!signal.aborted) {
      const now = this.#clock.monotonic()
      const next = onWake(now, now - planned) ?? Infinity
      const pauseMs = Math.min(longestSleepMs, Math.max(0, next - this.#clock.monotonic()))
      planned = now + pauseMs
      this.#wakesAt = this.#clock.monotonic() + pauseMs
      await this.#clock.sleep(Math.ceil(pauseMs), this.#waking.signal).catch(() => {})
      this.#wakesAt = -Infinity
      if (this.#waking.signal.aborted) this.#waking = new AbortController()
    }
  }
}
