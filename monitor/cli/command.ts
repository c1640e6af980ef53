/** The program and the environment that a command runs in. */
export type Surroundings = { program: string; env: Record<string, string | undefined> }

/** A command prints its output and resolves with the exit code; 2 is for wrong usage. */
export type Command = (argv: readonly string[], surroundings: Surroundings) => Promise<number>

/** A mistake that the user can correct. The message is printed without a stack trace, and the exit code is 2. */
export class UsageError extends Error {}

/** Prints to standard output; faults go to standard error. */
export function print(text: string, { isFault = false }: { isFault?: boolean } = {}): void {
  ;(isFault ? process.stderr : process.stdout).write(text.endsWith('\n') ? text : `${text}\n`)
}
