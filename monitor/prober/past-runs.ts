import type { CheckState } from '../checks/kind.ts'
import type { Reason } from '../wire/reasons.ts'
import { shorten } from '../wire/wording.ts'

/** A run that ended, as it is remembered. */
export type PastRun = {
  /** When it ended: Unix time in milliseconds. */
  at: number
  /** What the run saw, before retries, recovery and dependencies are considered. */
  state: CheckState
  seconds: number
  reason: Reason | undefined
  detail: string
}

/** How many runs of each check are remembered. */
export const keptRuns = 20
/** The longest text that is remembered of a run; the status of the check has all of the last one. */
const longestText = 200

const states = ['up', 'degraded', 'down', 'unknown'] as const satisfies CheckState[]

/** Numbers of one run: when it ended, its seconds, its state. */
const numbersEach = 3

/**
 * The last runs of a check. A monitor may have thousands of checks, so they are kept in two flat lists, and a text that several runs share
 * is kept once: 1 KiB for a check whose runs see the same, 4 KiB if each says something else, and never more than 9 KiB.
 */
export class PastRuns {
  readonly #numbers: number[] = []
  readonly #reasons: (Reason | undefined)[] = []
  readonly #details: string[] = []
  #next = 0
  #heardAt: number | undefined

  /** Remembers a run, and forgets the oldest of too many. @param endedAt when it ended, by the monotonic clock */
  add({ at, state, seconds, reason, detail }: PastRun, endedAt: number): void {
    const place = this.#next
    this.#next = (place + 1) % keptRuns
    this.#heardAt = endedAt
    this.#numbers[place * numbersEach] = at
    this.#numbers[place * numbersEach + 1] = seconds
    this.#numbers[place * numbersEach + 2] = states.indexOf(state)
    this.#reasons[place] = reason
    const text = shorten(detail, longestText)
    this.#details[place] = this.#details.find((known) => known === text) ?? text
  }

  get size(): number {
    return this.#details.length
  }

  /** When the last run ended, by the monotonic clock: unlike the time of day, it does not jump. Undefined if none has. */
  get heardAt(): number | undefined {
    return this.#heardAt
  }

  /** The runs, the oldest first. */
  *[Symbol.iterator](): Generator<PastRun> {
    for (let index = 0; index < this.size; index++) yield this.#at(this.#placeOf(index))
  }

  /** Their states only, the oldest first. */
  *states(): Generator<CheckState> {
    for (let index = 0; index < this.size; index++) yield this.#stateAt(this.#placeOf(index))
  }

  #placeOf(index: number): number {
    return this.size < keptRuns ? index : (this.#next + index) % keptRuns
  }

  #stateAt(place: number): CheckState {
    return states[this.#numbers[place * numbersEach + 2] as number] ?? 'unknown'
  }

  #at(place: number): PastRun {
    return {
      at: this.#numbers[place * numbersEach] as number,
      seconds: this.#numbers[place * numbersEach + 1] as number,
      state: this.#stateAt(place),
      reason: this.#reasons[place],
      detail: this.#details[place] as string,
    }
  }
}
