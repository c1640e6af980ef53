import type * as z from 'zod'
import { asFault, parseWith } from '../../../shared/faults.ts'
import { refusal } from './decision.ts'

/** The present state with a patch applied, validated as a whole. @throws Problem `invalid-fields` */
export function patched<Schema extends z.ZodType>(schema: Schema, present: unknown, patch: Record<string, unknown>): z.output<Schema> {
  const { status: _, ...change } = patch // the status of a read may be sent back
  const parsed = parseWith(schema, mergePatch(present, change))
  if (parsed.ok) return parsed.value
  throw refusal(
    'invalid-fields',
    parsed.faults.map((fault) => asFault(fault)),
  )
}

/**
 * The target with a JSON merge patch applied (RFC 7386): members of the patch replace those of the target, objects are merged,
 * `null` removes a member, an array replaces the whole array. Neither argument is changed.
 */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch
  // A Map, so that a member named __proto__ is a member like any other.
  const merged = new Map(isObject(target) ? Object.entries(target) : [])
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) merged.delete(name)
    else merged.set(name, mergePatch(merged.get(name), value))
  }
  return Object.fromEntries(merged)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}
