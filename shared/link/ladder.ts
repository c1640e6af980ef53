/**
 * How much a program sends:
 *
 * - `normal`: as it is configured
 * - `metered`: for a link that is paid by the megabyte
 * - `critical`: as little as can be without becoming unheard
 */
export const linkProfiles = ['normal', 'metered', 'critical'] as const
export type LinkProfile = (typeof linkProfiles)[number]

/** Where the bytes of a day stand. */
export type Consumption = {
  /** Bytes of today so far. */
  used: number
  /** Bytes that a day may have; undefined without a budget. */
  perDay: number | undefined
  /** The part of the day that has passed, from 0 to 1. */
  passed: number
}

/** Steps of the ladder, the highest first: from this part of the budget on, while less of the day has passed than of the budget. */
const steps = [
  { from: 0.8, profile: 'critical' },
  { from: 0.5, profile: 'metered' },
] as const

/** A step is left only when this much more of the day has passed than of the budget: each change of the profile costs bytes itself. */
const restMargin = 0.05

/**
 * The profile that the budget asks for. At half of it, before half of the day has passed, less is sent; at four fifths, as little as can be.
 * Once all of it is used that stays so until midnight. A budget never stops anything: what must be told is told.
 *
 * @param before the profile that the budget asked for until now
 */
export function profileOfBudget({ used, perDay, passed }: Consumption, before: LinkProfile): LinkProfile {
  if (perDay === undefined) return 'normal'
  const part = perDay === 0 ? Number.POSITIVE_INFINITY : used / perDay
  if (part >= 1) return 'critical'
  const reached = steps.find(({ from }) => part >= from)?.profile ?? 'normal'
  if (part > passed) return reached
  // The day has caught up. Just barely, though, the next bytes would change it again.
  return part > passed - restMargin ? theMoreGenerous(before, reached) : 'normal'
}

/** Of two profiles, the one that sends less. */
export function theThriftier(one: LinkProfile, other: LinkProfile): LinkProfile {
  return linkProfiles.indexOf(one) > linkProfiles.indexOf(other) ? one : other
}

function theMoreGenerous(one: LinkProfile, other: LinkProfile): LinkProfile {
  return linkProfiles.indexOf(one) < linkProfiles.indexOf(other) ? one : other
}
