import { type BodyFault, FaultList } from '../../shared/errors.ts'
import { pointerTo } from '../../shared/json-pointer.ts'

/** A text that is not JSON. Lines and columns count from 1. */
export class JsonSyntaxError extends Error {
  override readonly name = 'JsonSyntaxError'
}

/** A text that is more complex than any request of the API. The message names the limit and the place. */
export class JsonLimitError extends Error {
  override readonly name = 'JsonLimitError'
}

/**
 * The limits of a body. The work on a body grows with its values: a megabyte can have half a million, and a request that is valid has few.
 * The largest restore names 256 partitions by 16 columns each, which are 13,000 values; no list or object has more than 256 members.
 */
export const jsonLimits = {
  /** Levels of objects and lists. */
  depth: 32,
  /** Members of one object, or items of one list. */
  members: 1024,
  /** Values, containers included. */
  values: 16_384,
} as const

/** Names with a meaning in JavaScript. Nothing in the API has one of them, now or later. */
const refusedNames = new Set(['__proto__', 'constructor', 'prototype'])

/**
 * Parses JSON (RFC 8259) and is strict where `JSON.parse` is not: a repeated name, a name with a meaning in JavaScript, half a
 * surrogate pair, a control character and a number that cannot be represented exactly are faults with a JSON pointer.
 *
 * It is our own parser, because a body can order a database: `JSON.parse` silently keeps the last of two `"nodes"`, rounds numbers, and reports
 * no line. A reviver does not see any of that, and a YAML parser accepts texts that are not JSON.
 *
 * @returns the value without the faulty parts; the faults, as many as a FaultList keeps; and how many there are besides
 * @throws JsonSyntaxError with line and column, JsonLimitError if the text exceeds `jsonLimits`
 */
export function parseJson(text: string): { value: unknown; faults: BodyFault[]; more: number } {
  const reader = new JsonReader(text)
  const value = reader.read()
  return { value, faults: reader.faults.found, more: reader.faults.more }
}

class JsonReader {
  readonly faults = new FaultList<BodyFault>()
  readonly #text: string
  readonly #path: (string | number)[] = []
  #at = 0
  #depth = 0
  #values = 0

  constructor(text: string) {
    this.#text = text
  }

  read(): unknown {
    const value = this.#value()
    this.#skipSpace()
    if (this.#at < this.#text.length) this.#fail('unexpected text after the value')
    return value
  }

  #fail(what: string): never {
    throw new JsonSyntaxError(`${this.#place()}: ${what}`)
  }

