import type { Clock } from '../../shared/clock.ts'
import type { Offset } from '../../shared/clock-offset.ts'
import { clockCure, shown, sideOf } from '../../shared/clock-wording.ts'
import { Problem } from '../../shared/errors.ts'

/** Other clocks that count for the validity of tokens: the best of them that is known. */
export type Measured = { by: 'cloud' | 'API server'; offset: Offset }

/** Clocks of two machines that are synchronized may differ by this much, besides what could not be measured. */
const usualLeewayMs = 60_000
/** A clock that is known less well than this is not known. */
const longestLeewayMs = 600_000
/** A smaller difference is nobody's fault. */
const worthTellingMs = 5_000
/** 2020: a machine without a battery begins in 1970, or when its firmware was made. */
const earliest = 1_577_836_800_000

/** The time by which tokens are judged: our own, corrected by what was measured. The clock of the machine itself is never set. */
export class TokenTime {
  readonly #clock: Clock
  readonly #measured: () => Measured | undefined

  constructor(clock: Clock, measured: () => Measured | undefined = () => undefined) {
    this.#clock = clock
    this.#measured = measured
  }

  /** Unix milliseconds. @throws Problem `not-ready` while the clock is unset and no other one is known: any old token would be valid */
  now(): number {
    const now = this.#now()
    if (now >= earliest) return now
    throw new Problem(
      'not-ready',
      `The clock of this machine is not set: it says ${shown(now)}. No token can be judged by it. ${clockCure}`,
    )
  }

  /** How long before and after its time a token is valid, in milliseconds. */
  leewayMs(): number {
    return Math.min(longestLeewayMs, usualLeewayMs + (this.#measured()?.offset.uncertaintyMs ?? 0))
  }

  /** What the time is and how that is known, as the end of a sentence, with the cure if our clock is wrong. */
  told(): string {
    const measured = this.#measured()
    const now = shown(this.#now())
    if (measured === undefined)
      return `it is ${now} by the clock of this machine, which was compared with no other. If it is wrong, synchronize it: timedatectl set-ntp true`
    const { by, offset } = measured
    if (Math.abs(offset.offsetMs) < worthTellingMs + offset.uncertaintyMs) return `it is ${now}.`
    return `it is ${now} by the clock of the ${by}. The clock of this machine is ${sideOf(offset)}. ${clockCure}`
  }

  #now(): number {
    return this.#clock.now() + (this.#measured()?.offset.offsetMs ?? 0)
  }
}
