import { type Command, type Surroundings, UsageError } from './command.ts'
import { commandNames } from './names.ts'

const commands: Record<string, () => Promise<Command>> = {
  check: async () => (await import('./check.ts')).checkCommand,
  test: async () => (await import('./test.ts')).testCommand,
  validate: async () => (await import('./validate.ts')).validateCommand,
}

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
