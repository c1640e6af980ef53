import { randomBytes } from 'node:crypto'
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
