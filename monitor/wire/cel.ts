import { type CelInput, CelScalar, celEnv, celMethod, isCelError, parse, plan } from '@bufbuild/cel'
import { RE2JS } from 're2js'
import { faultOfCel } from './cel-cost.ts'

/** Evaluates an expression; a sentence's end where it has no value. */
export type Evaluate = (variables: Readonly<Record<string, unknown>>) => boolean | string

/** The longest text that an expression may search with `matches`, which holds the event loop until its end: 5 ms. */
const maxMatched = 16 * 1024

const { STRING, BOOL } = CelScalar
const matches = celMethod('matches', STRING, [STRING], BOOL, function (pattern) {
  if (this.length > maxMatched) throw new Error(`matches() searches at most ${maxMatched} characters; use expectBody`)
  return RE2JS.compile(pattern).test(this)
})
const env = celEnv({ funcs: [matches] })

/**
 * Compiles an expression of the Common Expression Language (cel.dev), with its standard functions. The time of an evaluation is in proportion
 * to the size of its variables: `faultOfCel` refuses what would take longer.
 *
 * @throws Error that says what is wrong with the expression
 */
export function compileCel(source: string, variables: readonly string[]): Evaluate {
  const parsed = parse(source)
  const fault = faultOfCel(parsed.expr, variables)
  if (fault !== undefined) throw new Error(fault)
  const evaluate = plan(env, parsed.expr)
  return (given) => {
    const value = evaluate(given as Record<string, CelInput>)
    if (isCelError(value)) return `cannot be evaluated: ${String(value.message)}`
    return typeof value === 'boolean' ? value : 'is neither true nor false'
  }
}
