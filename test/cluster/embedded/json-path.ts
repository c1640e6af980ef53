import { isMap, type Json } from './object.ts'

type Step = (values: Json[]) => Json[]

/**
 * Compiles the JSONPath of a printer column: dotted fields (`\.` for a dot in a name), `['name']`, `[0]`, `[*]` and
 * filters such as `[?(@.type=="Ready")]`. Undefined when it does not parse.
 */
export function compileJsonPath(text: string): ((value: Json) => Json[]) | undefined {
  const steps: Step[] = []
  let rest = text.trim().replace(/^\{(.*)\}$/, '$1')
  while (rest) {
    const match =
      /^\.((?:\\.|[^.[\\])+)/.exec(rest) ?? /^\[\s*'((?:[^'\\]|\\.)*)'\s*\]/.exec(rest) ?? /^\[\s*"((?:[^"\\]|\\.)*)"\s*\]/.exec(rest)
    if (match) steps.push(field((match[1] ?? '').replace(/\\(.)/g, '$1')))
    const bracket = match ? undefined : /^\[((?:[^\]"']|"[^"]*"|'[^']*')*)\]/.exec(rest)
    if (bracket) {
      const step = bracketStep((bracket[1] ?? '').trim())
      if (!step) return undefined
      steps.push(step)
    }
    const used = (match ?? bracket)?.[0].length
    if (!used) return undefined
    rest = rest.slice(used)
  }
  return (value) => steps.reduce((values, step) => step(values), [value])
}

const field =
  (name: string): Step =>
  (values) =>
    values.flatMap((value) => {
      if (name === '*') return isMap(value) ? Object.values(value) : []
      return isMap(value) && Object.hasOwn(value, name) ? [value[name]] : []
    })

function bracketStep(text: string): Step | undefined {
  if (text === '*') return (values) => values.flatMap((value) => (Array.isArray(value) ? value : isMap(value) ? Object.values(value) : []))
  if (/^-?\d+$/.test(text)) {
    return (values) =>
      values.flatMap((value) => (Array.isArray(value) && value.at(Number(text)) !== undefined ? [value.at(Number(text))] : []))
  }
  const filter = /^\?\(\s*@((?:\\.|[^=!<>\s])*)\s*(==|!=|>=|<=|>|<)\s*(.+?)\s*\)$/.exec(text)
  if (!filter) return undefined
  const [, path = '', operator = '', literal = ''] = filter
  const read = compileJsonPath(path)
  const wanted = parseLiteral(literal)
  if (!read) return undefined
  const holds = (item: Json): boolean => read(item).some((value) => compare(value, operator, wanted))
  return (values) => values.flatMap((value) => (Array.isArray(value) ? value.filter(holds) : []))
}

function parseLiteral(text: string): Json {
  const quoted = /^(["'])(.*)\1$/.exec(text)
  if (quoted) return quoted[2]
  if (text === 'true' || text === 'false') return text === 'true'
  return Number.isNaN(Number(text)) ? text : Number(text)
}

function compare(value: Json, operator: string, wanted: Json): boolean {
  switch (operator) {
    case '==':
      return value === wanted
    case '!=':
      return value !== wanted
    case '>':
      return value > wanted
    case '<':
      return value < wanted
    case '>=':
      return value >= wanted
    default:
      return value <= wanted
  }
}
