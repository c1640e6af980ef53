import { type CelInput, celEnv, isCelError, parse, plan } from '@bufbuild/cel'
import { strings } from '@bufbuild/cel/ext'

/** The syntax tree of CEL, as far as it is looked at here (cel.expr.Expr). */
type Expr = NonNullable<ReturnType<typeof parse>['expr']>

/** Evaluates an expression; a sentence's end where it has no value. */
export type Evaluate = (variables: Readonly<Record<string, unknown>>) => boolean | string

const env = celEnv({ funcs: strings })

/**
 * Compiles an expression of the Common Expression Language (cel.dev). It may have few loops, and none inside another, so that the time of an
 * evaluation is in proportion to the size of its variables.
 *
 * @throws Error that says what is wrong with the expression
 */
export function compileCel(source: string, variables: readonly string[]): Evaluate {
  const parsed = parse(source)
  const fault = new Inspection().faultOf(parsed.expr, new Set(variables))
  if (fault !== undefined) throw new Error(fault)
  const evaluate = plan(env, parsed.expr)
  return (given) => {
    const value = evaluate(given as Record<string, CelInput>)
    if (isCelError(value)) return `cannot be evaluated: ${String(value.message)}`
    return typeof value === 'boolean' ? value : 'is neither true nor false'
  }
}

/** The most loops (`all`, `exists`, `exists_one`, `map`, `filter`) of an expression. */
const maxLoops = 3

/** Why an expression is refused, by its syntax tree. */
class Inspection {
  #loops = 0

  /** @param known names @param depth of the loops around it */
  faultOf(expr: Expr | undefined, known: ReadonlySet<string>, depth = 0): string | undefined {
    const { case: kind, value } = expr?.exprKind ?? { case: undefined }
    switch (kind) {
      case 'identExpr':
        return known.has(value.name) ? undefined : `there is no ${value.name}; there is ${[...known].join(', ')}`
      case 'selectExpr':
        return this.faultOf(value.operand, known, depth)
      case 'callExpr':
        return this.#first([value.target, ...value.args], known, depth)
      case 'listExpr':
        return this.#first(value.elements, known, depth)
      case 'structExpr':
        return this.#first(
          value.entries.flatMap((entry) => [entry.keyKind.case === 'mapKey' ? entry.keyKind.value : undefined, entry.value]),
          known,
          depth,
        )
      case 'comprehensionExpr': {
        if (depth > 0) return 'a loop (all, exists, map, filter) must not be inside another'
        if (++this.#loops > maxLoops) return `it has more than ${maxLoops} loops (all, exists, map, filter)`
        const inside = new Set([...known, value.iterVar, value.iterVar2, value.accuVar])
        return (
          this.#first([value.iterRange, value.accuInit], known, depth) ??
          this.#first([value.loopCondition, value.loopStep, value.result], inside, depth + 1)
        )
      }
      case 'constExpr':
      case undefined:
        return undefined
      default:
        return kind satisfies never
    }
  }

  #first(all: readonly (Expr | undefined)[], known: ReadonlySet<string>, depth: number): string | undefined {
    for (const each of all) {
      const fault = this.faultOf(each, known, depth)
      if (fault !== undefined) return fault
    }
    return undefined
  }
}
