import { checkCommand } from './check.ts'
import type { Command, Surroundings } from './command.ts'
import { convertCommand } from './convert.ts'
import { modulesCommand } from './modules.ts'
import type { CommandName } from './names.ts'
import { testCommand } from './test.ts'
import { validateCommand } from './validate.ts'

/**
 * Imported together: each import on demand would split the bundle further, and the monitor itself would load its parts from twice as many
 * files, which takes 5 MiB.
 */
const commands: Record<CommandName, Command> = {
  check: checkCommand,
  convert: convertCommand,
  modules: modulesCommand,
  test: testCommand,
  validate: validateCommand,
}

/** Runs a command and resolves with its exit code. It never throws: an error is printed as one line. */
export async function runCommand(name: CommandName, argv: readonly string[], surroundings: Surroundings): Promise<number> {
  try {
    return await commands[name](argv, surroundings)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    process.stderr.write(`${surroundings.program} ${name}: ${message}\n`)
    return 2
  }
}
