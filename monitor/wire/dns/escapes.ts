import { CheckFailure } from '../reasons.ts'

/** A byte of a text, as a zone file escapes it: three decimal digits unless it is printable ASCII. @param special what needs a backslash */
export function escapedByte(byte: number, special: string): string {
  if (byte < 32 || byte > 126) return `\\${String(byte).padStart(3, '0')}`
  const letter = String.fromCharCode(byte)
  return special.includes(letter) ? `\\${letter}` : letter
}

/** A failure `protocol`. @param fault what is wrong with the answer, without a full stop */
export function malformed(fault: string): CheckFailure {
  return new CheckFailure('protocol', `The answer is malformed: ${fault}.`)
}
