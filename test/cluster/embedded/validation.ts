import { isIP, isIPv4, isIPv6 } from 'node:net'
import { equal, isMap, type Json } from './object.ts'
import type { Schema } from './schema.ts'
import { type Cause, cause } from './status.ts'

/** Every fault of a value against its structural schema, in the real server's words. */
export function validate(value: Json, schema: Schema, path: string): Cause[] {
  if (value === null && schema.nullable) return []
  const wrongType = checkType(value, schema, path)
  if (wrongType) return [wrongType]
  const faults = [...checkCommon(value, schema, path), ...checkCombined(value, schema, path)]
  if (typeof value === 'string') faults.push(...checkString(value, schema, path))
  else if (typeof value === 'number') faults.push(...checkNumber(value, schema, path))
  else if (Array.isArray(value)) faults.push(...checkArray(value, schema, path))
  else if (isMap(value)) faults.push(...checkObject(value, schema, path))
  return faults
}

const typeName = (value: Json): string => {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number'
  return typeof value
}

function checkType(value: Json, schema: Schema, path: string): Cause | undefined {
  const actual = typeName(value)
  if (schema['x-kubernetes-int-or-string']) {
    if (actual === 'integer' || actual === 'string') return undefined
    return cause.invalid(path, actual, `${path} in body must be of type integer,string: ${JSON.stringify(actual)}`)
  }
  if (!schema.type || schema.type === actual || (schema.type === 'number' && actual === 'integer')) return undefined
  return cause.invalid(path, actual, `${path} in body must be of type ${schema.type}: ${JSON.stringify(actual)}`)
}

function checkCommon(value: Json, schema: Schema, path: string): Cause[] {
  if (schema.enum && !schema.enum.some((allowed) => equal(allowed, value))) return [cause.notSupported(path, value, schema.enum)]
  return []
}

function checkCombined(value: Json, schema: Schema, path: string): Cause[] {
  const fits = (each: Schema): boolean => validate(value, each, path).length === 0
  const faults = (schema.allOf ?? []).flatMap((each) => validate(value, each, path))
  if (schema.anyOf && !schema.anyOf.some(fits)) {
    faults.push(cause.invalid(path, '', `${path} in body must validate at least one schema (anyOf)`), ...nearest(value, schema.anyOf, path))
  }
  if (schema.oneOf && schema.oneOf.filter(fits).length !== 1) {
    faults.push(cause.invalid(path, '', `${path} in body must validate one and only one schema (oneOf)`))
    if (!schema.oneOf.some(fits)) faults.push(...nearest(value, schema.oneOf, path))
  }
  if (schema.not && fits(schema.not)) faults.push(cause.invalid(path, '', `${path} in body must not validate the schema (not)`))
  return faults
}

/** The faults of the alternative that fits best. */
const nearest = (value: Json, alternatives: Schema[], path: string): Cause[] =>
  alternatives.map((each) => validate(value, each, path)).reduce((best, faults) => (faults.length < best.length ? faults : best))

const patterns = new WeakMap<Schema, RegExp>()

function patternOf(schema: Schema): RegExp {
  let pattern = patterns.get(schema)
  if (!pattern) {
    pattern = new RegExp(schema.pattern ?? '')
    patterns.set(schema, pattern)
  }
  return pattern
}

function checkString(value: string, schema: Schema, path: string): Cause[] {
  const faults: Cause[] = []
  const length = schema.minLength === undefined && schema.maxLength === undefined ? 0 : [...value].length
  if (schema.minLength !== undefined && length < schema.minLength) {
    faults.push(cause.invalid(path, value, `${path} in body should be at least ${schema.minLength} chars long`))
  }
  if (schema.maxLength !== undefined && length > schema.maxLength) {
    faults.push({ reason: 'FieldValueTooLong', message: `Too long: may not be longer than ${schema.maxLength}`, field: path })
  }
  if (schema.pattern !== undefined && !patternOf(schema).test(value)) {
    faults.push(cause.invalid(path, value, `${path} in body should match '${schema.pattern}'`))
  }
  if (schema.format && formats[schema.format]?.(value) === false) {
    faults.push(cause.invalid(path, value, `${path} in body must be of type ${schema.format}: ${JSON.stringify(value)}`))
  }
  return faults
}

