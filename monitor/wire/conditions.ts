import * as z from 'zod'
import type { Evaluate } from './cel.ts'

let engine: typeof import('./cel.ts') | undefined

/**
 * Loads the engine of conditions, if the text of a configuration may have any: it takes 20 MiB and a tenth of a second. A configuration that
 * is parsed without it is accepted, and its faults show when a condition is first evaluated.
 */
export async function loadConditionsFor(text: string): Promise<void> {
  if (/condition|_cel\b/.test(text)) engine ??= await import('./cel.ts')
}

/** An expression of the Common Expression Language that is true or false of an answer. */
class Condition {
  readonly source: string
  readonly #variables: readonly string[]
  #evaluate: Evaluate | undefined

  constructor(source: string, variables: readonly string[]) {
    this.source = source
    this.#variables = variables
    if (engine !== undefined) this.#evaluate = engine.compileCel(source, variables)
  }

  /** True, or the end of a sentence that begins with the condition: why it does not hold. */
  async holds(given: Readonly<Record<string, unknown>>): Promise<true | string> {
    engine ??= await import('./cel.ts')
    this.#evaluate ??= engine.compileCel(this.source, this.#variables)
    const value = this.#evaluate(given)
    return value === false ? 'is false' : value
  }

  toString(): string {
    return this.source
  }

  toJSON(): string {
    return this.source
  }
}

/** A field with a condition. @param variables the names that it may use */
export function condition(variables: readonly string[]) {
  return z
    .string()
    .min(1)
    .max(1024)
    .transform((source, context) => {
      try {
        return new Condition(source, variables)
      } catch (error) {
        context.addIssue({ code: 'custom', message: `must be an expression of CEL: ${(error as Error).message}` })
        return z.NEVER
      }
    })
}

/** The most bytes, and the most values, of a JSON document that conditions look at: they are evaluated in one piece. */
const maxJsonBytes = 256 * 1024
const maxJsonValues = 5_000

/** A JSON document for conditions. @returns a sentence's end instead, if it is too large or no JSON */
export function jsonForConditions(bytes: Uint8Array): { value: unknown } | string {
  if (bytes.length > maxJsonBytes) return `is larger than ${maxJsonBytes / 1024} KiB`
  let count = 0
  try {
    const value = JSON.parse(Buffer.from(bytes).toString(), (_, each) => {
      if (++count > maxJsonValues) throw new RangeError(`has more than ${maxJsonValues} values`)
      return each
    })
    return { value }
  } catch (error) {
    return error instanceof RangeError ? error.message : 'is not JSON'
  }
}
