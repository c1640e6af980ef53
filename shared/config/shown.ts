import { discretionOf, hidden, secretsIn, shownBy, urlShown } from '../discretion.ts'
import { fieldKind, formatByteSize, formatDuration, Secret } from '../fields.ts'
import { core, defOf, type Schema, shapeFor } from '../schema.ts'
import { inside } from './secrets.ts'

/**
 * A parsed value as it would stand in a file, to be shown: durations and sizes with their units, the path of a secret's file, and
 * `<secret>` in place of every secret. Whatever is no plain data is shown as the text it says of itself.
 * @param schema the value's; without it numbers stay as they are
 */
export function shownConfig(schema: Schema | undefined, value: unknown): unknown {
  if (value instanceof Secret) return value.file ?? hidden
  if (value === undefined || value === null) return value
  const how = schema && discretionOf(schema)
  if (how !== undefined) return shownBy(how, value)
  const kind = schema && fieldKind(schema)
  if (kind === 'secret') return hidden
  if (typeof value === 'number') return kind === 'duration' ? formatDuration(value) : kind === 'size' ? formatByteSize(value) : value
  if (typeof value === 'string') return urlShown(value)
  if (typeof value !== 'object') return value
  const def = schema && defOf(core(schema))
  if (Array.isArray(value)) return value.map((item) => shownConfig(def?.element, item))
  if (!isPlain(value)) return urlShown(String(value))
  const shape: Record<string, Schema> = schema === undefined ? {} : shapeFor(schema, value)
  const shown = Object.entries(value).map(([name, each]) => [name, shownConfig(shape[name] ?? def?.valueType, each)])
  return Object.fromEntries(shown.filter(([, each]) => each !== undefined))
}

/** Every secret text of a parsed value, with those that only a discreet field of the schema betrays. */
export function secretTexts(schema: Schema | undefined, value: unknown): string[] {
  if (value instanceof Secret) return value.isLoaded ? [value.reveal()] : []
  if (typeof value !== 'object' || value === null) {
    const how = schema && typeof value === 'string' ? discretionOf(schema) : undefined
    return how === undefined ? [] : secretsIn(how, value)
  }
  const how = schema && discretionOf(schema)
  if (how !== undefined) return secretsIn(how, value)
  const def = schema && defOf(core(schema))
  const shape: Record<string, Schema> = schema === undefined ? {} : shapeFor(schema, value)
  return inside(value).flatMap(([name, each]) => secretTexts(shape[name] ?? def?.element ?? def?.valueType, each))
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
