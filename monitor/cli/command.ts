/** What a command is started with. */
export type Surroundings = { program: string; env: Record<string, string | undefined> }

/** A command: prints, and resolves with the code to exit with. 2 stands for what was asked for in a wrong way. */
export type Command = (argv: readonly string[], surroundings: Surroundings) => Promise<number>

/** Something the user can put right: it is told without a stack trace, and the code to exit with is 2. */
export class UsageError extends Error {}

/** Prints to standard output, or to standard error what is wrong. */
export function print(text: string, { isFault = false }: { isFault?: boolean } = {}): void {
  ;(isFault ? process.stderr : process.stdout).write(text.endsWith('\n') ? text : `${text}\n`)
}
