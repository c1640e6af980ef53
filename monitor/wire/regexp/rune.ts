/**
 * Where the rune at a position ends, and its value, as one number: value × 8 + width. Bytes that are not UTF-8 are U+FFFD, one each, as in
 * Go's utf8.DecodeRune.
 */
export function decodeRune(bytes: Uint8Array, at: number): number {
  const first = bytes[at] as number
  if (first < 0x80) return first * 8 + 1
  if (first < 0xc2 || first > 0xf4) return invalid
  const second = bytes[at + 1] ?? 0
  // Overlong forms, surrogates and runes above U+10FFFF have a second byte out of these bounds (Unicode 16, table 3-7).
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf
  if (second < low || second > high) return invalid
  if (first < 0xe0) return (((first & 0x1f) << 6) | (second & 0x3f)) * 8 + 2
  const third = bytes[at + 2] ?? 0
  if (third >> 6 !== 2) return invalid
  if (first < 0xf0) return (((first & 0x0f) << 12) | ((second & 0x3f) << 6) | (third & 0x3f)) * 8 + 3
  const fourth = bytes[at + 3] ?? 0
  if (fourth >> 6 !== 2) return invalid
  return (((first & 0x07) << 18) | ((second & 0x3f) << 12) | ((third & 0x3f) << 6) | (fourth & 0x3f)) * 8 + 4
}

const invalid = 0xff_fd * 8 + 1
