import { createHash } from 'node:crypto'
import { hasControlCharacters, longestId } from './topics.ts'

/** `portable`: names that every consumer takes. `plain`: as they are, except for what an MQTT topic must not contain. */
export type Naming = 'portable' | 'plain'

/** How the edge node writes the ids of its devices and the names of their metrics. */
export type Names = {
  /**
   * The device id of a thing: `<kind>:<name>`, such as `host:node-1` or `database:shop:orders`. The same thing always has the same id, and no
   * two things share one. An id that would be longer than 200 bytes is cut, and ends with 16 hexadecimal digits of its SHA-256.
   */
  device(kind: string, name: string): string
  /** The name of a metric. `/` separates folders. */
  metric(name: string): string
}

/** Writes names in one of the two ways. */
export function createNames(naming: Naming): Names {
  const { device, hash } = writers[naming]
  return {
    device(kind, name) {
      if (name === '') throw new TypeError(`a ${kind} without a name cannot be a device`)
      return shortened([`${kind}:`, ...device(name.toWellFormed())], hash)
    },
    metric: naming === 'plain' ? (name) => name : portableMetric,
  }
}

/** How each naming writes the name of a thing, in pieces that must not be cut, and marks an id that was cut. */
const writers: Record<Naming, { device: (name: string) => Iterable<string>; hash: (digits: string) => string }> = {
  plain: { device: percentEncoded, hash: (digits) => `~${digits}` },
  // No other text looks like this, since the `_` of a text that does is escaped.
  portable: { device: portablePieces, hash: (digits) => `_x${digits.toUpperCase()}_` },
}

function* percentEncoded(name: string): Generator<string> {
  for (const character of name) {
    const isLegal = !/[%+#/]/.test(character) && !hasControlCharacters(character)
    // Character by character: that is how an id is cut.
    yield* isLegal ? character : [...Buffer.from(character)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('')
  }
}

/** What Ignition takes first in the name of a tag or a folder. Letters are those of Unicode (docs.chariot.io, MQTT Engine String Replacement). */
const first = /[\p{L}0-9_]/u
/** What it takes after that. A blank at the end is left out: people do not see it, and programs may trim it. */
const later = /[\p{L}0-9_ '():-]/u
/** Whether an id that is used as it is, of the group or the node, is a legal name in Ignition. */
export function isPortable(id: string): boolean {
  return [...id].every((character, at) => (at === 0 ? first : later).test(character))
}

/** A text that is legal and is not changed: no `.` and `:`, and nothing that looks like an escape. */
const unchanged = /^(?!.*_x[0-9A-F]{4})[\p{L}0-9_][\p{L}0-9_ '()-]*(?<! )(?:\/[\p{L}0-9_][\p{L}0-9_ '()-]*(?<! ))*$/u

function portableMetric(name: string): string {
  return unchanged.test(name) ? name : [...portablePieces(name.toWellFormed(), { hasFolders: true })].join('')
}

/**
 * Writes a name with the characters that Ignition takes: `.` as `:`, and what it does not take, `:` and each look-alike of an escape as
 * `_x002E_`: `_x`, four hexadecimal digits of the code point (eight beyond U+FFFF), `_`. XmlConvert of .NET escapes in the same way.
 *
 * It is reversible: read `:` as `.`, and `_xHHHH_` as the character. Hence no two names are written alike.
 */
function* portablePieces(name: string, { hasFolders = false } = {}): Generator<string> {
  let isFirst = hasFolders
  for (const [at, character] of indexed(name)) {
    const rest = name.slice(at + character.length)
    const isFolder = hasFolders && character === '/' && !isFirst && rest !== ''
    const isLast = rest === '' || (hasFolders && rest.startsWith('/'))
    const isLegal = (isFirst ? first : later).test(character) && !(character === ' ' && isLast)
    const isAmbiguous = character === ':' || (character === '_' && /^x[0-9A-F]{4}/.test(rest))
    if (isFolder) yield character
    else if (character === '.' && !isFirst) yield ':'
    else yield isLegal && !isAmbiguous ? character : escaped(character)
    isFirst = isFolder
  }
}

function* indexed(text: string): Generator<[at: number, character: string]> {
  let at = 0
  for (const character of text) {
    yield [at, character]
    at += character.length
  }
}

function escaped(character: string): string {
  const code = character.codePointAt(0) as number
  return `_x${code
    .toString(16)
    .toUpperCase()
    .padStart(code > 0xffff ? 8 : 4, '0')}_`
}

function shortened(pieces: readonly string[], mark: (digits: string) => string): string {
  const id = pieces.join('')
  if (Buffer.byteLength(id) <= longestId) return id
  const end = mark(createHash('sha256').update(id).digest('hex').slice(0, 16))
  let kept = ''
  for (const piece of pieces) {
    if (Buffer.byteLength(kept + piece + end) > longestId) break
    kept += piece
  }
  return kept + end
}
