import { type Command, print } from './command.ts'
import { loadChecks, readArguments } from './load.ts'

/** `skerry-monitor validate --config FILE`: prints the number of checks, or every fault (exit code 2). No check runs. */
export const validateCommand: Command = async (argv, surroundings) => {
  const { config, help } = readArguments(argv, {})
  if (help) {
    print(usage(surroundings.program))
    return 0
  }
  const { checks } = await loadChecks(config, surroundings)
  print(`ok, ${checks.length} ${checks.length === 1 ? 'check' : 'checks'}`)
  return 0
}

function usage(program: string): string {
  return `Usage: ${program} validate --config FILE

Prints ok, or every fault with its place. FILE is a checks file, or the monitor's configuration with its checks file.

Exit code: 0 if the file is valid, 2 if it is not.
`
}
