/** A selector of series in an expression, with its matchers in their order. */
export type Selector = { name: string; matchers: { label: string; op: string; value: string }[] }

/** What an expression names. */
export type Named = {
  selectors: Selector[]
  /** Labels by which series are grouped or joined: of by, without, on, ignoring, group_left and group_right. */
  groupings: string[]
}

const token = /"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\[[^\]]*\]|[A-Za-z_:][\w:]*|\d[\w.]*|[=!]~|!=|\s+|./gs
const groupers = new Set(['by', 'without', 'on', 'ignoring', 'group_left', 'group_right'])
const operators = new Set(['and', 'or', 'unless', 'bool', 'offset', 'atan2', 'inf', 'nan'])

/** The series and labels that a PromQL expression names. @throws Error where it selects series without naming them */
export function namedIn(expression: string): Named {
  const tokens = expression.match(token)?.filter((each) => each.trim() !== '') ?? []
  const named: Named = { selectors: [], groupings: [] }
  let at = 0
  const until = (end: string) => {
    const from = at
    while (at < tokens.length && tokens[at] !== end) at++
    return tokens.slice(from, at++)
  }
  while (at < tokens.length) {
    const word = tokens[at++] as string
    if (word === '{') throw new Error(`series without a name in ${expression}`)
    if (!/^[A-Za-z_:]/.test(word) || operators.has(word.toLowerCase())) continue
    const next = tokens[at]
    if (groupers.has(word)) {
      if (next === '(') at++
      if (next === '(') named.groupings.push(...until(')').filter((each) => each !== ','))
    } else if (next === '{') {
      at++
      named.selectors.push({ name: word, matchers: matchersOf(until('}')) })
    } else if (next !== '(' && !groupers.has(next ?? '')) named.selectors.push({ name: word, matchers: [] })
  }
  return named
}

function matchersOf(tokens: string[]): Selector['matchers'] {
  const rest = tokens.filter((each) => each !== ',')
  return Array.from({ length: rest.length / 3 }, (_, index) => {
    const [label = '', op = '', value = ''] = rest.slice(index * 3)
    return { label, op, value: JSON.parse(value) as string }
  })
}
