import type { Offset } from './clock-offset.ts'

/** What to do about a clock that is wrong. */
export const clockCure = 'Synchronize it: timedatectl set-ntp true'

/** A time span for people, rounded: `3 h`, `12 min`, `40 s`, `0.7 s`. @param ms its sign does not count */
export function spanOf(ms: number): string {
  const seconds = Math.abs(ms) / 1000
  if (seconds < 10) return `${Math.round(seconds * 10) / 10} s`
  if (seconds < 120) return `${Math.round(seconds)} s`
  if (seconds < 2 * 3600) return `${Math.round(seconds / 60)} min`
  return seconds < 2 * 86_400 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`
}

/** Where our clock is by the other one: `3 h behind` if the other is ahead. */
export function sideOf({ offsetMs }: Pick<Offset, 'offsetMs'>): string {
  return `${spanOf(offsetMs)} ${offsetMs > 0 ? 'behind' : 'ahead'}`
}

/** A moment in RFC 3339, in whole seconds. @param at Unix milliseconds */
export function shown(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19)}Z`
}
