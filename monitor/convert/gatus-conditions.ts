/** What conditions of Gatus become: options of the check, expressions for its `conditions`, and notes. */
export type ConvertedConditions = {
  expectStatus?: number[]
  /** Milliseconds. */
  downAfterMs?: number
  conditions: string[]
  notes: string[]
}

/**
 * Converts conditions of Gatus (github.com/TwiN/gatus, config/endpoint/condition.go): `VALUE OPERATOR VALUE`, where a value may be a
 * placeholder such as `[STATUS]`, or one of the functions len, has, pat and any. Gatus compares texts, and integers as numbers.
 */
export function convertConditions(sources: readonly string[]): ConvertedConditions {
  const all: ConvertedConditions = { conditions: [], notes: [] }
  for (const source of sources) {
    const fault = convertOne(source.trim(), all)
    if (fault !== undefined) all.notes.push(`condition ${source}: ${fault}`)
  }
  // Gatus judges a status only where a condition names it; the check would refuse all but 200 to 299.
  const judgesStatus = all.expectStatus !== undefined || all.conditions.some((each) => /\bstatus\b/.test(each))
  if (!judgesStatus) all.conditions.unshift('status >= 100')
  return all
}

type Operator = '==' | '!=' | '<=' | '>=' | '<' | '>'

/** @returns why there is no counterpart */
function convertOne(source: string, into: ConvertedConditions): string | undefined {
  const [, left = '', operator = '', right = ''] = /^(.+?) (==|!=|<=|>=|<|>) (.+)$/.exec(source) ?? []
  if (operator === '') return 'is no condition of Gatus'
  const isLeft = /\[[A-Z_]+\]/.test(left)
  if (!isLeft && /\[[A-Z_]+\]/.test(right)) return convertOne(`${right} ${mirrored[operator as Operator]} ${left}`, into)
  const [, placeholder] = /\[([A-Z_]+)\]/.exec(left) ?? []
  switch (placeholder) {
    case 'STATUS':
      return convertStatus(operator as Operator, right, into)
    case 'RESPONSE_TIME':
      return convertTime(operator as Operator, right, into)
    case 'CONNECTED':
      return operator === '==' && right === 'true' ? undefined : 'a check is up only if it is connected'
    case 'CERTIFICATE_EXPIRATION':
      return convertExpiry(operator as Operator, right, into)
    case 'BODY':
      return convertBody(left, operator as Operator, right, into)
    case 'DOMAIN_EXPIRATION':
      return 'use a check of kind domain'
    default:
      return `there is no counterpart of [${placeholder}]`
  }
}

const mirrored: Record<Operator, Operator> = { '==': '==', '!=': '!=', '<=': '>=', '>=': '<=', '<': '>', '>': '<' }

function convertStatus(operator: Operator, right: string, into: ConvertedConditions): undefined | string {
  const numbers = argumentsOf('any', right)?.map(Number) ?? [Number(right)]
  const pattern = argumentOf('pat', right)
  if (pattern !== undefined) into.conditions.push(`${operator === '!=' ? '!' : ''}string(status).matches(${quoted(globOf(pattern))})`)
  else if (!numbers.every((each) => Number.isInteger(each) && each >= 100 && each <= 599)) return `${right} is no status`
  else if (operator === '==' && into.expectStatus === undefined) into.expectStatus = numbers
  else if (operator === '==' || operator === '!=')
    into.conditions.push(`${operator === '!=' ? '!' : ''}(status in [${numbers.join(', ')}])`)
  else into.conditions.push(`status ${operator} ${numbers[0]}`)
  return undefined
}

function convertTime(operator: Operator, right: string, into: ConvertedConditions): undefined | string {
  const ms = millisecondsOf(right)
  if (ms === undefined) return `${right} is no number of milliseconds`
  if ((operator === '<' || operator === '<=') && into.downAfterMs === undefined) into.downAfterMs = operator === '<' ? ms : ms + 1
  else into.conditions.push(`ms ${operator} ${ms}.0`)
  return undefined
}

function convertExpiry(operator: Operator, right: string, into: ConvertedConditions): undefined | string {
  const ms = millisecondsOf(right)
  if (ms === undefined) return `${right} is no duration`
  into.conditions.push(`certificateDays ${operator} ${decimal(ms / 86_400_000)}`)
  return undefined
}

