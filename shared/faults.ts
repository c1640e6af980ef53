import type * as z from 'zod'
import { type BodyFault, FaultList } from './errors.ts'
import { pointerTo } from './json-pointer.ts'
import { fieldNames, fieldSchemas, nearest, type Schema } from './schema.ts'

/** A fault with its path in pieces, to be located in a document. `isKey`: the name of the field is at fault, not its value. */
export type FaultAt = { path: (string | number)[]; message: string; isKey: boolean }

/**
 * Parses with a schema. On failure it names the faults in words, as many as a FaultList keeps, without the values that were given: they may
 * be secret. The message for an unrecognized field suggests the most similar name.
 *
 * @param jitless for a schema that parses once: zod generates no code for it, which takes longer than the parse
 * @param explain what is known about an unrecognized field, by its path; undefined for the usual message
 */
export function parseWith<S extends z.ZodType>(
  schema: S,
  input: unknown,
  { jitless = false, explain = () => undefined }: { jitless?: boolean; explain?: Explain } = {},
): { ok: true; value: z.output<S> } | { ok: false; faults: FaultAt[]; more: number } {
  const parsed = schema.safeParse(input, { error: sayIssue, jitless })
  if (parsed.success) return { ok: true, value: parsed.data }
  const list = new FaultList<FaultAt>()
  // A refinement presupposes the form: "must be at least 4.5.0" says nothing more about a version that is none.
  const { issues } = parsed.error
  const malformed = new Set(issues.flatMap(({ code, path }) => (code === 'invalid_format' ? [path.join('\0')] : [])))
  const said = malformed.size === 0 ? issues : issues.filter(({ code, path }) => code !== 'custom' || !malformed.has(path.join('\0')))
  for (const issue of said) addFaults(issue, { schema, input, explain }, list)
  return { ok: false, faults: list.found, more: list.more }
}

/** A fault of a Problem. @param base JSON pointer that the path is relative to */
export function asFault({ path, message }: FaultAt, base = ''): BodyFault {
  return { path: base + pointerTo(path), message }
}

type Explain = (path: readonly (string | number)[]) => string | undefined
type Parse = { schema: Schema; input: unknown; explain: Explain }

function addFaults(issue: z.core.$ZodIssue, parse: Parse, list: FaultList<FaultAt>): void {
  const { schema, input, explain } = parse
  const path = issue.path.map((piece) => (typeof piece === 'number' ? piece : String(piece)))
  if (issue.code === 'unrecognized_keys') {
    let known: string[] | undefined
    for (const key of issue.keys) {
      list.add(() => {
        known ??= schemasAt(schema, path, input).flatMap(fieldNames)
        return { path: [...path, key], message: explain([...path, key]) ?? unknownField(key, known), isKey: true }
      })
    }
    return
  }
  if (issue.code === 'invalid_key') {
    list.add(() => ({ path, message: `is not an allowed name: it ${issue.issues[0]?.message ?? 'is invalid'}`, isKey: true }))
    return
  }
  if (issue.code === 'invalid_union' && issue.errors.length > 0 && issue.message === unsaid) {
    // The intended alternative is the one with faults inside the value: the others refuse the value as a whole.
    const [meant, ...others] = issue.errors.filter((faults) =>
      faults.every((fault) => fault.path.length > 0 || fault.code === 'unrecognized_keys'),
    )
    if (meant !== undefined && others.length === 0) {
      for (const inner of meant) addFaults({ ...inner, path: [...issue.path, ...inner.path] }, parse, list)
      return
    }
    const words = new Set(issue.errors.flatMap((faults) => faults.slice(0, 1).map((fault) => fault.message)))
    list.add(() => ({ path, message: [...words].join(', or '), isKey: false }))
    return
  }
  list.add(() => ({ path, message: issue.message, isKey: false }))
}

/** zod's message for a union when neither the schema nor `sayIssue` has one. */
const unsaid = 'Invalid input'

/** The message for an unrecognized field. */
export function unknownField(name: string, known: readonly string[]): string {
  const file = fileFieldFor(name, known)
  if (file !== undefined) return `is not recognized: put it into a file, and the path of that file into ${file}`
  const meant = nearest(name, known)
  if (meant !== undefined) return `is not recognized; did you mean ${JSON.stringify(meant)}?`
  return known.length > 0 && known.length <= 12 ? `is not recognized; expected one of ${known.join(', ')}` : 'is not recognized'
}

