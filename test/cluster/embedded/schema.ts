import { any, atomic, type FieldType, keyed, metadataType, set } from './field-types.ts'
import { clone, isMap, type Json, setKey } from './object.ts'

/** A structural schema of a CustomResourceDefinition, as far as it is enforced here: everything except CEL rules. */
export type Schema = {
  type?: string
  description?: string
  format?: string
  nullable?: boolean
  default?: Json
  enum?: Json[]
  pattern?: string
  minimum?: number
  maximum?: number
  exclusiveMinimum?: boolean
  exclusiveMaximum?: boolean
  multipleOf?: number
  minLength?: number
  maxLength?: number
  minItems?: number
  maxItems?: number
  uniqueItems?: boolean
  minProperties?: number
  maxProperties?: number
  required?: string[]
  properties?: Record<string, Schema>
  additionalProperties?: Schema | boolean
  items?: Schema
  allOf?: Schema[]
  anyOf?: Schema[]
  oneOf?: Schema[]
  not?: Schema
  'x-kubernetes-preserve-unknown-fields'?: boolean
  'x-kubernetes-int-or-string'?: boolean
  'x-kubernetes-embedded-resource'?: boolean
  'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map'
  'x-kubernetes-list-map-keys'?: string[]
  'x-kubernetes-map-type'?: 'atomic' | 'granular'
}

/** Fields of a whole object that every schema has implicitly. */
const envelope = ['apiVersion', 'kind', 'metadata']

const property = (schema: Schema, key: string): Schema | undefined =>
  schema.properties && Object.hasOwn(schema.properties, key) ? schema.properties[key] : undefined
const valuesOf = (schema: Schema): Schema | undefined => (isMap(schema.additionalProperties) ? schema.additionalProperties : undefined)

/** Removes, in place, fields that are not in the schema; `resource` marks a whole object, whose envelope stays. */
export function prune(value: Json, schema: Schema, resource = false): void {
  if (Array.isArray(value)) {
    if (schema.items) for (const item of value) prune(item, schema.items, schema.items['x-kubernetes-embedded-resource'])
    return
  }
  if (!isMap(value)) return
  for (const key of Object.keys(value)) {
    if (resource && envelope.includes(key)) continue
    const below = property(schema, key) ?? valuesOf(schema)
    if (below) prune(value[key], below, below['x-kubernetes-embedded-resource'])
    else if (!schema['x-kubernetes-preserve-unknown-fields'] && schema.additionalProperties !== true) delete value[key]
  }
}

/** Sets defaults, in place, and drops nulls of fields that are not nullable, as the real server does before it validates. */
export function applyDefaults(value: Json, schema: Schema, resource = false): void {
  if (Array.isArray(value)) {
    if (schema.items) for (const item of value) applyDefaults(item, schema.items)
    return
  }
  if (!isMap(value)) return
  for (const [key, below] of Object.entries(schema.properties ?? {})) {
    if (resource && envelope.includes(key)) continue
    const present = Object.hasOwn(value, key)
    if (present && value[key] === null && !below.nullable && !below['x-kubernetes-preserve-unknown-fields']) delete value[key]
    if (!Object.hasOwn(value, key) && below.default !== undefined) setKey(value, key, clone(below.default))
    if (Object.hasOwn(value, key)) applyDefaults(value[key], below)
  }
  const values = valuesOf(schema)
  if (!values) return
  for (const key of Object.keys(value)) if (!property(schema, key)) applyDefaults(value[key], values)
}

/**
 * How the fields that a schema describes merge under server-side apply: lists by `x-kubernetes-list-type`, maps by
 * `x-kubernetes-map-type`; by default, lists are atomic and maps are granular.
 */
export function fieldTypeOf(schema: Schema, resource = false): FieldType {
  if (schema['x-kubernetes-int-or-string']) return atomic
  if (schema.type === 'array' || schema.items) return listTypeOf(schema)
  if (schema['x-kubernetes-map-type'] === 'atomic') return atomic
  const values = valuesOf(schema)
  if (values) return { is: 'map', values: fieldTypeOf(values) }
  if (!schema.properties) return schema.type && schema.type !== 'object' ? atomic : any
  const fields: Record<string, FieldType> = {}
  for (const [key, below] of Object.entries(schema.properties))
    setKey(fields, key, fieldTypeOf(below, below['x-kubernetes-embedded-resource']))
  if (resource) Object.assign(fields, { apiVersion: atomic, kind: atomic, metadata: metadataType })
  return { is: 'struct', fields, open: schema['x-kubernetes-preserve-unknown-fields'] === true }
}

function listTypeOf(schema: Schema): FieldType {
  if (schema['x-kubernetes-list-type'] === 'set') return set
  const keys = schema['x-kubernetes-list-map-keys']
  if (schema['x-kubernetes-list-type'] !== 'map' || !keys) return atomic
  const defaults = keys.flatMap((key) => {
    const value = schema.items?.properties?.[key]?.default
    return value === undefined ? [] : [[key, value]]
  })
  return keyed(keys, schema.items ? fieldTypeOf(schema.items) : any, Object.fromEntries(defaults))
}

/** The paths of all fields that `prune` would remove from a whole object. */
export function unknownFields(value: Json, schema: Schema, path = ''): string[] {
  if (Array.isArray(value))
    return value.flatMap((item, index) => (schema.items ? unknownFields(item, schema.items, `${path}[${index}]`) : []))
  if (!isMap(value)) return []
  return Object.keys(value).flatMap((key) => {
    if ((path === '' || schema['x-kubernetes-embedded-resource']) && envelope.includes(key)) return []
    const at = path ? `${path}.${key}` : key
    const below = property(schema, key) ?? valuesOf(schema)
    if (below) return unknownFields(value[key], below, at)
    return schema['x-kubernetes-preserve-unknown-fields'] || schema.additionalProperties === true ? [] : [at]
  })
}
