import { anchor, escapeHtml, inline } from './markup.ts'

/** A JSON schema of the document. */
export type Schema = Record<string, unknown>

/** What a value is made of: the fields of an object, nested as lists; of anything else its type. */
export function schemaHtml(schema: Schema | undefined): string {
  if (schema === undefined) return ''
  const inner = objectIn(schema)
  if (inner === undefined) return `<p class="type">${typeOf(schema)}</p>`
  return (schema.type === 'array' ? '<p class="type">A list of objects:</p>' : '') + fieldsHtml(inner)
}

function fieldsHtml(schema: Schema): string {
  const required = new Set(schema.required as string[] | undefined)
  const items = Object.entries(schema.properties as Record<string, Schema>).map(([name, field]) => {
    const marks = [required.has(name) && '<em>required</em>', field.writeOnly === true && '<i>write-only</i>']
    const description = typeof field.description === 'string' ? `<p>${inline(field.description)}</p>` : ''
    return `<li><code>${escapeHtml(name)}</code> ${[`<i>${typeOf(field)}</i>`, ...marks].filter(Boolean).join(' ')}${description}${nestedHtml(name, field)}</li>`
  })
  return `<ul class="fields">${items.join('')}</ul>`
}

function nestedHtml(name: string, field: Schema): string {
  const inner = objectIn(field)
  if (inner === undefined) return ''
  const count = Object.keys(inner.properties as object).length
  return `<details><summary>${count === 1 ? 'One field' : `${count} fields`} of <code>${escapeHtml(name)}</code></summary>${fieldsHtml(inner)}</details>`
}

/** The object whose fields are shown: the schema itself, that of a list's items, or of the one alternative that is an object. */
function objectIn(schema: Schema): Schema | undefined {
  if (schema.properties !== undefined) return Object.keys(schema.properties as object).length > 0 ? schema : undefined
  if (schema.items !== undefined) return objectIn(schema.items as Schema)
  const [only, ...others] = alternativesOf(schema).flatMap((each): Schema[] => {
    const inner = objectIn(each)
    return inner === undefined ? [] : [inner]
  })
  return others.length === 0 ? only : undefined
}

function alternativesOf(schema: Schema): Schema[] {
  return ((schema.anyOf ?? schema.oneOf) as Schema[] | undefined) ?? []
}

/** The type in words, with its limits; a reference is a link. */
export function typeOf(schema: Schema | undefined): string {
  if (schema === undefined) return ''
  if (typeof schema.$ref === 'string') {
    const name = schema.$ref.split('/').at(-1) ?? ''
    return `<a href="#schema-${anchor(name)}">${escapeHtml(name)}</a>`
  }
  const alternatives = alternativesOf(schema)
  if (alternatives.length > 0) return [...new Set(alternatives.map(typeOf))].join(' or ')
  if (Array.isArray(schema.enum)) return schema.enum.map((value) => `<code>${escapeHtml(JSON.stringify(value))}</code>`).join(' ')
  if (schema.const !== undefined) return `<code>${escapeHtml(JSON.stringify(schema.const))}</code>`
  if (schema.type === 'array') return `list of ${typeOf(schema.items as Schema | undefined) || 'anything'}`
  const type = [schema.type ?? 'anything'].flat().join(' or ')
  return escapeHtml([type, ...limitsOf(schema)].join(', '))
}

function limitsOf(schema: Schema): string[] {
  const { format, minimum, maximum, minLength, maxLength } = schema as Record<string, number | string | undefined>
  const isBound = (value: unknown) => value !== undefined && Math.abs(Number(value)) !== Number.MAX_SAFE_INTEGER
  return [
    format !== undefined && String(format),
    isBound(minimum) && `≥ ${minimum}`,
    isBound(maximum) && `≤ ${maximum}`,
    minLength !== undefined && Number(minLength) > 1 && `at least ${minLength} characters`,
    maxLength !== undefined && `at most ${maxLength} characters`,
    schema.default !== undefined && `default ${JSON.stringify(schema.default)}`,
  ].filter((limit) => limit !== false)
}