/** The field that takes the path of a file where its content was given: `passwordFile` for `password`, `certificateFile` for `cert`. */
function fileFieldFor(name: string, known: readonly string[]): string | undefined {
  const plain = (text: string) => text.toLowerCase().replace(/[-_]/g, '')
  const given = plain(name)
  const files = known.filter((each) => /_?file$/i.test(each)).map((field) => ({ field, content: plain(field).slice(0, -'file'.length) }))
  const meant =
    files.find(({ content }) => content === given) ??
    files.find(({ content }) => given.length > 2 && (content.startsWith(given) || (content.length > 2 && given.endsWith(content))))
  return known.some((each) => plain(each) === given) ? undefined : meant?.field
}

function schemasAt(schema: Schema, path: readonly (string | number)[], input: unknown): Schema[] {
  let here = [schema]
  let given = input
  for (const piece of path) {
    here = here.flatMap((each) => fieldSchemas(each, String(piece), given))
    given = typeof given === 'object' && given !== null ? (given as Record<string, unknown>)[piece] : undefined
  }
  return here
}

const typeWords: Record<string, string> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  tuple: 'a list',
  object: 'an object',
  record: 'an object',
  null: 'null',
}

const formatWords: Record<string, string> = {
  url: 'an absolute URL',
  email: 'an e-mail address',
  ipv4: 'an IPv4 address',
  ipv6: 'an IPv6 address',
  cidrv4: 'an IPv4 range such as 10.0.0.0/8',
  cidrv6: 'an IPv6 range such as fd00::/8',
  uuid: 'a UUID',
  datetime: 'a date and time such as 2026-01-31T12:00:00Z',
  base64: 'base64',
  hostname: 'a host name',
}

/** The message for an issue; it follows the path of the field. A message in the schema itself takes precedence. */
function sayIssue(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined) return 'is required'
      // "Not a number" would be wrong of 1.5.
      if (Number.isFinite(issue.input) && expectedWords(issue) === typeWords.int) return `must be ${typeWords.int}`
      return `must be ${expectedWords(issue)}, not ${nameOf(issue.input)}`
    case 'invalid_value':
      return issue.input === undefined ? 'is required' : `must be ${oneOf(issue.values)}`
    case 'invalid_union':
      if (issue.input === undefined) return 'is required'
      if (issue.discriminator === undefined) return undefined
      if (typeof issue.input !== 'object' || issue.input === null) return `must be an object, not ${nameOf(issue.input)}`
      return Object.hasOwn(issue.input, String(issue.discriminator))
        ? `must be ${oneOf((issue.options as unknown[]) ?? [])}`
        : 'is required'
    case 'too_small':
      return `must ${bound('at least', issue.origin, issue.minimum, issue.inclusive !== false)}`
    case 'too_big':
      return `must ${bound('at most', issue.origin, issue.maximum, issue.inclusive !== false)}`
    case 'not_multiple_of':
      return `must be a multiple of ${issue.divisor}`
    case 'invalid_format':
      if (issue.format === 'regex') return `must match ${issue.pattern}`
      if (issue.format === 'starts_with') return `must begin with ${JSON.stringify(issue.prefix)}`
      if (issue.format === 'ends_with') return `must end with ${JSON.stringify(issue.suffix)}`
      return `must be ${formatWords[issue.format] ?? `a valid ${issue.format}`}`
    default:
      return undefined
  }
}

function expectedWords(issue: z.core.$ZodRawIssue<z.core.$ZodIssueInvalidType>): string {
  // zod reports that it expects a number, even where only whole numbers are valid.
  const { format } = (issue.inst?._zod.def ?? {}) as { format?: string }
  return typeWords[format === 'safeint' ? 'int' : issue.expected] ?? issue.expected
}

function bound(word: 'at least' | 'at most', origin: string, limit: number | bigint, inclusive: boolean): string {
  const units = { string: 'characters', array: 'items', set: 'items', record: 'fields', object: 'fields' }[origin]
  if (units !== undefined) return `have ${word} ${limit} ${Number(limit) === 1 ? units.slice(0, -1) : units}`
  if (!inclusive) return `be ${word === 'at least' ? 'more' : 'less'} than ${limit}`
  return `be ${word} ${limit}`
}

function oneOf(values: readonly unknown[]): string {
  const words = values.map((value) => JSON.stringify(value))
  return words.length === 1 ? String(words[0]) : `one of ${words.join(', ')}`
}

function nameOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value)
  return typeWords[typeof value] ?? typeof value
}
