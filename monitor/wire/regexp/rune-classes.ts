/**
 * The classes of runes that a program tells apart: two runes that each of its instructions treats alike are of one class. Most programs
 * have fewer than 20.
 */
export class RuneClasses {
  /** The number of classes. */
  readonly count: number
  /** For each rune below 128, its class. */
  readonly ofAscii: Uint16Array
  /** For each class, bits of `kind`. */
  readonly kinds: Uint8Array
  /** 1 at the row of a set plus a class that the set has. */
  readonly table: Uint8Array
  /** The first runes of intervals, in order, and their classes. */
  readonly #from: Int32Array
  readonly #classes: Uint16Array
  readonly #rows: Int32Array

  /**
   * @param sets for each instruction, pairs of the first and the last rune that it reads, in order
   * @param splitLinesAndWords whether line feeds, and the runes of words, are classes of their own
   */
  constructor(sets: readonly (readonly number[])[], { splitLinesAndWords }: { splitLinesAndWords: boolean }) {
    const rows = new Map<string, number>()
    const distinct: (readonly number[])[] = []
    this.#rows = Int32Array.from(sets, (ranges) => {
      const key = ranges.join()
      let row = rows.get(key)
      if (row === undefined) {
        row = distinct.push(ranges) - 1
        rows.set(key, row)
      }
      return row
    })
    const apart = splitLinesAndWords ? [...distinct, newline, word] : distinct
    const starts = new Set([0, 128])
    for (const ranges of apart)
      for (let index = 0; index < ranges.length; index += 2) {
        starts.add(ranges[index] as number)
        starts.add((ranges[index + 1] as number) + 1)
      }
    this.#from = Int32Array.from(starts).sort()
    const cursors = apart.map((ranges) => new Cursor(ranges))
    const signatures = new Map<string, number>()
    const samples: number[] = []
    this.#classes = Uint16Array.from(this.#from, (rune) => {
      const signature = cursors.map((cursor) => (cursor.has(rune) ? '1' : '0')).join('')
      let found = signatures.get(signature)
      if (found === undefined) {
        found = samples.push(rune) - 1
        signatures.set(signature, found)
      }
      return found
    })
    this.count = samples.length
    this.table = new Uint8Array(distinct.length * this.count)
    for (const [signature, found] of signatures)
      for (let row = 0; row < distinct.length; row++) this.table[row * this.count + found] = signature[row] === '1' ? 1 : 0
    this.kinds = Uint8Array.from(samples, (rune) => (rune === 10 ? kind.newline : new Cursor(word).has(rune) ? kind.word : kind.other))
    this.ofAscii = Uint16Array.from({ length: 128 }, (_, rune) => this.of(rune))
  }

  /** Where a set of the constructor begins in `table`. */
  rowOf(set: number): number {
    return (this.#rows[set] as number) * this.count
  }

  /** The class of a rune. */
  of(rune: number): number {
    let low = 0
    let high = this.#from.length
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if ((this.#from[middle] as number) <= rune) low = middle
      else high = middle
    }
    return this.#classes[low] as number
  }
}

/** What a rune, or the begin of the text, means to the conditions of a position. */
export const kind = { begin: 0, newline: 1, word: 2, other: 3, end: 4 } as const

const newline = [10, 10]
const word = [0x30, 0x39, 0x41, 0x5a, 0x5f, 0x5f, 0x61, 0x7a] // [0-9A-Z_a-z], as in Go's \b

/** Looks runes up that only grow. */
class Cursor {
  readonly #ranges: readonly number[]
  #index = 0

  constructor(ranges: readonly number[]) {
    this.#ranges = ranges
  }

  has(rune: number): boolean {
    while (this.#index < this.#ranges.length && (this.#ranges[this.#index + 1] as number) < rune) this.#index += 2
    return this.#index < this.#ranges.length && (this.#ranges[this.#index] as number) <= rune
  }
}
