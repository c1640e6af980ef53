import { isDeepStrictEqual } from 'node:util'

/** One difference, in the form that Kopf passes to handlers: objects are compared field by field, lists only as a whole. */
type DiffItem = { operation: 'add' | 'change' | 'remove'; path: string[]; old: unknown; new: unknown }
export type Diff = DiffItem[]

/** The differences between two JSON values; empty if they are equal, whatever the order of their keys. */
export function diffOf(old: unknown, next: unknown, path: string[] = []): Diff {
  if (isDeepStrictEqual(old, next)) return []
  if (old === undefined) return [{ operation: 'add', path, old, new: next }]
  if (next === undefined) return [{ operation: 'remove', path, old, new: next }]
  if (!isMap(old) || !isMap(next)) return [{ operation: 'change', path, old, new: next }]
  const keys = [...new Set([...Object.keys(old), ...Object.keys(next)])]
  return keys.flatMap((key) => diffOf(old[key], next[key], [...path, key]))
}

/** The value at a path of field names; undefined if there is none. */
export function valueAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((at, key) => (isMap(at) ? at[key] : undefined), value)
}

function isMap(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}
