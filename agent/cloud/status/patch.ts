import { isDeepStrictEqual } from 'node:util'

type Json = unknown

/**
 * The merge patch (RFC 7396) that makes `after` of `before`; undefined if they are equal. Lists are replaced as a whole. `after` must hold no
 * null in an object: a patch could not say it.
 */
export function patchBetween(before: Json, after: Json): Json {
  if (isDeepStrictEqual(before, after)) return undefined
  if (!isRecord(before) || !isRecord(after)) return after
  const changed = Object.entries(after).flatMap(([key, value]) => {
    const change = Object.hasOwn(before, key) ? patchBetween(before[key], value) : value
    return change === undefined ? [] : [[key, change] as const]
  })
  const removed = Object.keys(before).flatMap((key) => (Object.hasOwn(after, key) ? [] : [[key, null] as const]))
  return Object.fromEntries([...changed, ...removed])
}

/** The same without members that are null or undefined: in a merge patch, null means that there is no such member. */
export function withoutNulls<T extends Json>(value: T): T {
  if (Array.isArray(value)) return value.map(withoutNulls) as T
  if (!isRecord(value)) return value
  const members = Object.entries(value).flatMap(([key, member]) => (member == null ? [] : [[key, withoutNulls(member)] as const]))
  return Object.fromEntries(members) as T
}

function isRecord(value: Json): value is Record<string, Json> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
