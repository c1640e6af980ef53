type Schema = { [keyword: string]: unknown; properties?: Record<string, Schema> }

const bounds = new Set([
  ...['pattern', 'format', 'minLength', 'maxLength', 'minItems', 'maxItems'],
  ...['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
])

/**
 * The schema of a resource as a read shows it, without the bounds of what a request may ask for: another tool may have made the object, with
 * any values. The status keeps its bounds.
 */
export function withoutBounds({ properties = {}, ...schema }: Schema): Schema {
  const { status, ...others } = properties
  return { ...schema, properties: { ...(dropped(others) as Record<string, Schema>), ...(status && { status }) } }
}

/** Examples and the names of properties are not keywords. */
function dropped(value: unknown, areNames = true): unknown {
  if (Array.isArray(value)) return value.map((item) => dropped(item, false))
  if (typeof value !== 'object' || value === null) return value
  const kept = Object.entries(value).filter(([key]) => areNames || !bounds.has(key))
  return Object.fromEntries(
    kept.map(([key, inner]) => [
      key,
      !areNames && (key === 'example' || key === 'examples') ? inner : dropped(inner, key === 'properties' && !areNames),
    ]),
  )
}
