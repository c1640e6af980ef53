import type { Fault } from '../../shared/errors.ts'

/** A text that is not JSON. The position counts lines and characters from 1. */
export class JsonSyntaxError extends Error {
  override readonly name = 'JsonSyntaxError'
}

export type JsonLimits = {
  /** Objects and arrays inside one another. */
  maxDepth: number
  /** Faults after which nobody reads on. */
  maxFaults: number
}

export const jsonLimits: JsonLimits = { maxDepth: 32, maxFaults: 100 }

/** Names that mean something to JavaScript itself. Nothing in the API is called so, and nothing may come to be. */
const refusedNames = new Set(['__proto__', 'constructor', 'prototype'])

/**
 * Parses JSON as RFC 8259 has it, and is strict where JSON.parse is not: a name that stands twice, a name that means something to
 * JavaScript, half a surrogate pair, a control character or a number that cannot be held exactly is a fault with its JSON pointer.
 *
 * @returns the value without what is at fault, and all faults
 * @throws JsonSyntaxError with line and column, or that it is nested too deeply
 */
export function parseJson(text: string, limits: JsonLimits = jsonLimits): { value: unknown; faults: Fault[] } {
  const faults: Fault[] = []
  const path: (string | number)[] = []
  let at = 0

  function fail(what: string, where = at): never {
    const before = text.slice(0, where).split('\n')
    throw new JsonSyntaxError(`line ${before.length}, column ${(before.at(-1) as string).length + 1}: ${what}`)
  }

  function fault(message: string): void {
    if (faults.length < limits.maxFaults) faults.push({ path: pointer(path), message })
  }

  function space(): void {
    for (;;) {
      const code = text.charCodeAt(at)
      if (code !== 32 && code !== 10 && code !== 13 && code !== 9) return
      at++
    }
  }

  function value(): unknown {
    space()
    const first = text[at]
    if (first === '{') return object()
    if (first === '[') return array()
    if (first === '"') return content(string())
    if (first === 't') return word('true', true)
    if (first === 'f') return word('false', false)
    if (first === 'n') return word('null', null)
    return number()
  }

  function object(): Record<string, unknown> {
    const result: Record<string, unknown> = {}
    open()
    space()
    if (text[at] === '}') return close(result)
    for (;;) {
      space()
      if (text[at] !== '"') fail(at < text.length ? 'a name in double quotes is expected' : 'the text ends inside an object')
      const name = string()
      space()
      if (text[at] !== ':') fail('":" is expected after a name')
      at++
      path.push(name)
      const given = value()
      if (refusedNames.has(name)) fault('is a name that is not allowed')
      else if (Object.hasOwn(result, name)) fault('stands there more than once')
      else if (content(name) === name) result[name] = given
      path.pop()
      space()
      if (text[at] === '}') return close(result)
      if (text[at] !== ',') fail(at < text.length ? '"," or "}" is expected' : 'the text ends inside an object')
      at++
    }
  }

  function array(): unknown[] {
    const result: unknown[] = []
    open()
    space()
    if (text[at] === ']') return close(result)
    for (;;) {
      path.push(result.length)
      result.push(value())
      path.pop()
      space()
      if (text[at] === ']') return close(result)
      if (text[at] !== ',') fail(at < text.length ? '"," or "]" is expected' : 'the text ends inside a list')
      at++
    }
  }

  let depth = 0
  function open(): void {
    if (++depth > limits.maxDepth) fail(`nested more than ${limits.maxDepth} levels deep`)
    at++
  }

  function close<T>(result: T): T {
    depth--
    at++
    return result
  }

  /** A string, at its opening quote. What is between the quotes is left to JSON.parse when there is an escape in it. */
  function string(): string {
    const start = at++
    let escaped = false
    for (;;) {
      const code = text.charCodeAt(at)
      if (code === 34) break
      if (code === 92) {
        escaped = true
        const next = text[at + 1]
        if (next === 'u') {
          if (!/^[0-9a-fA-F]{4}$/.test(text.slice(at + 2, at + 6))) fail('"\\u" needs four hexadecimal digits')
          at += 6
        } else if (next !== undefined && '"\\/bfnrt'.includes(next)) at += 2
        else fail('there is no such escape')
      } else if (code < 32) fail('a control character must be escaped')
      else if (Number.isNaN(code)) fail('the text ends inside a string')
      else at++
    }
    at++
    return escaped ? (JSON.parse(text.slice(start, at)) as string) : text.slice(start + 1, at - 1)
  }

  /** The string, or an empty one with a fault noted when it is nothing that may be stored. */
  function content(given: string): string {
    if (!given.isWellFormed()) fault('contains half of a surrogate pair')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    else if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/.test(given)) fault('contains a control character')
    else return given
    return ''
  }

  function word<T>(expected: string, meaning: T): T {
    if (!text.startsWith(expected, at)) fail('a value is expected')
    at += expected.length
    return meaning
  }

  function number(): number {
    const syntax = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
    syntax.lastIndex = at
    const found = syntax.exec(text)?.[0]
    if (found === undefined) fail(at < text.length ? 'a value is expected' : 'the text ends where a value is expected')
    at += found.length
    const result = Number(found)
    const isExact = Number.isFinite(result) && (!Number.isInteger(result) || Number.isSafeInteger(result))
    if (!isExact) fault('is a number too large to be held exactly')
    return isExact ? result : 0
  }

  const result = value()
  space()
  if (at < text.length) fail('the text goes on after the value')
  return { value: result, faults }
}

function pointer(path: readonly (string | number)[]): string {
  // Names come from the request: they must be printable and short in a document that quotes them.
  const printable = (piece: string) =>
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    (piece.length > 100 ? `${piece.slice(0, 100)}…` : piece).toWellFormed().replace(/[\u0000-\u001f\u007f]/g, '\ufffd')
  return path.map((piece) => `/${printable(String(piece)).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}
