import type { Command, Surroundings } from './command.ts'
import type { CommandName } from './names.ts'

const commands: Record<CommandName, () => Promise<Command>> = {
  check: async () => (await import('./check.ts')).checkCommand,
  convert: async () => (await import('./convert.ts')).convertCommand,
  modules: async () => (await import('./modules.ts')).modulesCommand,
  test: async () => (await import('./test.ts')).testCommand,
  validate: async () => (await import('./validate.ts')).validateCommand,
}

/** Runs a command and resolves with its exit code. It never throws: an error is printed as one line. */
export async function runCommand(name: CommandName, argv: readonly string[], surroundings: Surroundings): Promise<number> {
  try {
    const command = await commands[name]()
    return await command(argv, surroundings)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    process.stderr.write(`${surroundings.program} ${name}: ${message}\n`)
    return 2
  }
}
