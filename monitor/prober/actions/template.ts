import mustache from 'mustache'
import { type Occasion, occasions } from './action.ts'

/** The fields of a webhook's body, as its template names them. `labels` and `secrets` have fields of their own. */
export type TemplateFields = Record<(typeof textFields)[number], string> & {
  consecutiveFailures: number
  labels: Readonly<Record<string, string>>
  secrets: Readonly<Record<string, string>>
} & Readonly<Record<Occasion, boolean>>

const textFields = ['check', 'kind', 'target', 'severity', 'state', 'since', 'reason', 'detail', 'hint', 'sentAt'] as const

/** Every name that a template may use by itself. */
const templateFields: readonly string[] = [...textFields, 'consecutiveFailures', 'labels', 'secrets', ...occasions]

/**
 * Fills in a template of Mustache (mustache(5)): `{{field}}`, and sections `{{#down}}…{{/down}}` and `{{^down}}…{{/down}}`.
 * @param isJson whether a value stands inside a JSON string, and is escaped for it
 */
export function fillIn(template: string, fields: TemplateFields, isJson: boolean): string {
  return mustache.render(template, fields, undefined, { escape: isJson ? inJson : String })
}

/** Why a template is refused: the end of a sentence that begins with its path. Undefined if it is good. */
export function templateFault(template: string, { isJson, secrets }: { isJson: boolean; secrets: readonly string[] }): string | undefined {
  let tokens: Token[]
  try {
    tokens = mustache.parse(template) as Token[]
  } catch (error) {
    return `is not a template: ${(error as Error).message}`
  }
  const fault = tokensFault(tokens, { isJson, secrets })
  if (fault !== undefined || !isJson) return fault
  for (const occasion of occasions) {
    try {
      JSON.parse(fillIn(template, sample(occasion, secrets), true))
    } catch (error) {
      return `is not JSON once it is filled in for ${occasion}: ${(error as Error).message}. For other text, set contentType`
    }
  }
  return undefined
}

/** A token of Mustache: its type, its name or text, where it begins and ends, and for a section the tokens inside. */
type Token = [type: string, value: string, start: number, end: number, inside?: Token[]]

function tokensFault(tokens: readonly Token[], given: { isJson: boolean; secrets: readonly string[] }): string | undefined {
  for (const [type, name, , , inside = []] of tokens) {
    if (type === 'text' || type === '!') continue
    if (type === '>') return `has the partial ${name}; there are none`
    if (type === '=') return 'changes the delimiters, which is not supported'
    if (type === '&' && given.isJson) return `has {{{${name}}}} or {{&${name}}}, which would not be escaped for JSON; write {{${name}}}`
    const fault = nameFault(name, given.secrets) ?? tokensFault(inside, given)
    if (fault !== undefined) return fault
  }
  return undefined
}

function nameFault(name: string, secrets: readonly string[]): string | undefined {
  const [first = '', second, ...rest] = name.split('.')
  if (first === 'labels' && second !== undefined && rest.length === 0) return undefined
  if (first === 'secrets' && second !== undefined && rest.length === 0)
    return secrets.includes(second) ? undefined : `has {{${name}}}, but secretFiles has no ${second}`
  if (second === undefined && first !== 'labels' && first !== 'secrets' && templateFields.includes(first)) return undefined
  const names = templateFields.map((each) => (each === 'labels' || each === 'secrets' ? `${each}.NAME` : each))
  return `has {{${name}}}; the fields are ${names.join(', ')}`
}

/** Fields that would break JSON if they were not escaped. */
function sample(occasion: Occasion, secrets: readonly string[]): TemplateFields {
  const text = '"\\\n'
  return {
    ...(Object.fromEntries(textFields.map((name) => [name, text])) as Record<(typeof textFields)[number], string>),
    consecutiveFailures: 1,
    labels: {},
    secrets: Object.fromEntries(secrets.map((name) => [name, text])),
    down: occasion === 'down',
    degraded: occasion === 'degraded',
    recovered: occasion === 'recovered',
  }
}

function inJson(value: unknown): string {
  return JSON.stringify(String(value)).slice(1, -1)
}
