/** A JSON schema, as far as an example can be made from it. */
type Schema = {
  $ref?: string
  example?: unknown
  examples?: unknown[]
  default?: unknown
  const?: unknown
  enum?: unknown[]
  anyOf?: Schema[]
  oneOf?: Schema[]
  allOf?: Schema[]
  type?: string | string[]
  format?: string
  minimum?: number
  items?: Schema
  properties?: Record<string, Schema>
  required?: string[]
  writeOnly?: boolean
}

type Content = Record<string, { schema?: Schema; example?: unknown }>

/**
 * Gives each answer of success an example, made of the examples of its fields. A field without one gets its default, its first value
 * or the least that its type permits, so the example of an answer is always as complete as its schema.
 */
export function addExamples<Document extends { paths?: object; components?: { schemas?: object } }>(document: Document): Document {
  const schemas = (document.components?.schemas ?? {}) as Record<string, Schema>
  for (const item of Object.values(document.paths ?? {}))
    for (const operation of Object.values(item as Record<string, { responses?: Record<string, { content?: Content }> }>))
      for (const [status, { content = {} }] of Object.entries(operation.responses ?? {}))
        for (const media of status.startsWith('2') ? Object.values(content) : [])
          if (media.schema !== undefined && typeof media.example !== 'string')
            media.example = mergeExamples(exampleOf(media.schema, schemas), media.example)
  return document
}

/** The example of a schema, with the members that a route gives. */
function mergeExamples(general: unknown, given: unknown): unknown {
  return given === undefined ? general : { ...(general as object), ...(given as object) }
}

/** An example of what is returned: without fields that are only written, and without optional fields that have no example. */
function exampleOf(schema: Schema, schemas: Record<string, Schema>): unknown {
  if (schema.$ref !== undefined) return exampleOf(schemas[schema.$ref.split('/').at(-1) ?? ''] ?? {}, schemas)
  const given = [schema.example, schema.examples?.[0], schema.const, schema.enum?.[0], schema.default].find((value) => value !== undefined)
  if (given !== undefined) return given
  const alternative = (schema.anyOf ?? schema.oneOf)?.find(({ type }) => type !== 'null')
  if (alternative !== undefined) return exampleOf(alternative, schemas)
  if (schema.allOf !== undefined) return Object.assign({}, ...schema.allOf.map((part) => exampleOf(part, schemas)))
  const [type] = [schema.type].flat()
  if (type === 'array') return schema.items === undefined ? [] : [exampleOf(schema.items, schemas)]
  if (type === 'object') return Object.fromEntries(fieldsOf(schema).map(([name, field]) => [name, exampleOf(field, schemas)]))
  if (type === 'integer' || type === 'number') return schema.minimum ?? 0
  if (type === 'boolean') return false
  if (type !== 'string') return {}
  return schema.format === 'date-time' ? '2026-01-31T12:00:00.000Z' : 'text'
}

function fieldsOf({ properties = {}, required = [] }: Schema): [string, Schema][] {
  return Object.entries(properties).filter(
    ([name, field]) => field.writeOnly !== true && (required.includes(name) || field.example !== undefined),
  )
}