function convertBody(left: string, operator: Operator, right: string, into: ConvertedConditions): undefined | string {
  const [, wrapper = '', path = ''] = /^(?:(len|has)\()?\[BODY\]([^()]*)\)?$/.exec(left) ?? []
  if (!/\[BODY\]/.test(left) || path.includes('*') || path.includes('..')) return 'its path has no counterpart'
  const steps = stepsOf(path)
  if (steps === undefined) return 'its path has no counterpart'
  const value = expressionOf(steps)
  if (wrapper === 'has') {
    if (!/^(true|false)$/.test(right) || (operator !== '==' && operator !== '!=')) return 'has is compared with true or false only'
    if (steps.some((step) => typeof step === 'number')) return 'has cannot look into a list'
    const exists = steps.map((_, index) => `has(${expressionOf(steps.slice(0, index + 1))})`).join(' && ') || 'body != null'
    into.conditions.push((right === 'true') === (operator === '==') ? exists : `!(${exists})`)
    return undefined
  }
  if (wrapper === 'len') {
    if (!/^\d+$/.test(right)) return `${right} is no number`
    into.conditions.push(`size(${value}) ${operator} ${right}`)
    return undefined
  }
  const found = operator === '==' || operator === '!=' ? equality(steps, right) : `double(${value}) ${operator} ${decimal(Number(right))}`
  if (found === undefined || found.includes('NaN')) return `${right} cannot be compared`
  into.conditions.push(operator === '!=' ? `!(${found})` : found)
  return undefined
}

/** Gatus compares texts: a number in the body equals its text. */
function equality(steps: readonly (string | number)[], right: string): string | undefined {
  const value = expressionOf(steps)
  const text = steps.length === 0 ? 'text' : `string(${value})`
  if (right.includes('[BODY]')) {
    const other = stepsOf(right.replace('[BODY]', ''))
    return other && `${value} == ${expressionOf(other)}`
  }
  const pattern = argumentOf('pat', right)
  if (pattern !== undefined) return `${text}.matches(${quoted(globOf(pattern))})`
  const any = argumentsOf('any', right)
  if (any !== undefined) return any.map((each) => equality(steps, each)).join(' || ')
  if (steps.length === 0) return `text == ${quoted(right)}`
  if (/^-?\d+(\.\d+)?$/.test(right)) return `(${value} == ${right} || ${value} == ${quoted(right)})`
  if (right === 'true' || right === 'false') return `(${value} == ${right} || ${value} == ${quoted(right)})`
  return `${value} == ${quoted(right)}`
}

/** The steps of a JSONPath such as `.data[0].user-id`; undefined if it has more than names and indices. */
function stepsOf(path: string): (string | number)[] | undefined {
  const steps: (string | number)[] = []
  let rest = path
  while (rest !== '') {
    const [whole, name, index] = /^(?:\.([^.[\]]+)|\[(\d+)\])/.exec(rest) ?? []
    if (whole === undefined) return undefined
    steps.push(name ?? Number(index))
    rest = rest.slice(whole.length)
  }
  return steps
}

/** Words of CEL that are no names of fields (github.com/google/cel-spec, langdef: RESERVED). */
const reserved = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while'.split(' '),
)

function expressionOf(steps: readonly (string | number)[]): string {
  return steps.reduce<string>((text, step) => {
    if (typeof step === 'number') return `${text}[${step}]`
    return /^[A-Za-z_]\w*$/.test(step) && !reserved.has(step) ? `${text}.${step}` : `${text}[${quoted(step)}]`
  }, 'body')
}

function argumentOf(name: 'pat' | 'any', text: string): string | undefined {
  return new RegExp(`^${name}\\((.*)\\)$`, 's').exec(text)?.[1]
}

function argumentsOf(name: 'any', text: string): string[] | undefined {
  return argumentOf(name, text)
    ?.split(',')
    .map((each) => each.trim())
}

/** A regular expression for a pattern with `*` and `?`. */
function globOf(pattern: string): string {
  const middle = pattern
    .replace(/[\\^$.|+()[\]{}]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  return `(?s)^${middle}$`
}

/** A number of milliseconds, or a duration of Go such as `48h` or `1h30m`. */
export function millisecondsOf(text: string): number | undefined {
  if (/^\d+$/.test(text)) return Number(text)
  if (!/^(\d+(\.\d+)?(h|ms|m|s|us|µs|ns))+$/.test(text)) return undefined
  const sizes: Record<string, number> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1, us: 1e-3, µs: 1e-3, ns: 1e-6 }
  let sum = 0
  for (const [, number, unit = ''] of text.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)/g)) sum += Number(number) * (sizes[unit] ?? 0)
  return Math.round(sum)
}

/** A double of CEL, which an integer is not. */
function decimal(number: number): string {
  return Number.isInteger(number) ? `${number}.0` : String(number)
}

function quoted(text: string): string {
  return JSON.stringify(text)
}
