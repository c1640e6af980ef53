/** The commands, besides running the monitor: the arguments of each, and what it does. */
const commands = {
  check: {
    usage: '--config FILE [--once] [--json]',
    what: 'run the checks and show their states; with --once, exit with 0 if all are up, else with 1',
  },
  convert: { usage: '--file FILE', what: 'print the configuration of Gatus, or of the health monitor of LambdaStack, as a checks file' },
  modules: {
    usage: '--file FILE [--json]',
    what: 'list the modules of a configuration of blackbox_exporter: which work, and which are refused; exit with 1 if one is',
  },
  test: { usage: 'KIND key=value … [--json]', what: 'run one check and exit with 0 if it is up, else with 1; test --help lists the kinds' },
  validate: { usage: '--config FILE', what: 'print ok, or every fault of the configuration and its checks' },
}

/** The name of a command. */
export type CommandName = keyof typeof commands

/** Whether there is a command of that name. */
export function isCommandName(name: string): name is CommandName {
  return Object.hasOwn(commands, name)
}

/** The list of commands for `--help`. */
export function commandsHelp(program: string): string {
  return Object.entries(commands)
    .map(([name, { usage, what }]) => `  ${program} ${name} ${usage}\n      ${what}\n`)
    .join('')
}
