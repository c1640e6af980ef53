import { inTurns } from './turns.ts'

/** The longest text that is parsed at once, in UTF-16 units: at worst, when each is a level of nesting, this takes some milliseconds. */
const pieceLength = 16 * 1024

/** Texts up to this are never cut. */
const shortLength = 64 * 1024

/** How many arrays and objects that are longer than a piece may be in each other. */
const maxDepth = 64

/**
 * Parses JSON as JSON.parse does. A long text is parsed in pieces, between which other work has its turn: 8 MiB of the worst kind would hold
 * the event loop for a second.
 * @throws SyntaxError, also for long texts that nest absurdly
 */
export async function parseJson(bytes: Buffer, signal?: AbortSignal): Promise<unknown> {
  const text = bytes.toString('utf8')
  return text.length <= shortLength ? JSON.parse(text) : inTurns(new Reader(text).document(), signal)
}

/** Finds pieces that JSON.parse can take, and puts their values together. It checks only what stands between the pieces. */
class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  *document(): Generator<void, unknown> {
    const value = yield* this.#value(0)
    if (this.#peek() !== '') throw this.#fault()
    return value
  }

  *#value(depth: number): Generator<void, unknown> {
    const first = this.#peek()
    if (first !== '[' && first !== '{') return this.#scalar()
    const { close } = this.#look(this.#at + 1)
    if (close !== -1) return this.#parsed(close + 1)
    if (depth > maxDepth) throw new SyntaxError('it nests too deeply')
    this.#at++
    return first === '[' ? yield* this.#array(depth) : yield* this.#object(depth)
  }

  *#array(depth: number): Generator<void, unknown[]> {
    const items: unknown[] = []
    for (let end = ','; end === ','; yield) {
      const piece = this.#piece('[', ']', items.length === 0)
      if (piece === undefined) items.push(yield* this.#value(depth + 1))
      else for (const item of piece as unknown[]) items.push(item)
      end = this.#after(']')
    }
    return items
  }

  *#object(depth: number): Generator<void, object> {
    const members: Record<string, unknown> = {}
    let isFirst = true
    for (let end = ','; end === ','; yield) {
      const piece = this.#piece('{', '}', isFirst)
      isFirst = false
      if (piece === undefined) {
        if (this.#peek() !== '"') throw this.#fault()
        const name = this.#scalar() as string
        if (this.#peek() !== ':') throw this.#fault()
        this.#at++
        setMember(members, name, yield* this.#value(depth + 1))
      } else for (const [name, value] of Object.entries(piece)) setMember(members, name, value)
      end = this.#after('}')
    }
    return members
  }

  /** As many items or members as fit into a piece; undefined if not even the next one does. Stops before a comma or the end. */
  #piece(open: string, close: string, mayBeEmpty: boolean): object | undefined {
    const found = this.#look(this.#at)
    const end = found.close === -1 ? found.comma : found.close
    if (end === -1) return undefined
    const text = this.#text.slice(this.#at, end)
    if (text.trim() === '' && !(mayBeEmpty && found.close !== -1)) throw this.#fault()
    this.#at = end
    return JSON.parse(`${open}${text}${close}`)
  }

  /** Steps over a comma or the end of an array or object, and returns it. */
  #after(close: ',' | ']' | '}'): string {
    const found = this.#peek()
    if (found !== ',' && found !== close) throw this.#fault()
    this.#at++
    return found
  }

  /** The last comma on this level within a piece, and where the level ends if that is within it; -1 for neither. */
  #look(from: number): { comma: number; close: number } {
    let depth = 0
    let comma = -1
    for (let at = from; at < this.#text.length && at - from < pieceLength; at++)
      switch (this.#text.charCodeAt(at)) {
        case 0x22:
          at = this.#endOfString(at)
          break
        case 0x5b:
        case 0x7b:
          depth++
          break
        case 0x5d:
        case 0x7d:
          if (depth-- === 0) return { comma, close: at }
          break
        case 0x2c:
          if (depth === 0) comma = at
      }
    return { comma, close: -1 }
  }

  /** Where the closing quote is. */
  #endOfString(open: number): number {
    for (let at = this.#text.indexOf('"', open + 1); at !== -1; at = this.#text.indexOf('"', at + 1)) {
      let before = at
      while (this.#text.charCodeAt(before - 1) === 0x5c) before--
      if ((at - before) % 2 === 0) return at
    }
    throw this.#fault()
  }

  #scalar(): unknown {
    if (this.#text[this.#at] === '"') return this.#parsed(this.#endOfString(this.#at) + 1)
    const rest = /[^\s,\]}]*/y
    rest.lastIndex = this.#at
    return this.#parsed(this.#at + (rest.exec(this.#text)?.[0].length ?? 0))
  }

  #parsed(end: number): unknown {
    const piece = this.#text.slice(this.#at, end)
    this.#at = end
    return JSON.parse(piece)
  }

  /** The next character that is no white space, where the reader then stands; empty at the end. */
  #peek(): string {
    const blank = /[ \t\n\r]*/y
    blank.lastIndex = this.#at
    this.#at += blank.exec(this.#text)?.[0].length ?? 0
    return this.#text[this.#at] ?? ''
  }

  #fault(): SyntaxError {
    return new SyntaxError(`Unexpected text in JSON at position ${this.#at}`)
  }
}

/** As JSON.parse does it: also `__proto__` is a member like any other. */
function setMember(members: Record<string, unknown>, name: string, value: unknown): void {
  if (name === '__proto__') Object.defineProperty(members, name, { value, writable: true, enumerable: true, configurable: true })
  else members[name] = value
}
