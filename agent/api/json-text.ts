import type { Fault } from '../../shared/errors.ts'

/** A text that is not JSON. Lines and columns count from 1. */
export class JsonSyntaxError extends Error {
  override readonly name = 'JsonSyntaxError'
}

export type JsonLimits = {
  /** Levels of objects and arrays. */
  maxDepth: number
  /** More faults are not collected. */
  maxFaults: number
}

const jsonLimits: JsonLimits = { maxDepth: 32, maxFaults: 100 }

/** Names with a meaning in JavaScript. Nothing in the API has one of them, now or later. */
const refusedNames = new Set(['__proto__', 'constructor', 'prototype'])

/**
 * Parses JSON (RFC 8259) and is strict where `JSON.parse` is not: a repeated name, a name with a meaning in JavaScript, half a
 * surrogate pair, a control character and a number that cannot be represented exactly are faults with a JSON pointer.
 *
 * It is our own parser, because a body can order a database: `JSON.parse` silently keeps the last of two `"nodes"`, rounds numbers, and reports
 * no line. A reviver does not see any of that, and a YAML parser accepts texts that are not JSON.
 *
 * @returns the value without the faulty parts, and all faults
 * @throws JsonSyntaxError with line and column, or because of too many levels
 */
export function parseJson(text: string, limits: JsonLimits = jsonLimits): { value: unknown; faults: Fault[] } {
  const reader = new JsonReader(text, limits)
  return { value: reader.read(), faults: reader.faults }
}

class JsonReader {
  readonly faults: Fault[] = []
  readonly #text: string
  readonly #limits: JsonLimits
  readonly #path: (string | number)[] = []
  #at = 0
  #depth = 0

  constructor(text: string, limits: JsonLimits) {
    this.#text = text
    this.#limits = limits
  }

  read(): unknown {
    const value = this.#value()
    this.#skipSpace()
    if (this.#at < this.#text.length) this.#fail('unexpected text after the value')
    return value
  }

  #fail(what: string): never {
    const before = this.#text.slice(0, this.#at).split('\n')
    throw new JsonSyntaxError(`line ${before.length}, column ${(before.at(-1) as string).length + 1}: ${what}`)
  }

  /** At the end of the text says `atEnd`. */
  #expected(what: string, atEnd: string): never {
    return this.#fail(this.#at < this.#text.length ? `${what} is expected` : `the text ends ${atEnd}`)
  }

  #fault(message: string): void {
    if (this.faults.length < this.#limits.maxFaults) this.faults.push({ path: pointer(this.#path), message })
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
    for (;;) {
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
    if (++this.#depth > this.#limits.maxDepth) this.#fail(`more than ${this.#limits.maxDepth} levels of objects and lists`)
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
    const next = this.#text[this.#at + 1]
    if (next === 'u') {
      if (!/^[0-9a-fA-F]{4}$/.test(this.#text.slice(this.#at + 2, this.#at + 6))) this.#fail('"\\u" needs four hexadecimal digits')
      this.#at += 6
    } else if (next !== undefined && '"\\/bfnrt'.includes(next)) this.#at += 2
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

function pointer(path: readonly (string | number)[]): string {
  // Names come from the request, and a document quotes them: they must be printable and short.
  const printable = (piece: string) =>
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the search is for them
    (piece.length > 100 ? `${piece.slice(0, 100)}…` : piece).toWellFormed().replace(/[\u0000-\u001f\u007f]/g, '\ufffd')
  return path.map((piece) => `/${printable(String(piece)).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}
