/** A check as it stands in a checks file: `name`, `kind` and the options, in the order in which they are written. */
export type WrittenCheck = { name: string; kind: string } & Record<string, unknown>

/** What came of one entry of another tool's configuration: a check unless it has no counterpart, and what is different or left out. */
export type Converted = { check?: WrittenCheck | undefined; notes: string[] }

/** What came of a document: its entries, and what concerns all of it. */
export type ConvertedDocument = { entries: Converted[]; notes: string[] }

/** The fields of a record that have a value; anything else is empty. */
export function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}

/** A text; undefined for anything that a person would not call one. */
export function textOf(value: unknown): string | undefined {
  if (typeof value === 'string' && value !== '') return value
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined
}

/** Part of a path or of an id: letters, digits, dots and dashes. */
export function slugOf(text: string): string {
  return (
    text
      .toLowerCase()
      .replace(/[^a-z0-9.]+/g, '-')
      .replace(/^[-.]+|[-.]+$/g, '') || 'check'
  )
}
