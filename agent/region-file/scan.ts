import { setImmediate as nextTurn } from 'node:timers/promises'
import type { BodyFault } from '../../shared/errors.ts'
import { pointerTo } from '../../shared/json-pointer.ts'
import { regionFileBounds } from './schema.ts'

/** Bytes that are looked at before others get their turn. */
const perTurn = 4 * 1024 * 1024

const [quote, backslash, comma, colon] = ['"', '\\', ',', ':'].map((each) => each.charCodeAt(0))
const [openList, closeList, openObject, closeObject] = ['[', ']', '{', '}'].map((each) => each.charCodeAt(0))

/**
 * Why the text of a file should not become a value; undefined if it may. A few thousand bytes, packed, can be twenty million empty lists, or a
 * million objects of which no two have the same names: each takes gigabytes. And with a name twice in an object, it has two meanings.
 *
 * @param bytes JSON in UTF-8; of anything else, nothing is certain
 * @throws the reason of the signal
 */
export async function faultOfText(bytes: Uint8Array, signal: AbortSignal | undefined): Promise<BodyFault | undefined> {
  const scan = new Scan(bytes)
  for (let start = 0; start < bytes.byteLength && scan.fault === undefined; start += perTurn) {
    scan.read(start, Math.min(start + perTurn, bytes.byteLength))
    await nextTurn()
    signal?.throwIfAborted()
  }
  return scan.fault
}

/** What is counted, for people. */
const words = { values: 'values', objects: 'objects', shapes: 'shapes of objects' } as const

/** A list or an object whose end has not come yet. */
type Open = {
  /** Where in it the scan is. */
  at: string | number
  /** The names that an object has so far, in their order; as a number, the same for all that have them. 0 is none. */
  shape: number
  /** The names in it by number, once they make a shape that is new. */
  names?: Set<number>
}

/**
 * One pass over a text. It counts shapes as V8 keeps them for `JSON.parse`: one for each name that follows on a shape. Names that are numbers
 * belong to no shape, and are kept in each object, with gaps: each counts.
 */
class Scan {
  fault: BodyFault | undefined
  readonly #bytes: Buffer
  readonly #open: Open[] = []
  /** The latest text that was no name: where its first character is, and its closing quote. */
  readonly #text = { start: 0, end: -1 }
  readonly #numbers = new Map<string, number>()
  /** By number: whether the name is that of an element, for V8. */
  readonly #isIndex: boolean[] = []
  /** For each shape with each name that has followed on it, the shape that it made. */
  readonly #next = new Map<number, number>()
  /** By shape: which one it came from, and by which name. */
  readonly #origins: [shape: number, name: number][] = [[0, 0]]
  #isText = false
  readonly #counted = { values: 1, objects: 0, shapes: 0 }

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  read(start: number, end: number): void {
    const bytes = this.#bytes
    for (let at = start; at < end && this.fault === undefined; at++) {
      const byte = bytes[at]
      if (byte === quote) this.#readQuote(at)
      else if (this.#isText) continue
      else if (byte === colon) this.#readName()
      else if (byte === comma) this.#readComma()
      else if (byte === openList || byte === openObject) this.#enter(byte === openList)
      else if (byte === closeList || byte === closeObject) this.#open.pop()
    }
  }

  #readQuote(at: number): void {
    if (this.#isText && isEscaped(this.#bytes, at)) return
    this.#text[this.#isText ? 'end' : 'start'] = this.#isText ? at : at + 1
    this.#isText = !this.#isText
  }

  #readComma(): void {
    const inside = this.#open.at(-1)
    if (typeof inside?.at === 'number') inside.at++
    this.#count('values')
  }

  #enter(isList: boolean): void {
    const { textDepth } = regionFileBounds
    if (this.#open.length >= textDepth) {
      // A pointer of a thousand pieces helps nobody.
      const first = this.#open.slice(0, 1)
      this.#refuse(`is no region file: it has more than ${textDepth.toLocaleString('en')} levels`, first)
    }
    this.#open.push({ at: isList ? 0 : '', shape: 0 })
    this.#count('values')
    if (!isList) this.#count('objects')
  }

  #count(what: keyof typeof words): void {
    const most = regionFileBounds[what]
    if (++this.#counted[what] > most)
      this.#refuse(`has more than ${most.toLocaleString('en')} ${words[what]}, which no region file has`, [])
  }

  #readName(): void {
    const object = this.#open.at(-1)
    if (typeof object?.at !== 'string' || this.#text.end === -1) return
    object.at = nameAt(this.#bytes, this.#text)
    this.#text.end = -1
    const name = this.#numberOf(object.at)
    const key = object.shape * regionFileBounds.shapes * 2 + name
    if (this.#isIndex[name]) this.#count('shapes')
    let shape = this.#next.get(key)
    if (shape === undefined) {
      object.names ??= this.#namesOf(object.shape)
      if (object.names.has(name)) this.#refuse('is given twice', this.#open)
      shape = this.#origins.push([object.shape, name]) - 1
      this.#next.set(key, shape)
      this.#count('shapes')
    }
    object.names?.add(name)
    object.shape = shape
  }

  #numberOf(name: string): number {
    const known = this.#numbers.get(name)
    if (known !== undefined) return known
    const number = this.#isIndex.push(/^\d{1,10}$/.test(name)) - 1
    this.#numbers.set(name, number)
    return number
  }

  #namesOf(shape: number): Set<number> {
    const names = new Set<number>()
    for (let at = shape; at !== 0; ) {
      const [before, name] = this.#origins[at] as [number, number]
      names.add(name)
      at = before
    }
    return names
  }

  #refuse(message: string, open: readonly Open[]): void {
    this.fault ??= { path: pointerTo(open.map(({ at }) => String(at).slice(0, 100).toWellFormed())), message }
  }
}

/** The name as `JSON.parse` reads it. */
function nameAt(bytes: Buffer, { start, end }: { start: number; end: number }): string {
  const name = bytes.toString('utf8', start, end)
  if (!name.includes('\\')) return name
  try {
    return JSON.parse(`"${name}"`)
  } catch {
    // Nor will the rest be JSON.
    return name
  }
}

/** Whether an odd number of backslashes is before it. */
function isEscaped(bytes: Uint8Array, at: number): boolean {
  let before = at
  while (before > 0 && bytes[before - 1] === backslash) before--
  return (at - before) % 2 === 1
}
