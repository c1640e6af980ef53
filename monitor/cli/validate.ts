import { type Command, print } from './command.ts'
import { loadChecks, readArguments } from './load.ts'

/** `skerry-monitor validate --config FILE`: 0 and how many checks there are, or 2 and everything that is wrong. Nothing is checked. */
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

Says ok, or everything that is wrong, each with its place. FILE is the monitor's configuration, whose checks file is read too, or a
checks file. 0 when it is valid, 2 when it is not.
`
}
