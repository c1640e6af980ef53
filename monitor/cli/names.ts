/** What the program can do besides running, and what that is good for. */
const commands: Record<string, string> = {
  'check --config FILE [--once]': 'run the checks and show how they are; with --once 0 if all are up, else 1',
  'test KIND key=value …': 'try one check of a kind: 0 if it is up, else 1; test --help lists the kinds',
  'validate --config FILE': 'say ok, or everything that is wrong with the configuration and its checks',
}

/** The words that begin a command. */
export const commandNames: readonly string[] = Object.keys(commands).map((usage) => usage.split(' ')[0] as string)

/** The commands as `--help` prints them. */
export function commandsHelp(program: string): string {
  return Object.entries(commands)
    .map(([usage, what]) => `  ${program} ${usage}\n      ${what}\n`)
    .join('')
}
