import type { parse } from '@bufbuild/cel'

/** The syntax tree of CEL (cel.expr.Expr). */
type Expr = NonNullable<ReturnType<typeof parse>['expr']>

/** The most loops (`all`, `exists`, `exists_one`, `map`, `filter`) of an expression. */
const maxLoops = 3

/**
 * Why an expression is refused: it names what there is not, or its time would not be in proportion to the size of its variables, since an
 * evaluation cannot be interrupted. A loop is not inside another, and inside it only the element is searched: each element once.
 */
export function faultOfCel(expr: Expr, variables: readonly string[]): string | undefined {
  return new Inspection().faultOf(expr, { known: new Set(variables) })
}

/** What an expression may name; inside a loop, the names that stand for its element and its result. */
type Scope = { known: ReadonlySet<string>; element?: ReadonlySet<string> }

const logic = new Set(['_&&_', '_||_', '!_', '_?_:_', '@not_strictly_false', '_[_]'])
/** Two values are compared up to the end of the smaller one. */
const comparisons = new Set(['_==_', '_!=_', '_<_', '_<=_', '_>_', '_>=_'])

class Inspection {
  #loops = 0

  faultOf(expr: Expr | undefined, scope: Scope): string | undefined {
    const { case: kind, value } = expr?.exprKind ?? { case: undefined }
    switch (kind) {
      case 'identExpr':
        return scope.known.has(value.name) ? undefined : `there is no ${value.name}; there is ${[...scope.known].join(', ')}`
      case 'selectExpr':
        return this.faultOf(value.operand, scope)
      case 'callExpr': {
        const operands = [...(value.target === undefined ? [] : [value.target]), ...value.args]
        return callFault(value.function, operands, scope) ?? this.#first(operands, scope)
      }
      case 'listExpr':
        return this.#first(value.elements, scope)
      case 'structExpr':
        return this.#first(partsOf(value.entries), scope)
      case 'comprehensionExpr': {
        if (scope.element !== undefined) return 'a loop (all, exists, map, filter) must not be inside another'
        if (++this.#loops > maxLoops) return `it has more than ${maxLoops} loops (all, exists, map, filter)`
        const element = new Set([value.iterVar, value.iterVar2, value.accuVar])
        const inside = { known: new Set([...scope.known, ...element]), element }
        return (
          this.#first([value.iterRange, value.accuInit], scope) ?? this.#first([value.loopCondition, value.loopStep, value.result], inside)
        )
      }
      case 'constExpr':
      case undefined:
        return undefined
      default:
        return kind satisfies never
    }
  }

  #first(all: readonly (Expr | undefined)[], scope: Scope): string | undefined {
    for (const each of all) {
      const fault = this.faultOf(each, scope)
      if (fault !== undefined) return fault
    }
    return undefined
  }
}

function callFault(name: string, operands: readonly Expr[], { element }: Scope): string | undefined {
  if (name === 'matches' && operands.at(-1)?.exprKind.case !== 'constExpr') return 'the pattern of matches() must be a text in quotes'
  if (element === undefined || logic.has(name)) return undefined
  const isCheap = comparisons.has(name)
    ? operands.some((each) => isOfElement(each, element))
    : operands.every((each) => isOfElement(each, element))
  return isCheap ? undefined : `inside a loop, ${nameOf(name)} may look at the element only`
}

/** Whether an expression consists of the element of a loop and of constants. */
function isOfElement(expr: Expr | undefined, element: ReadonlySet<string>): boolean {
  const { case: kind, value } = expr?.exprKind ?? { case: undefined }
  switch (kind) {
    case 'identExpr':
      return element.has(value.name)
    case 'selectExpr':
      return isOfElement(value.operand, element)
    case 'callExpr':
      return [...(value.target === undefined ? [] : [value.target]), ...value.args].every((each) => isOfElement(each, element))
    case 'listExpr':
      return value.elements.every((each) => isOfElement(each, element))
    case 'structExpr':
      return partsOf(value.entries).every((each) => isOfElement(each, element))
    case 'comprehensionExpr':
      return false
    case 'constExpr':
    case undefined:
      return true
    default:
      return kind satisfies never
  }
}

type Entries = Extract<Expr['exprKind'], { case: 'structExpr' }>['value']['entries']

function partsOf(entries: Entries): (Expr | undefined)[] {
  return entries.flatMap(({ keyKind, value }) => [keyKind.case === 'mapKey' ? keyKind.value : undefined, value])
}

/** The name as it is written: `in` for `@in`, `+` for `_+_`. */
function nameOf(name: string): string {
  return /^\w+$/.test(name) ? `${name}()` : name.replace(/[_@]/g, '')
}
