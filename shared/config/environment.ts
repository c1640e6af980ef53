import { parseDocument } from 'yaml'
import type { FaultAt } from '../faults.ts'
import { unknownField } from '../faults.ts'
import { fieldKind, Secret } from '../fields.ts'
import { core, defOf, fieldNames, fieldSchemas, type Schema } from '../schema.ts'

/** A value from the environment, and its path in the configuration. */
export type Override = { variable: string; path: (string | number)[]; value: unknown }

/** The variable of a field: `SKERRY_AGENT__API__REQUEST_TIMEOUT` for `api.requestTimeout`. */
export function variableName(prefix: string, path: readonly (string | number)[]): string {
  return [
    prefix,
    ...path.map((piece) =>
      String(piece)
        .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
        .replaceAll('-', '_')
        .toUpperCase(),
    ),
  ].join('__')
}

/**
 * Finds the fields named by the variables with this prefix. A double underscore goes one level down; case and single underscores
 * do not matter; a number is an index. A string is taken as it is, any other value as YAML. An empty variable counts as unset.
 */
export function readEnvironment(
  schema: Schema,
  prefix: string,
  env: Record<string, string | undefined>,
): { overrides: Override[]; faults: FaultAt[] } {
  const overrides: Override[] = []
  const faults: FaultAt[] = []
  for (const [variable, text] of Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (!variable.startsWith(`${prefix}__`) || text === undefined || text === '') continue
    const found = findField(schema, variable.slice(prefix.length + 2).split('__'))
    if ('message' in found) faults.push({ path: [variable], message: found.message, isKey: true })
    else {
      const read = found.isSecret ? { value: new Secret({ value: text }) } : readValue(found.schemas, text)
      if (read === undefined) faults.push({ path: [variable], message: 'is not YAML', isKey: false })
      else overrides.push({ variable, path: found.path, value: read.value })
    }
  }
  return { overrides, faults }
}

type Found = { path: (string | number)[]; schemas: Schema[]; isSecret: boolean }

function findField(schema: Schema, segments: string[]): Found | { message: string } {
  let here = [schema]
  const path: (string | number)[] = []
  let isSecret = false
  for (const [index, segment] of segments.entries()) {
    const names = [...new Set(here.flatMap(fieldNames))]
    const plain = (name: string) => name.replace(/[-_]/g, '').toLowerCase()
    let name = names.find((each) => plain(each) === plain(segment))
    if (name === undefined && index === segments.length - 1) {
      // SKERRY_MONITOR__MQTT__PASSWORD for mqtt.passwordFile: the secret itself instead of its path.
      name = names.find(
        (each) =>
          plain(each) === `${plain(segment)}file` &&
          here.some((one) => fieldSchemas(one, each).some((field) => fieldKind(field) === 'secret')),
      )
      isSecret = name !== undefined
    }
    const isList = here.some((each) => ['array', 'tuple'].includes(defOf(core(each)).type))
    const isRecord = here.some((each) => defOf(core(each)).type === 'record')
    if (name === undefined && segment !== '' && (isRecord || (isList && /^\d{1,4}$/.test(segment))))
      name = isList ? segment : segment.toLowerCase().replaceAll('_', '-')
    if (name === undefined) return { message: unknownField(segment.toLowerCase(), names) }
    const field = name
    here = here.flatMap((each) => fieldSchemas(each, field))
    path.push(isList ? Number(field) : field)
  }
  return { path, schemas: here, isSecret }
}

/** Strings are not parsed: `007` keeps its zeros, and `yes` stays a string. */
function readValue(schemas: readonly Schema[], text: string): { value: unknown } | undefined {
  const isText = schemas.some(
    (schema) => ['string', 'enum', 'template_literal'].includes(defOf(core(schema)).type) || fieldKind(schema) !== undefined,
  )
  if (isText) return { value: text }
  const document = parseDocument(text, { prettyErrors: false, schema: 'core', logLevel: 'error' })
  if (document.errors.length > 0 || document.warnings.length > 0) return undefined
  return { value: document.toJS({ maxAliasCount: 0 }) }
}

/** Puts a value into plain data, and creates the objects and lists on its path. Any other value on the path stays, and is faulted later. */
export function place(data: unknown, path: readonly (string | number)[], value: unknown): unknown {
  const [first, ...rest] = path
  if (first === undefined) return value
  if (data !== undefined && data !== null && typeof data !== 'object') return data
  if (typeof first === 'number') {
    const list = Array.isArray(data) ? [...data] : []
    list[first] = place(list[first], rest, value)
    // A gap would be reported as "required"; null is refused with the same message as in a file.
    return Array.from(list, (item) => item ?? null)
  }
  if (Array.isArray(data)) return data
  const fields = { ...(data as Record<string, unknown> | null | undefined) }
  fields[first] = place(Object.hasOwn(fields, first) ? fields[first] : undefined, rest, value)
  return fields
}
