/** Words for a value of the wrong type. What is missing is left to the parser, which says that it is required. */
export function wrongType(message: string): { error: (issue: { input?: unknown }) => string | undefined } {
  return { error: ({ input }) => (input === undefined ? undefined : message) }
}
