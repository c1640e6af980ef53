/**
 * Bytes as a text, since the texts of Go hold any bytes (`!!binary` in YAML). A byte that is not UTF-8 becomes a lone surrogate, from U+DC80
 * on (PEP 383 names the way), so `rawBytesOf` finds it again.
 */
export function rawTextOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return [...bytes].map((byte) => String.fromCharCode(byte < 128 ? byte : 0xdc00 + byte)).join('')
  }
}

/**
 * The bytes of a text that may come from `rawTextOf`.
 * @param encode what makes bytes of the parts that are text
 */
export function rawBytesOf(text: string, encode: (part: string) => Uint8Array = Buffer.from): Buffer {
  if (text.isWellFormed()) return Buffer.from(encode(text))
  // With the flag u, half of a pair does not match.
  const parts = text.split(/([\udc80-\udcff])/u)
  return Buffer.concat(parts.map((part, index) => (index % 2 === 1 ? Buffer.from([part.charCodeAt(0) & 255]) : encode(part))))
}
