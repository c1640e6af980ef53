import { FieldSet } from './field-set.ts'
import { type FieldType, fieldOf } from './field-types.ts'
import { equal, isMap, type Json, setKey } from './object.ts'

/** An applied configuration does not fit its kind: an undeclared field, a list item without its key, the same key twice. */
export class TypedValueError extends Error {}

const isEmpty = (value: Json): boolean => value === null || (isMap(value) && Object.keys(value).length === 0)
const granularMap = (type: FieldType): boolean => type.is === 'any' || type.is === 'map' || type.is === 'struct'

/**
 * The items of a list by their keys, in order. Undefined when the list is replaced as a whole, or when live data has no
 * usable keys (an update may leave duplicates behind); with `strict`, faults throw instead.
 */
function itemsByStep(value: Json, type: FieldType, path: string, strict: boolean): Map<string, Json> | undefined {
  if (!Array.isArray(value) || (type.is !== 'list' && type.is !== 'set')) return undefined
  const items = new Map<string, Json>()
  for (const [index, item] of value.entries()) {
    const step = type.is === 'set' ? `v:${JSON.stringify(item)}` : itemKey(item, type)
    if (step === undefined || items.has(step)) {
      if (!strict) return undefined
      const keys = type.is === 'list' ? type.keys : []
      throw new TypedValueError(
        step === undefined
          ? `${path}: element ${index}: associative list with keys has an element that omits key field "${keys[0]}"`
          : `${path}: duplicate entries for key [${step.slice(2)}]`,
      )
    }
    items.set(step, item)
  }
  return items
}

function itemKey(item: Json, type: Extract<FieldType, { is: 'list' }>): string | undefined {
  if (!isMap(item)) return undefined
  const keys: Record<string, Json> = {}
  let found = false
  for (const key of [...type.keys].sort()) {
    const value = item[key] ?? type.defaults[key]
    if (value === undefined) continue
    found = true
    keys[key] = value
  }
  return found && Object.hasOwn(keys, type.mergeKey) ? `k:${JSON.stringify(keys)}` : undefined
}

const itemType = (type: FieldType): FieldType => (type.is === 'list' ? type.items : { is: 'atomic' })

/** Every path that a value sets, as a set of fields. With `strict`, throws TypedValueError where the value does not fit. */
export function fieldsOf(value: Json, type: FieldType, { strict = false } = {}): FieldSet {
  const set = new FieldSet()
  collect(value, type, set, '', strict)
  return set
}

function collect(value: Json, type: FieldType, set: FieldSet, path: string, strict: boolean): void {
  if (isEmpty(value)) {
    set.member = true
    return
  }
  if (isMap(value) && granularMap(type)) {
    for (const key of Object.keys(value)) {
      const below = fieldOf(type, key)
      if (!below && strict) throw new TypedValueError(`${path}.${key}: field not declared in schema`)
      const child = set.child(`f:${key}`)
      collect(value[key], below ?? { is: 'any' }, child, `${path}.${key}`, strict)
      if (type.is === 'map') child.member = true
    }
    return
  }
  const items = itemsByStep(value, type, path, strict)
  if (!items) {
    set.member = true
    return
  }
  for (const [step, item] of items) {
    const child = set.add(step)
    if (type.is === 'list') collect(item, type.items, child, `${path}[${step.slice(2)}]`, strict)
  }
}

/** The differences between two states: paths whose value is new or changed, and paths that are gone. */
export type Difference = { changed: FieldSet; removed: FieldSet }

export function compare(before: Json, after: Json, type: FieldType): Difference {
  const difference = { changed: new FieldSet(), removed: new FieldSet() }
  compareInto(before, after, type, difference.changed, difference.removed)
  return difference
}

function compareInto(before: Json, after: Json, type: FieldType, changed: FieldSet, removed: FieldSet): void {
  if (before === after) return
  if (before === undefined) {
    collect(after, type, changed, '', false)
    return
  }
  if (after === undefined) {
    removed.member = true
    collect(before, type, removed, '', false)
    return
  }
  if (isMap(before) && isMap(after) && granularMap(type)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      const old = Object.hasOwn(before, key) ? before[key] : undefined
      const now = Object.hasOwn(after, key) ? after[key] : undefined
      if (old !== now) compareInto(old, now, fieldOf(type, key) ?? { is: 'any' }, changed.child(`f:${key}`), removed.child(`f:${key}`))
    }
    return
  }
  const oldItems = itemsByStep(before, type, '', false)
  const newItems = itemsByStep(after, type, '', false)
  if (oldItems && newItems) {
    for (const step of new Set([...oldItems.keys(), ...newItems.keys()])) {
      const added = !oldItems.has(step)
      compareInto(oldItems.get(step), newItems.get(step), itemType(type), changed.child(step), removed.child(step))
      if (added) changed.add(step)
    }
    return
  }
  if (equal(before, after)) return
  changed.member = true
  if (isMap(after) && granularMap(type)) collect(after, type, changed, '', false)
}

/** The live state with a configuration merged into it: the configuration takes precedence, everything else stays. */
export function mergeApplied(live: Json, config: Json, type: FieldType): Json {
  if (isMap(config) && granularMap(type)) {
    const result: Record<string, Json> = {}
    const old = isMap(live) ? live : {}
    for (const key of Object.keys(old)) setKey(result, key, old[key])
    for (const key of Object.keys(config)) {
      if (config[key] === null) delete result[key]
      else
        setKey(result, key, mergeApplied(Object.hasOwn(old, key) ? old[key] : undefined, config[key], fieldOf(type, key) ?? { is: 'any' }))
    }
    return result
  }
  const newItems = itemsByStep(config, type, '', true)
  const oldItems = itemsByStep(live, type, '', false)
  if (!newItems || !oldItems) return config
  const result = new Map(oldItems)
  for (const [step, item] of newItems) result.set(step, mergeApplied(oldItems.get(step), item, itemType(type)))
  return [...result.values()]
}

/**
 * The value without the fields in `gone`. A map or list item is removed entirely unless a manager owns something in it (`kept`);
 * maps and lists that become empty are removed too.
 */
export function removeFields(value: Json, gone: FieldSet, kept: FieldSet, type: FieldType): Json {
  if (isMap(value) && granularMap(type)) {
    const result: Record<string, Json> = {}
    for (const key of Object.keys(value)) {
      const rest = removeChild(value[key], `f:${key}`, gone, kept, fieldOf(type, key) ?? { is: 'any' })
      if (rest !== undefined) setKey(result, key, rest)
    }
    return result
  }
  const items = itemsByStep(value, type, '', false)
  if (!items) return value
  return [...items].flatMap(([step, item]) => {
    const rest = removeChild(item, step, gone, kept, itemType(type))
    return rest === undefined ? [] : [rest]
  })
}

function removeChild(value: Json, step: string, gone: FieldSet, kept: FieldSet, type: FieldType): Json {
  const going = gone.children.get(step)
  if (!going || going.empty) return value
  const staying = kept.children.get(step) ?? new FieldSet()
  if (going.member && staying.empty) return undefined
  const rest = removeFields(value, going, staying, type)
  const emptied = Array.isArray(rest) ? rest.length === 0 : isEmpty(rest)
  return emptied && staying.empty ? undefined : rest
}
