import type { Clock } from '../../shared/clock.ts'

/** Where facts come from: a cache that follows a collection. */
export type AgedSource = { readonly heardAt: number | undefined; readonly trouble: string | undefined }

/** How old a fact is. */
export type Age = {
  /** RFC 3339, to the minute: when the oldest of its sources was last heard of. */
  observedAt: string
  /** Why it may be out of date, if a source is broken. */
  stale?: { since: string; reason: string } | undefined
}

/**
 * The ages of facts, by name. A fact is absent until each of its sources was heard of. A watch proves itself about once a minute even if
 * nothing changes.
 */
export function agesOf(sources: Record<string, readonly AgedSource[]>, clock: Clock): Record<string, Age> {
  const ages = Object.entries(sources).flatMap(([name, from]) => {
    const age = ageOf(from, clock)
    return age === undefined ? [] : [[name, age] as const]
  })
  return Object.fromEntries(ages)
}

/** A document without the times in its ages, which pass by themselves: the same as long as nothing else changes. */
export function withoutTimes(document: { parts: Record<string, Age> }): object {
  const parts = Object.entries(document.parts).map(([field, { stale }]) => [field, stale === undefined ? {} : { stale: stale.reason }])
  return { ...document, parts: Object.fromEntries(parts) }
}

function ageOf(sources: readonly AgedSource[], clock: Clock): Age | undefined {
  if (sources.some(({ heardAt }) => heardAt === undefined)) return undefined
  const heardAt = Math.min(...sources.map(({ heardAt = 0 }) => heardAt))
  const observedAt = minuteOf(clock.now() - (clock.monotonic() - heardAt))
  const trouble = sources.find(({ trouble }) => trouble !== undefined)?.trouble
  return { observedAt, ...(trouble !== undefined && { stale: { since: observedAt, reason: trouble } }) }
}

function minuteOf(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16)}:00Z`
}
