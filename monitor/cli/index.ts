import { commandNames } from './names.ts'

/** What a command is started with. */
export type Surroundings = { program: string; env: Record<string, string | undefined> }

/** A command: prints, and resolves with the code to exit with. 2 stands for what was asked for in a wrong way. */
export type Command = (argv: readonly string[], surroundings: Surroundings) => Promise<number>

const commands: Record<string, () => Promise<Command>> = {
  check: async () => (await import('./check.ts')).checkCommand,
  test: async () => (await import('./test.ts')).testCommand,
  validate: async () => (await import('./validate.ts')).validateCommand,
}

/** Something the user can put right: it is told without a stack trace, and the code to exit with is 2. */
export class UsageError extends Error {}

/** Runs a command. It never throws: whatever goes wrong is told in one line. */
export async function runCommand(name: string, argv: readonly string[], surroundings: Surroundings): Promise<number> {
  try {
    const load = commands[name]
    if (load === undefined) throw new UsageError(`there are the commands ${commandNames.join(', ')}`)
    return await (await load())(argv, surroundings)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    process.stderr.write(`${surroundings.program} ${name}: ${message}\n`)
    return 2
  }
}

/** Prints to standard output, or to standard error what is wrong. */
export function print(text: string, { isFault = false }: { isFault?: boolean } = {}): void {
  ;(isFault ? process.stderr : process.stdout).write(text.endsWith('\n') ? text : `${text}\n`)
}
