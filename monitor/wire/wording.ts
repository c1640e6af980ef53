import { visible } from '../../shared/visible.ts'

const longestDetail = 400

/**
 * Foreign text for one line of a detail: without control characters, with invisible ones in writing, cut to a length, and well-formed Unicode
 * where it is cut.
 */
export function shorten(text: string, longest: number = longestDetail): string {
  const plain = visible(text.slice(0, longest * 4).replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')).trim()
  return (plain.length <= longest ? plain : `${plain.slice(0, longest - 1)}…`).toWellFormed()
}

/** The first few of many names, for a sentence: `a, b, c and 4 more`. */
export function someOf(names: readonly string[], most = 5): string {
  const shown = names.slice(0, most).map((name) => shorten(name, 60))
  const rest = names.length - shown.length
  return rest > 0 ? `${shown.join(', ')} and ${rest} more` : shown.join(', ')
}

/**
 * The version in a server's text, for a label: `15.6` of `15.6 (Debian 15.6-0+deb12u1)`, `v1.33.2+k3s1`; `unknown` if it does not begin with one.
 * The text itself could be any, and another one each time.
 */
export function versionIn(text: string): string {
  return /^v?\d{1,9}(?:\.\d{1,9}){0,3}(?:[-+~][0-9A-Za-z.+~-]{1,20})?/.exec(text)?.[0] ?? 'unknown'
}

/** What is to be said of the days until something expires: `expires in 3 days`, `expires within a day`, `expired 2 days ago`. */
export function expiryOf(days: number): string {
  if (days >= 1) return `expires in ${count(Math.floor(days), 'day')}`
  if (days > 0) return 'expires within a day'
  return days > -1 ? 'expired less than a day ago' : `expired ${count(Math.floor(-days), 'day')} ago`
}

/** `1 host`, `2 hosts`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

/** A share as a whole percentage. */
export function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}
