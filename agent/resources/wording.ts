/** Words for a value of the wrong type. What is missing is left to the parser, which says that it is required. */
export function wrongType(message: string): { error: (issue: { input?: unknown }) => string | undefined } {
  return { error: ({ input }) => (input === undefined ? undefined : message) }
}

/** `a, b and c`; words beyond `most` are counted. */
export function listed(words: string[], most = 5): string {
  const shown = words.length > most ? [...words.slice(0, most), `${words.length - most} more`] : words
  return shown.length < 2 ? shown.join('') : `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}`
}
