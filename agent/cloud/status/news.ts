import type { Offset } from '../../../shared/clock-offset.ts'
import { type Age, withoutTimes } from '../../region/age.ts'
import { patchBetween } from './patch.ts'

/**
 * The status of a region: its document, as the API shows it, without members that are null. `parts` has the age of each field, by its name.
 * While a field is not stale, each status confirms it.
 */
export type StatusDocument = { [field: string]: unknown; parts: Record<string, Age> }

/** What a status says of itself: when it was made, by our own clock, and how far that is off. */
export type Made = { generatedAt: string; clock?: Offset & { source: 'cloud' } }

/** A clock that was set is news; its estimate moves by itself. Milliseconds. */
const clockNewsMs = 250

/**
 * What a status says besides its number, against the last one that the cloud has acknowledged: the members of a merge patch. Undefined if there
 * is nothing to tell: then a heartbeat is enough, whose time is that of its proof.
 */
export function newsSince(
  before: { document: StatusDocument; offset: Offset | undefined },
  made: Made,
  document: StatusDocument,
): object | undefined {
  const region = changeOf(before.document, document)
  const moved = Math.abs((made.clock?.offsetMs ?? 0) - (before.offset?.offsetMs ?? 0)) > clockNewsMs
  return region === undefined && !moved ? undefined : { ...made, ...(region && { region }) }
}

/** What has changed. That something was observed again is no change, but goes with one. */
function changeOf(before: StatusDocument, now: StatusDocument): object | undefined {
  const change = patchBetween(withoutTimes(before), withoutTimes(now)) as Record<string, unknown> | undefined
  if (change === undefined) return undefined
  const { parts: ages = {}, ...fields } = change
  const named = [...new Set([...Object.keys(fields), ...Object.keys(ages as object)])]
  const parts = named.flatMap((field) => {
    const age = ageChange(before.parts[field], now.parts[field])
    return age === undefined ? [] : [[field, age] as const]
  })
  return { ...fields, ...(parts.length > 0 && { parts: Object.fromEntries(parts) }) }
}

/** The age of a field that has changed, or that has become stale, or is no longer. */
function ageChange(before: Age | undefined, now: Age | undefined): object | null | undefined {
  if (now === undefined) return before && null
  const { observedAt, stale } = now
  return { observedAt, ...(stale ? { stale } : before?.stale && { stale: null }) }
}
