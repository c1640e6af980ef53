import type { EventClock } from './event-clock.ts'

/** A line of work, one piece after the other, whether or not somebody still waits for it. */
export class WorkLine {
  #freeAt = 0

  /** Adds work. @returns milliseconds until it is done */
  join(nowMs: number, perSecond: number, amount = 1): number {
    this.#freeAt = Math.max(nowMs, this.#freeAt) + (amount * 1_000) / perSecond
    return this.#freeAt - nowMs
  }
}

type Waiting = { serve: () => void; isGone: boolean }

/** How often it is somebody's turn, in milliseconds. */
const stepMs = 100

/** A line at a door. Who has gone is noticed when it is their turn, and costs no time. */
export class DoorLine {
  readonly #clock: EventClock
  readonly #perSecond: () => number
  #waiting: Waiting[] = []
  #isServing = false

  /** @param perSecond how many it lets in now */
  constructor(clock: EventClock, perSecond: () => number) {
    this.#clock = clock
    this.#perSecond = perSecond
  }

  /** Waits for the turn, at most that long. @returns whether it came */
  async turn(mostMs: number, signal: AbortSignal): Promise<boolean> {
    let isServed = false
    const over = new AbortController()
    const each: Waiting = {
      isGone: false,
      serve: () => {
        isServed = true
        over.abort()
      },
    }
    this.#waiting.push(each)
    if (!this.#isServing) void this.#serve()
    await this.#clock.sleep(mostMs, AbortSignal.any([signal, over.signal])).catch(() => {})
    each.isGone = true
    signal.throwIfAborted()
    return isServed
  }

  async #serve(): Promise<void> {
    this.#isServing = true
    let credit = 0
    while (this.#waiting.length > 0) {
      await this.#clock.sleep(stepMs)
      credit += (this.#perSecond() * stepMs) / 1_000
      let next = 0
      for (; next < this.#waiting.length && credit >= 1; next++) {
        const each = this.#waiting[next]
        if (each === undefined || each.isGone) continue
        each.serve()
        credit--
      }
      this.#waiting = this.#waiting.slice(next)
    }
    this.#isServing = false
  }
}
