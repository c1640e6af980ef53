import { systemClock } from '../../shared/clock.ts'
import { createLog } from '../../shared/log.ts'
import { createProber } from '../prober/index.ts'
import { checkTable } from '../prober/table.ts'
import { type Command, print, type Surroundings } from './command.ts'
import { checksAsJson } from './json.ts'
import { type LoadedChecks, loadChecks, readArguments } from './load.ts'
import { runAllOnce } from './run-once.ts'

/** `skerry-monitor check --config FILE [--once] [--json]`: runs the checks and prints them as a table, or as JSON. It takes no actions. */
export const checkCommand: Command = async (argv, surroundings) => {
  const flag = { type: 'boolean', default: false } as const
  const { config, once, json, help } = readArguments(argv, { once: flag, json: flag })
  if (help) {
    print(usage(surroundings.program))
    return 0
  }
  const loaded = await loadChecks(config, surroundings)
  if (!once && !json && process.stdout.isTTY) return watch(loaded, surroundings)
  const statuses = await runAllOnce(loaded.checks, loaded.context, loaded)
  print(json ? checksAsJson(statuses) : checkTable(statuses, { isTerminal: process.stdout.isTTY }))
  return statuses.every(({ state }) => state === 'up') ? 0 : 1
}

/** How often the table is redrawn, in milliseconds. */
const drawMs = 500

/** Runs the checks at their intervals, as the monitor does, and shows the table until the command is interrupted. */
async function watch({ checks, context, parallelism }: LoadedChecks, { program }: Surroundings): Promise<number> {
  const stopping = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stopping.abort())
  const prober = createProber({ parallelism }, { context, clock: systemClock, log: createLog({ level: 'silent', name: program }) })
  prober.set(checks)
  await prober.start(stopping.signal)
  process.stdout.write(screen.enter)
  try {
    while (!stopping.signal.aborted) {
      const rows = checkTable(prober.statuses(), { isTerminal: true }).trimEnd().split('\n')
      // Lines that do not fit would scroll the screen at every redraw.
      const lines = rows.slice(0, Math.max(1, (process.stdout.rows || 24) - 1))
      process.stdout.write(`${screen.home}${lines.map((line) => `${line}${screen.clearLine}\n`).join('')}${screen.clearBelow}`)
      await systemClock.sleep(drawMs, stopping.signal).catch(() => {})
    }
  } finally {
    process.stdout.write(screen.leave)
    await prober.stop(systemClock.monotonic() + 1_000)
  }
  const statuses = [...prober.statuses()]
  print(checkTable(statuses, { isTerminal: true }))
  return statuses.every(({ state }) => state === 'up') ? 0 : 1
}

/** Control sequences of ECMA-48 and xterm. The alternate screen preserves the terminal's content; long lines are cut, not wrapped. */
const screen = {
  enter: '\u001b[?1049h\u001b[?25l\u001b[?7l',
  home: '\u001b[H',
  clearLine: '\u001b[K',
  clearBelow: '\u001b[J',
  leave: '\u001b[?7h\u001b[?25h\u001b[?1049l',
}

function usage(program: string): string {
  return `Usage: ${program} check --config FILE [--once] [--json]

Runs the checks and shows them as a table: at their intervals on a terminal; once with --once, or without a terminal.
With --json, it runs them once and prints one JSON object, with what each check measured.
FILE is a checks file, or the monitor's configuration with its checks file and its cluster. No actions are taken.

Exit code: 0 if all checks are up, 1 if one is not, 2 if the configuration is invalid.
`
}
