const longestDetail = 400

/** Foreign text for one line of a detail: without control characters, cut to a length, and well-formed Unicode where it is cut. */
export function shorten(text: string, longest: number = longestDetail): string {
  const plain = text
    .slice(0, longest * 4)
    .replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
    .trim()
  return (plain.length <= longest ? plain : `${plain.slice(0, longest - 1)}…`).toWellFormed()
}

/** The first few of many names, for a sentence: `a, b, c and 4 more`. */
export function someOf(names: readonly string[], most = 5): string {
  const shown = names.slice(0, most).map((name) => shorten(name, 60))
  const rest = names.length - shown.length
  return rest > 0 ? `${shown.join(', ')} and ${rest} more` : shown.join(', ')
}

/** `1 host`, `2 hosts`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

/** A share as a whole percentage. */
export function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}
