import * as z from 'zod'
import { discretionOf, hidden, shownBy, urlShown } from '../discretion.ts'
import { fieldKind, formatByteSize, formatDuration, Secret } from '../fields.ts'
import { core, defOf, layers, literals, type Schema, shapeFor } from '../schema.ts'
import { variableName } from './environment.ts'

/** One setting, as the documentation shows it. */
export type Setting = {
  /** As in the file: `api.port`, `checks[].interval`, `modules.<name>.kind`; in a union `checks[kind=http].url`. */
  path: string
  type: string
  description?: string
  /** As written in the file; undefined if there is none. */
  default?: string
  required: boolean
  /** The environment variable, where the path has no variable part. */
  variable?: string
}

/** All settings of a schema, in its order: for `--help` and for the documentation. */
export function settings(schema: Schema, prefix: string): Setting[] {
  return list(schema, '', [], prefix)
}

function list(schema: Schema, path: string, variable: string[] | undefined, prefix: string): Setting[] {
  const inner = core(schema)
  const def = defOf(inner)
  const below = (name: string) => (path === '' ? name : `${path}.${name}`)
  if (fieldKind(schema) === undefined) {
    if (def.shape)
      return Object.entries(def.shape).flatMap(([name, field]) => list(field, below(name), variable && [...variable, name], prefix))
    if (def.type === 'record' && def.valueType && isGroup(def.valueType))
      return [describe(schema, path, undefined, prefix), ...list(def.valueType, below('<name>'), undefined, prefix)]
    if (def.element && isGroup(def.element))
      return [describe(schema, path, undefined, prefix), ...list(def.element, `${path}[]`, undefined, prefix)]
    if (def.options && def.discriminator !== undefined)
      return def.options.flatMap((option) => listAlternative(option, path, def.discriminator as string, prefix))
  }
  return [describe(schema, path, variable, prefix)]
}

function listAlternative(option: Schema, path: string, discriminator: string, prefix: string): Setting[] {
  const { shape = {} } = defOf(core(option))
  const kind = shape[discriminator] ? literals(shape[discriminator]).join('|') : ''
  const here = `${path.replace(/\[\]$/, '')}[${discriminator}=${kind}]`
  return Object.entries(shape).flatMap(([name, field]) => (name === discriminator ? [] : list(field, `${here}.${name}`, undefined, prefix)))
}

function isGroup(schema: Schema): boolean {
  const def = defOf(core(schema))
  return fieldKind(schema) === undefined && (def.shape !== undefined || def.discriminator !== undefined)
}

function describe(schema: Schema, path: string, variable: string[] | undefined, prefix: string): Setting {
  const wrapped = layers(schema)
  const description = wrapped.map((layer) => z.globalRegistry.get(layer)?.description).find((text) => text !== undefined)
  const given = defaultOf(schema)
  const optional = given !== undefined || wrapped.some((layer) => ['optional', 'default', 'prefault'].includes(defOf(layer).type))
  return {
    path,
    type: typeWords(schema),
    ...(description !== undefined && { description }),
    ...(given !== undefined && { default: JSON.stringify(given) }),
    required: !optional,
    ...(variable !== undefined && { variable: variableName(prefix, variable) }),
  }
}

/** The default of a field, as written in the file. */
function defaultOf(schema: Schema): unknown {
  for (const layer of layers(schema)) {
    const def = defOf(layer)
    if (def.type === 'prefault') return def.defaultValue
    // `.default()` holds the value as the program sees it: milliseconds, bytes.
    if (def.type === 'default') return asWritten(schema, def.defaultValue)
  }
  return undefined
}

function asWritten(schema: Schema, value: unknown): unknown {
  const kind = fieldKind(schema)
  if (kind === 'duration' && typeof value === 'number') return formatDuration(value)
  if (kind === 'size' && typeof value === 'number') return formatByteSize(value)
  return value
}

function typeWords(schema: Schema): string {
  const kind = fieldKind(schema)
  if (kind !== undefined)
    return { secret: 'file with a secret', secretText: 'secret', duration: 'duration', size: 'size', file: 'file' }[kind]
  const inner = core(schema)
  const def = defOf(inner)
  if (def.type === 'enum' || def.type === 'literal') return literals(inner).map(String).join(' | ')
  if (def.type === 'array') return def.element ? `list of ${typeWords(def.element)}` : 'list'
  if (def.type === 'union') return [...new Set((def.options ?? []).map(typeWords))].join(' or ')
  if (def.type === 'record') return 'map'
  const format = (def as { format?: string }).format
  if (def.type === 'number') return format === 'safeint' ? 'whole number' : 'number'
  if (def.type === 'string') return format === undefined || format === 'regex' ? 'string' : format
  return { boolean: 'true or false', object: 'object' }[def.type] ?? def.type
}

/** The settings as `--help` prints them. */
export function helpText(schema: Schema, { program, version, prefix }: { program: string; version: string; prefix: string }): string {
  const lines = [
    `${program} ${version}`,
    '',
    `Usage: ${program} [--config FILE] [--check-config | --print-config | --version | --help]`,
    '',
    `  --config FILE    the YAML file to read; default: the value of ${prefix}_CONFIG, if set`,
    '  --check-config   print ok or all faults, also of the files that are named, and exit with 0 or 1',
    '  --print-config   print the configuration in effect, with secrets masked',
    '  --version        print the version',
    '',
    'Settings. The environment takes precedence over the file.',
  ]
  for (const { path, type, description, default: given, required, variable } of settings(schema, prefix)) {
    lines.push('', `  ${path}`, `      ${type}${given !== undefined ? `, default ${given}` : required ? ', required' : ', optional'}`)
    if (description !== undefined) lines.push(...description.split('\n').map((line) => `      ${line.trim()}`))
    if (variable !== undefined) lines.push(`      ${variable}`)
  }
  return `${lines.join('\n')}\n`
}

/** The file with every default filled in. Secrets in it, from the environment, and inside URLs are masked. */
export function effectiveConfig(schema: Schema, given: unknown): unknown {
  if (given instanceof Secret) return given.file ?? hidden
  if (fieldKind(schema) === 'secretText') return given === undefined || given === null ? given : hidden
  const value = given === undefined ? defaultOf(schema) : given
  const how = discretionOf(schema)
  if (how !== undefined && value !== undefined && value !== null) return shownBy(how, value)
  if (typeof value === 'string') return urlShown(value)
  const def = defOf(core(schema))
  if (fieldKind(schema) !== undefined || value === null || value === undefined) return value
  if (Array.isArray(value)) return value.map((item) => (def.element ? effectiveConfig(def.element, item) : item))
  if (typeof value !== 'object') return value
  const shape = shapeFor(schema, value)
  const fields: Record<string, unknown> = {}
  for (const name of new Set([...Object.keys(shape), ...Object.keys(value)])) {
    const field = shape[name] ?? def.valueType
    const own = Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined
    const effective = field ? effectiveConfig(field, own) : own
    if (effective !== undefined) fields[name] = effective
  }
  return fields
}
