import type { Json, KubeObject } from './object.ts'
import { badRequest } from './status.ts'

/** Whether an object is selected. */
export type Selector = (object: KubeObject) => boolean

const key = `(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,251}[A-Za-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?`
const labelValue = `(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?`
const setBased = new RegExp(`^(${key})\\s+(in|notin)\\s*\\(([^()]*)\\)$`)
const comparison = new RegExp(`^(${key})\\s*(==|=|!=|>|<)\\s*(${labelValue})$`)
const existence = new RegExp(`^(!?)\\s*(${key})$`)

type Requirement = (labels: Record<string, string>) => boolean

/**
 * Compiles a label selector, equality and set based (`a=b,c!=d,e in (f,g),h notin (i),j,!k,l>5`).
 * Throws 400 if it does not parse.
 */
export function labelSelector(text: string): Selector | undefined {
  if (!text.trim()) return undefined
  const requirements = splitOutsideParentheses(text).map(labelRequirement)
  return (object) => requirements.every((holds) => holds(object.metadata.labels ?? {}))
}

function labelRequirement(part: string): Requirement {
  const set = setBased.exec(part)
  if (set) {
    const [, name = '', operator, list = ''] = set
    const values = new Set(list.split(',').map((value) => value.trim()))
    return operator === 'in'
      ? (labels) => Object.hasOwn(labels, name) && values.has(labels[name] ?? '')
      : (labels) => !Object.hasOwn(labels, name) || !values.has(labels[name] ?? '')
  }
  const compared = comparison.exec(part)
  if (compared) {
    const [, name = '', operator, value = ''] = compared
    if (operator === '!=') return (labels) => !Object.hasOwn(labels, name) || labels[name] !== value
    if (operator === '>') return (labels) => Object.hasOwn(labels, name) && Number(labels[name]) > Number(value)
    if (operator === '<') return (labels) => Object.hasOwn(labels, name) && Number(labels[name]) < Number(value)
    return (labels) => Object.hasOwn(labels, name) && labels[name] === value
  }
  const exists = existence.exec(part)
  if (exists) {
    const [, not, name = ''] = exists
    return not ? (labels) => !Object.hasOwn(labels, name) : (labels) => Object.hasOwn(labels, name)
  }
  throw badRequest(`unable to parse requirement: ${JSON.stringify(part)}`)
}

function splitOutsideParentheses(text: string): string[] {
  const parts: string[] = []
  let depth = 0
  let start = 0
  for (let index = 0; index < text.length; index++) {
    if (text[index] === '(') depth++
    else if (text[index] === ')') depth--
    else if (text[index] === ',' && depth === 0) {
      parts.push(text.slice(start, index).trim())
      start = index + 1
    }
  }
  parts.push(text.slice(start).trim())
  return parts
}

/**
 * Compiles a field selector (`metadata.name=a,status.phase!=Running`) for a kind with the given selectable fields.
 * Throws 400 for any other field, as the real server does.
 */
export function fieldSelector(text: string, fields: readonly string[]): Selector | undefined {
  if (!text.trim()) return undefined
  const requirements = text.split(',').map((part): Selector => {
    const match = /^([^=!]+)(==|=|!=)(.*)$/.exec(part.trim())
    if (!match) throw badRequest(`invalid selector: '${text}'; can't understand '${part}'`)
    const [, field = '', operator, value = ''] = match
    if (field !== 'metadata.name' && field !== 'metadata.namespace' && !fields.includes(field)) {
      throw badRequest(`field label not supported: ${field}`)
    }
    const path = field.split('.')
    return (object) => (fieldText(object, path) === value) === (operator !== '!=')
  })
  return (object) => requirements.every((holds) => holds(object))
}

function fieldText(object: KubeObject, path: string[]): string {
  let value: unknown = object
  for (const step of path) value = (value as Record<string, unknown> | undefined)?.[step]
  return value === undefined || value === null ? '' : String(value)
}

/** A LabelSelector object in the text form of a query. */
export function labelSelectorText(selector: Json): string {
  const equalities = Object.entries(selector?.matchLabels ?? {}).map(([name, value]) => `${name}=${value}`)
  const expressions = (selector?.matchExpressions ?? []).map(({ key: name, operator, values }: Json) => {
    if (operator === 'Exists') return name
    return operator === 'DoesNotExist' ? `!${name}` : `${name} ${operator.toLowerCase()} (${values.join(',')})`
  })
  return [...equalities, ...expressions].join(',')
}