  #exceeds(limit: keyof typeof jsonLimits, what: string): never {
    throw new JsonLimitError(`${this.#place()}: more than ${jsonLimits[limit]} ${what}`)
  }

  /** Where the reader is. */
  #place(): string {
    let line = 1
    let start = 0
    for (let end = this.#text.indexOf('\n'); end >= 0 && end < this.#at; end = this.#text.indexOf('\n', start)) {
      line++
      start = end + 1
    }
    return `line ${line}, column ${this.#at - start + 1}`
  }

  /** At the end of the text says `atEnd`. */
  #expected(what: string, atEnd: string): never {
    return this.#fail(this.#at < this.#text.length ? `${what} is expected` : `the text ends ${atEnd}`)
  }

  #fault(message: string): void {
    this.faults.add(() => ({ path: pointer(this.#path), message }))
  }

  #skipSpace(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at)
      if (code !== 32 && code !== 10 && code !== 13 && code !== 9) return
      this.#at++
    }
  }

  /** The next character that is not white space. */
  #next(): string | undefined {
    this.#skipSpace()
    return this.#text[this.#at]
  }

  #value(): unknown {
    if (++this.#values > jsonLimits.values) this.#exceeds('values', 'values')
    const first = this.#next()
    if (first === '{') return this.#object()
    if (first === '[') return this.#array()
    if (first === '"') return this.#checked(this.#string())
    if (first === 't') return this.#word('true', true)
    if (first === 'f') return this.#word('false', false)
    if (first === 'n') return this.#word('null', null)
    return this.#number()
  }

  #object(): Record<string, unknown> {
    const result: Record<string, unknown> = {}
    this.#open()
    if (this.#next() === '}') return this.#close(result)
    for (let members = 1; ; members++) {
      if (members > jsonLimits.members) this.#exceeds('members', 'members in one object')
      if (this.#next() !== '"') this.#expected('a name in double quotes', 'inside an object')
      const name = this.#string()
      if (this.#next() !== ':') this.#fail('":" is expected after a name')
      this.#at++
      this.#path.push(name)
      const value = this.#value()
      if (refusedNames.has(name)) this.#fault('is not allowed as a name')
      else if (Object.hasOwn(result, name)) this.#fault('is given more than once')
      else if (this.#checked(name) === name) result[name] = value
      this.#path.pop()
      const after = this.#next()
      if (after === '}') return this.#close(result)
      if (after !== ',') this.#expected('"," or "}"', 'inside an object')
      this.#at++
    }
  }

  #array(): unknown[] {
    const result: unknown[] = []
    this.#open()
    if (this.#next() === ']') return this.#close(result)
    for (;;) {
      if (result.length === jsonLimits.members) this.#exceeds('members', 'items in one list')
      this.#path.push(result.length)
      result.push(this.#value())
      this.#path.pop()
      const after = this.#next()
      if (after === ']') return this.#close(result)
      if (after !== ',') this.#expected('"," or "]"', 'inside a list')
      this.#at++
    }
  }

  #open(): void {
    if (++this.#depth > jsonLimits.depth) this.#exceeds('depth', 'levels of objects and lists')
    this.#at++
  }

  #close<T>(result: T): T {
    this.#depth--
    this.#at++
    return result
  }

  /** A string, at its opening quote. With an escape in it, JSON.parse reads the text between the quotes. */
  #string(): string {
    const start = this.#at++
    let escaped = false
    for (;;) {
      const code = this.#text.charCodeAt(this.#at)
      if (code === 34) break
      if (code === 92) {
        escaped = true
        this.#escape()
      } else if (code < 32) this.#fail('a control character must be escaped')
      else if (Number.isNaN(code)) this.#fail('the text ends inside a string')
      else this.#at++
    }
    const end = ++this.#at
    return escaped ? (JSON.parse(this.#text.slice(start, end)) as string) : this.#text.slice(start + 1, end - 1)
  }

  #escape(): void {
    const next = this.#text.charCodeAt(this.#at + 1)
    if (next === 0x75) {
      for (let at = this.#at + 2; at < this.#at + 6; at++)
        if (!isHexadecimal(this.#text.charCodeAt(at))) this.#fail('"\\u" needs four hexadecimal digits')
      this.#at += 6
    } else if (escapable.has(next)) this.#at += 2
    else this.#fail('unknown escape')
  }

  /** The string; empty, with a fault, if it must not be stored. */
  #checked(given: string): string {
    if (!given.isWellFormed()) this.#fault('contains half of a surrogate pair')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the search is for them
    else if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/.test(given)) this.#fault('contains a control character')
    else return given
    return ''
  }

  #word<T>(expected: string, meaning: T): T {
    if (!this.#text.startsWith(expected, this.#at)) this.#fail('a value is expected')
    this.#at += expected.length
    return meaning
  }

  #number(): number {
    const syntax = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
    syntax.lastIndex = this.#at
    const found = syntax.exec(this.#text)?.[0]
    if (found === undefined) this.#expected('a value', 'where a value is expected')
    this.#at += found.length
    const result = Number(found)
    const isExact = Number.isFinite(result) && (!Number.isInteger(result) || Number.isSafeInteger(result))
    if (!isExact) this.#fault('is too large to be represented exactly')
    return isExact ? result : 0
  }
}

/** The characters that may follow a backslash, besides `u`. */
const escapable = new Set([...'"\\/bfnrt'].map((character) => character.charCodeAt(0)))

function isHexadecimal(code: number): boolean {
  return (code >= 48 && code <= 57) || (code >= 65 && code <= 70) || (code >= 97 && code <= 102)
}

function pointer(path: readonly (string | number)[]): string {
  // Names come from the request, and a document quotes them: they must be printable and short.
  const printable = (piece: string) =>
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the search is for them
    (piece.length > 100 ? `${piece.slice(0, 100)}…` : piece).toWellFormed().replace(/[\u0000-\u001f\u007f]/g, '\ufffd')
  return pointerTo(path.map((piece) => printable(String(piece))))
}
