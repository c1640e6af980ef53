import { systemClock } from '../../shared/clock.ts'
import { createLog } from '../../shared/log.ts'
import { createProber } from '../prober/index.ts'
import { checkTable } from '../prober/table.ts'
import { type Command, print, type Surroundings } from './command.ts'
import { type LoadedChecks, loadChecks, readArguments } from './load.ts'
import { runAllOnce } from './run-once.ts'

/** `skerry-monitor check --config FILE [--once]`: a table of all checks. Actions are never taken. */
export const checkCommand: Command = async (argv, surroundings) => {
  const { config, once, help } = readArguments(argv, { once: { type: 'boolean', default: false } })
  if (help) {
    print(usage(surroundings.program))
    return 0
  }
  const loaded = await loadChecks(config, surroundings)
  if (!once && process.stdout.isTTY) return watch(loaded, surroundings)
  const statuses = await runAllOnce(loaded.checks, loaded.context, loaded)
  print(checkTable(statuses, { isTerminal: process.stdout.isTTY }))
  return statuses.every(({ state }) => state === 'up') ? 0 : 1
}

/** How often the table is drawn again, in milliseconds. */
const drawMs = 500

/** Runs the checks at their intervals, as the monitor does, and shows them until it is interrupted. */
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
      // What does not fit would scroll, and leave its upper part behind each time.
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

/** ECMA-48 and xterm: the alternate screen leaves what stood on the terminal before; long lines are cut while it is shown. */
const screen = {
  enter: '\u001b[?1049h\u001b[?25l\u001b[?7l',
  home: '\u001b[H',
  clearLine: '\u001b[K',
  clearBelow: '\u001b[J',
  leave: '\u001b[?7h\u001b[?25h\u001b[?1049l',
}

function usage(program: string): string {
  return `Usage: ${program} check --config FILE [--once]

Runs the checks and shows them as a table, again and again on a terminal; with --once, or where there is no terminal, once.
FILE is the monitor's configuration, whose checks file and cluster are looked at, or a checks file. No action is taken.

0 when all checks are up, 1 when one is not, 2 when the configuration cannot be used.
`
}
