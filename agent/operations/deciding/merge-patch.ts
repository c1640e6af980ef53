import * as z from 'zod'
import { asFault, type FaultAt, parseWith } from '../../../shared/faults.ts'
import { type ForeignBodies, foreignObjects } from '../../resources/foreign-bodies.ts'
import { refusal } from './decision.ts'

/**
 * The present state with a patch applied, validated as a whole. A resource that another tool made may have members that the schema refuses:
 * those that the patch does not name stay as they are.
 *
 * @throws Problem `invalid-fields`
 */
export function patched<Schema extends z.ZodObject>(
  schema: Schema,
  present: unknown,
  patch: Record<string, unknown>,
  foreign: ForeignBodies = foreignObjects,
): z.output<Schema> {
  const { status: _, ...change } = patch // the status of a read may be sent back
  const parsed = parseWith(schema, mergePatch(present, change), { explain: foreign.field })
  if (parsed.ok) return parsed.value
  const before = parseWith(schema, present)
  const inherited = before.ok ? [] : before.faults
  const lenient = withUnchecked(schema, inherited, change)
  const again = inherited.length === 0 ? parsed : parseWith(lenient, mergePatch(present, change), { explain: foreign.field })
  if (again.ok) return again.value as z.output<Schema>
  const known = new Set(inherited.map((fault) => asFault(fault).path))
  const faults = again.faults
    .map((fault) => asFault(fault))
    .map(({ path, message }) => ({ path, message: known.has(path) ? `${message}; ${madeElsewhere}` : message }))
  throw refusal('invalid-fields', faults, again.more)
}

const madeElsewhere =
  'it is not so now either, since another tool made this CrateDB: give this member whole and valid values, or leave it out of the patch'

/** The schema without the members that are invalid already, unless the patch names them. */
function withUnchecked(schema: z.ZodObject, inherited: FaultAt[], change: Record<string, unknown>): z.ZodObject {
  const members = new Set(inherited.map(({ path }) => String(path[0])).filter((member) => !Object.hasOwn(change, member)))
  return schema.extend(Object.fromEntries([...members].map((member) => [member, z.unknown()])))
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
