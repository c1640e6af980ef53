import type * as z from 'zod'

/** A zod schema. */
export type Schema = z.core.$ZodType

/** The members of a schema's definition that are used here; `type` determines which exist. */
type Def = {
  type: string
  innerType?: Schema
  in?: Schema
  out?: Schema
  getter?: () => Schema
  shape?: Record<string, Schema>
  catchall?: Schema
  element?: Schema
  keyType?: Schema
  valueType?: Schema
  options?: Schema[]
  items?: Schema[]
  discriminator?: string
  values?: unknown[]
  entries?: Record<string, unknown>
  defaultValue?: unknown
}

/** The definition of a schema: `type` says which. */
export function defOf(schema: Schema): Def {
  return schema._zod.def as unknown as Def
}

/** The schema and everything it wraps, from outside in: defaults, optional, transforms. The last one validates the input. */
export function layers(schema: Schema): Schema[] {
  const found = [schema]
  for (;;) {
    const def = defOf(found.at(-1) as Schema)
    // A preprocess step is a pipe that begins with a transform; its end validates the input.
    const pipeInput = def.in && defOf(def.in).type === 'transform' ? def.out : def.in
    const next = def.innerType ?? (def.type === 'pipe' ? pipeInput : def.type === 'lazy' ? def.getter?.() : undefined)
    if (next === undefined) return found
    found.push(next)
  }
}

/** The schema without the defaults and transforms around it. */
export function core(schema: Schema): Schema {
  return layers(schema).at(-1) as Schema
}

/** The names of fields at this place, of all alternatives of a union. Empty where any name or none is allowed. */
export function fieldNames(schema: Schema): string[] {
  const def = defOf(core(schema))
  if (def.options) return [...new Set(def.options.flatMap(fieldNames))]
  return Object.keys(def.shape ?? {})
}

/**
 * The schemas of a field: none if there is no such field, several in a union. `given` is the value that holds the field, if known:
 * its discriminator then leaves one alternative.
 */
export function fieldSchemas(schema: Schema, name: string, given?: unknown): Schema[] {
  const def = defOf(core(schema))
  if (def.options) return alternatives(schema, given).flatMap((option) => fieldSchemas(option, name, given))
  if (def.shape) return Object.hasOwn(def.shape, name) ? [def.shape[name] as Schema] : []
  const each = /^\d+$/.test(name) ? (def.items?.[Number(name)] ?? def.element ?? def.valueType) : def.valueType
  return each ? [each] : []
}

/** The alternatives of a union that match the discriminator of `given`; all of them if it has none. */
function alternatives(schema: Schema, given: unknown): Schema[] {
  const { options = [], discriminator } = defOf(core(schema))
  if (discriminator === undefined || typeof given !== 'object' || given === null) return options
  const kind = (given as Record<string, unknown>)[discriminator]
  const fitting = options.filter((option) => fieldSchemas(option, discriminator).some((field) => literals(field).includes(kind)))
  return fitting.length > 0 ? fitting : options
}

/** The fields of the object that a schema describes; of a union, those of the only alternative that fits the value. */
export function shapeFor(schema: Schema, value: object): Record<string, Schema> {
  const def = defOf(core(schema))
  if (def.shape) return def.shape
  const [only, ...others] = def.options ? alternatives(schema, value) : []
  return only !== undefined && others.length === 0 ? shapeFor(only, value) : {}
}

/** The values of a literal or an enum; empty for any other schema. */
export function literals(schema: Schema): unknown[] {
  const def = defOf(core(schema))
  return def.values ?? Object.values(def.entries ?? {})
}

/** The name that was probably intended, if one is similar enough. */
export function nearest(wrong: string, names: readonly string[]): string | undefined {
  if (wrong.length > 100) return undefined
  const plain = (name: string) => name.toLowerCase().replace(/[-_]/g, '')
  const given = plain(wrong)
  const same = names.find((name) => plain(name) === given)
  if (same !== undefined) return same
  const ranked = names.map((name) => ({ name, distance: editDistance(plain(name), given) })).sort((a, b) => a.distance - b.distance)
  const [best] = ranked
  return best !== undefined && best.distance <= Math.max(1, Math.floor(wrong.length / 3)) ? best.name : undefined
}

/** The edits that turn one word into the other: insert, delete, change a letter, swap two neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const changed = (last[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? (beforeLast[j - 2] as number) + 1 : Infinity
      row.push(Math.min((last[j] as number) + 1, (row[j - 1] as number) + 1, changed, swapped))
    }
    beforeLast = last
    last = row
  }
  return last[b.length] as number
}
