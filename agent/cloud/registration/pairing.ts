import { randomBytes } from 'node:crypto'
import type { Clock } from '../../../shared/clock.ts'
import { pairingLetters } from '../contract/registration.ts'

/** How long a code can be typed at the cloud. */
export const pairingMs = 600_000

/** A new code: 40 random bits as eight letters of Crockford's base 32. */
export function makePairingCode(): string {
  return [...randomBytes(8)].map((byte) => pairingLetters[byte % 32]).join('')
}

/** A code as people read it: two groups of four. */
export function shownCode(code: string): string {
  return `${code.slice(0, 4)}-${code.slice(4)}`
}

/** A code, and the monotonic moment until which it can be typed. */
export type Pairing = { code: string; until: number }

/** The code that the region shows at present. */
export class PairingCodes {
  readonly #clock: Pick<Clock, 'monotonic'>
  #shown: Pairing | undefined

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
  }

  /** The code that is shown; another one once its time is up. */
  next(): Pairing {
    const now = this.#clock.monotonic()
    if (this.#shown === undefined || this.#shown.until <= now) this.#shown = { code: makePairingCode(), until: now + pairingMs }
    return this.#shown
  }

  /** Shows it no more. */
  drop(): void {
    this.#shown = undefined
  }
}
