/** Text that grows to many lines, encoded as it grows into memory that is used again. */
export type Lines = {
  add(text: string): void
  /** Characters so far. */
  readonly length: number
  /** What was added, encoded; nothing can be added afterwards. */
  pieces(): readonly Buffer[]
}

/** Long enough to be encoded quickly, short enough to die young: one text of megabytes would live to be moved by the collector. */
const textLength = 16 * 1024
/** Room for a text in which every character takes three bytes, and more. */
const pieceBytes = 64 * 1024

/**
 * Pieces of pages that were sent. Left to the collector, they would wait for its next great round: a hundred MiB of a monitor with a
 * thousand checks that is scraped often.
 */
const spare: Buffer[] = []
const taken = new WeakMap<Lines, Buffer[]>()

/** Nothing yet. Who has done with its pieces gives them back by `returnPieces`; forgotten ones are the collector's. */
export function createLines(): Lines {
  const own: Buffer[] = []
  const full: Buffer[] = []
  let text = ''
  let length = 0
  let piece: Buffer | undefined
  let used = 0

  function encode(): void {
    if (text === '') return
    const bytes = Buffer.byteLength(text)
    if (piece === undefined || used + bytes > pieceBytes) {
      close()
      piece = bytes > pieceBytes ? Buffer.allocUnsafeSlow(bytes) : (spare.pop() ?? Buffer.allocUnsafeSlow(pieceBytes))
      own.push(piece)
    }
    used += piece.write(text, used)
    text = ''
  }

  function close(): void {
    if (piece !== undefined) full.push(piece.subarray(0, used))
    piece = undefined
    used = 0
  }

  const lines: Lines = {
    add(more) {
      text += more
      length += more.length
      if (text.length >= textLength) encode()
    },
    get length() {
      return length
    },
    pieces() {
      encode()
      close()
      return full
    },
  }
  taken.set(lines, own)
  return lines
}

/** Gives the memory of these back, once: nobody may read their pieces any more. */
export function returnPieces(all: readonly Lines[]): void {
  for (const lines of all) {
    for (const piece of taken.get(lines) ?? []) if (piece.byteLength === pieceBytes) spare.push(piece)
    taken.delete(lines)
  }
}
