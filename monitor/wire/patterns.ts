import * as z from 'zod'
import { Automaton } from './regexp/automaton.ts'
import { GroupFinder } from './regexp/groups.ts'
import { compileProgram, PatternError, type Program } from './regexp/program.ts'
import { inTurns } from './turns.ts'

/** What surely is a regular expression need not be compiled before it is used, and so does not load the engine. */
const plain = /^\^?[A-Za-z0-9 _.,:;<>"'/=@#%&~!-]*\$?$/

/**
 * A regular expression of a user. It means what RE2 and Go's regexp mean, searches bytes that need not be UTF-8, and takes time in proportion
 * to their length. A long search gives way to other work.
 */
export class Pattern {
  readonly source: string
  #compiled: Program | undefined
  #automaton: Automaton | undefined
  #finder: GroupFinder | undefined

  /** @throws PatternError that says what is wrong, in Go's words */
  constructor(source: string) {
    this.source = source
    if (!plain.test(source)) this.#compiled = compileProgram(source)
  }

  /** Whether any part of the text matches. @throws the signal's reason */
  async test(text: Uint8Array | string, signal: AbortSignal): Promise<boolean> {
    this.#automaton ??= new Automaton(this.#program)
    try {
      return await inTurns(this.#automaton.search(bytesOf(text)), signal)
    } finally {
      this.#automaton.rest()
    }
  }

  /** The leftmost match, with its groups; undefined if there is none. @throws the signal's reason */
  async match(text: Uint8Array | string, signal: AbortSignal): Promise<Match | undefined> {
    const bytes = bytesOf(text)
    if (!(await this.test(bytes, signal))) return undefined
    this.#finder ??= new GroupFinder(this.#program)
    const slots = await inTurns(this.#finder.search(bytes), signal)
    return slots && new Match(bytes, slots, this.#program.names)
  }

  get #program(): Program {
    this.#compiled ??= compileProgram(this.source)
    return this.#compiled
  }

  toString(): string {
    return this.source
  }

  toJSON(): string {
    return this.source
  }
}

/** A part of a text that matches a pattern. */
export class Match {
  /** Where the match, and then each group, begins and ends, in bytes: two numbers for each, -1 for a group that took no part. */
  readonly positions: Int32Array
  readonly #text: Uint8Array
  readonly #names: Readonly<Record<string, number>>

  constructor(text: Uint8Array, positions: Int32Array, names: Readonly<Record<string, number>>) {
    this.positions = positions
    this.#text = text
    this.#names = names
  }

  /**
   * Puts groups into a text, by Go's rules (Regexp.Expand): `$1`, `$name` with as many letters, digits and `_` as follow, `${1}`, `${name}`,
   * and `$$` for a dollar sign. Groups that do not exist, or took no part, are empty; a `$` before anything else stays.
   */
  expand(template: string): Buffer {
    const parts: Uint8Array[] = []
    let from = 0
    for (const { 0: found, 1: braced, 2: bare, index } of template.matchAll(/\$(?:\$|\{([\p{L}\p{Nd}_]+)\}|([\p{L}\p{Nd}_]+))/gu)) {
      parts.push(Buffer.from(template.slice(from, index)))
      from = index + found.length
      const name = braced ?? bare
      parts.push(name === undefined ? Buffer.from('$') : this.#group(name))
    }
    return Buffer.concat([...parts, Buffer.from(template.slice(from))])
  }

  #group(name: string): Uint8Array {
    const number = /^\d+$/.test(name) ? Number(name) : (this.#names[name] ?? -1)
    const from = this.positions[2 * number] ?? -1
    return from < 0 ? new Uint8Array(0) : this.#text.subarray(from, this.positions[2 * number + 1])
  }
}

function bytesOf(text: Uint8Array | string): Uint8Array {
  return typeof text === 'string' ? Buffer.from(text) : text
}

function compiled(source: string, context: z.RefinementCtx): Pattern {
  try {
    return new Pattern(source)
  } catch (error) {
    if (!(error instanceof PatternError)) throw error
    context.addIssue({ code: 'custom', message: `must be a regular expression as in RE2: ${error.message}` })
    return z.NEVER
  }
}

/** A field with a regular expression. A text that is none is refused with the reason. */
export const pattern = z.string().min(1).max(4096).transform(compiled)

/** The same as in blackbox_exporter, where an empty text matches everything. */
export const anyPattern = z.string().max(4096).transform(compiled)