function checkNumber(value: number, schema: Schema, path: string): Cause[] {
  const { minimum, maximum, multipleOf, format } = schema
  const faults: Cause[] = []
  if (minimum !== undefined && (schema.exclusiveMinimum ? value <= minimum : value < minimum)) {
    const relation = schema.exclusiveMinimum ? 'greater than' : 'greater than or equal to'
    faults.push(cause.invalid(path, value, `${path} in body should be ${relation} ${minimum}`))
  }
  if (maximum !== undefined && (schema.exclusiveMaximum ? value >= maximum : value > maximum)) {
    const relation = schema.exclusiveMaximum ? 'less than' : 'less than or equal to'
    faults.push(cause.invalid(path, value, `${path} in body should be ${relation} ${maximum}`))
  }
  if (multipleOf !== undefined && !Number.isInteger(value / multipleOf)) {
    faults.push(cause.invalid(path, value, `${path} in body should be a multiple of ${multipleOf}`))
  }
  if (format === 'int32' && Number.isInteger(value) && (value < -(2 ** 31) || value >= 2 ** 31)) {
    faults.push(cause.invalid(path, value, `Checked value must be of type integer with format int32 in ${path}`))
  }
  return faults
}

function checkArray(value: Json[], schema: Schema, path: string): Cause[] {
  const faults: Cause[] = []
  if (schema.minItems !== undefined && value.length < schema.minItems) {
    faults.push(cause.invalid(path, value.length, `${path} in body should have at least ${schema.minItems} items`))
  }
  if (schema.maxItems !== undefined && value.length > schema.maxItems) {
    faults.push({
      reason: 'FieldValueTooMany',
      message: `Too many: ${value.length}: must have at most ${schema.maxItems} items`,
      field: path,
    })
  }
  faults.push(...checkUnique(value, schema, path))
  const items = schema.items
  if (items) for (const [index, item] of value.entries()) faults.push(...validate(item, items, `${path}[${index}]`))
  return faults
}

/** With `x-kubernetes-list-type` set or map, members, or their keys, must be unique. */
function checkUnique(value: Json[], schema: Schema, path: string): Cause[] {
  const listType = schema['x-kubernetes-list-type']
  if (listType !== 'set' && listType !== 'map') return []
  const keys = schema['x-kubernetes-list-map-keys'] ?? []
  const seen = new Set<string>()
  return value.flatMap((item, index) => {
    const identity = listType === 'set' ? item : Object.fromEntries(keys.map((key) => [key, item?.[key]]))
    const text = JSON.stringify(identity)
    if (seen.has(text)) return [cause.duplicate(`${path}[${index}]`, identity)]
    seen.add(text)
    return []
  })
}

function checkObject(value: Record<string, Json>, schema: Schema, path: string): Cause[] {
  const faults: Cause[] = []
  const at = (key: string): string => (path ? `${path}.${key}` : key)
  for (const key of schema.required ?? []) if (!Object.hasOwn(value, key)) faults.push(cause.required(at(key)))
  const keys = Object.keys(value)
  if (schema.minProperties !== undefined && keys.length < schema.minProperties) {
    faults.push(cause.invalid(path, keys.length, `${path} in body should have at least ${schema.minProperties} properties`))
  }
  if (schema.maxProperties !== undefined && keys.length > schema.maxProperties) {
    faults.push({
      reason: 'FieldValueTooMany',
      message: `Too many: ${keys.length}: must have at most ${schema.maxProperties} items`,
      field: path,
    })
  }
  const values = isMap(schema.additionalProperties) ? schema.additionalProperties : undefined
  for (const key of keys) {
    const below = schema.properties && Object.hasOwn(schema.properties, key) ? schema.properties[key] : values
    if (below) faults.push(...validate(value[key], below, at(key)))
  }
  return faults
}

const hostname = /^(?=.{1,253}$)[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?)*\.?$/

/** The enforced formats; others are ignored, as on the real server. */
const formats: Record<string, (value: string) => boolean> = {
  'date-time': (value) =>
    /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/.test(value) && !Number.isNaN(Date.parse(value)),
  date: (value) => /^\d{4}-\d{2}-\d{2}$/.test(value) && !Number.isNaN(Date.parse(value)),
  duration: (value) => /^[+-]?(\d+(\.\d+)?\s*(ns|us|µs|ms|s|m|h|d|w|[a-z]+)\s*)+$/i.test(value),
  byte: (value) => value.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(value),
  uuid: (value) => /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i.test(value),
  ipv4: isIPv4,
  ipv6: isIPv6,
  cidr: (value) => {
    const [address = '', bits = ''] = value.split('/')
    return isIP(address) > 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= (isIPv4(address) ? 32 : 128)
  },
  mac: (value) => /^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$/i.test(value),
  hostname: (value) => hostname.test(value),
  uri: (value) => URL.canParse(value),
  email: (value) => /^[^@\s]+@[^@\s]+$/.test(value),
}
