import type { Clock } from './clock.ts'
import type { Part } from './lifecycle.ts'
import type { Log } from './log.ts'

/** A jump of our time of day. */
export type ClockStep = {
  /** Unix milliseconds, by the clock as it was set. */
  at: number
  /** How far it jumped, in milliseconds: forward if positive. A machine that slept jumps forward too. */
  byMs: number
}

/** Smaller jumps are not told: NTP makes them, and a process that does not get the processor sees them. */
const noticeableMs = 500
/** How often to look. NTP slews by at most half a millisecond in that time. */
const lookMs = 1_000

/** Notices when the time of day is set: compares it with the monotonic clock. Pure: the moments are given. */
export class StepMeter {
  /** The time of day less the monotonic time, at the last look. */
  #distance: number | undefined

  /** One look. @returns the jump since the last one, in milliseconds; undefined if there was none */
  look({ now, monotonic }: { now: number; monotonic: number }): number | undefined {
    const distance = now - monotonic
    const byMs = Math.round(distance - (this.#distance ?? distance))
    this.#distance = distance
    return Math.abs(byMs) > noticeableMs ? byMs : undefined
  }
}

type StepWatchTools = { clock: Clock; log: Log; stepped?: (step: ClockStep) => void }

/** Looks each second whether the clock was set, and remembers how often since the start. */
export class StepWatch implements Part {
  readonly name = 'watch for steps of the clock'
  /** How often it was set, and the last time. */
  count = 0
  last: ClockStep | undefined
  readonly #tools: StepWatchTools
  readonly #meter = new StepMeter()
  readonly #ending = new AbortController()
  #running: Promise<void> | undefined

  constructor(tools: StepWatchTools) {
    this.#tools = tools
  }

  async start(): Promise<void> {
    this.#look()
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#ending.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending
    while (!signal.aborted) {
      await this.#tools.clock.sleep(lookMs, signal).catch(() => {})
      if (!signal.aborted) this.#look()
    }
  }

  #look(): void {
    const { clock, log, stepped } = this.#tools
    const byMs = this.#meter.look({ now: clock.now(), monotonic: clock.monotonic() })
    if (byMs === undefined) return
    this.count++
    this.last = { at: clock.now(), byMs }
    log.warn({ byMs }, 'the clock was set')
    stepped?.(this.last)
  }
}
