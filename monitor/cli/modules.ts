import { parseArgs } from 'node:util'
import { maxConfigBytes, readText, systemFiles } from '../../shared/config/file.ts'
import { type ReadModules, readModules, sayLeft } from '../probe/index.ts'
import { loadConditionsFor } from '../wire/conditions.ts'
import { type Command, print, UsageError } from './command.ts'

/** What becomes of a module, as `--json` has it. */
type Line = { module: string; state: 'works' | 'differs' | 'refused'; notes: string[] }

/** `skerry-monitor modules --file FILE`: what becomes of each module of a configuration of blackbox_exporter. */
export const modulesCommand: Command = async (argv, { program }) => {
  const { file, json, help } = readArguments(argv)
  if (help) {
    print(usage(program))
    return 0
  }
  if (file === undefined) throw new UsageError(`--file is missing; try ${program} modules --help`)
  const lines = linesOf(await read(file))
  print(json ? JSON.stringify(lines, null, 2) : tableOf(lines))
  return lines.some(({ state }) => state === 'refused') ? 1 : 0
}

function readArguments(argv: readonly string[]) {
  try {
    const options = {
      file: { type: 'string', short: 'f' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    } as const
    return parseArgs({ args: [...argv], options }).values
  } catch (error) {
    throw new UsageError((error as Error).message.split('. ')[0] ?? '')
  }
}

/** The files that modules name for secrets are not read: they may be on the machine where the monitor runs. @throws UsageError */
async function read(file: string): Promise<ReadModules> {
  let text: string
  try {
    text = readText(systemFiles, file, maxConfigBytes)
  } catch (error) {
    throw new UsageError(`${file}: ${(error as Error).message}`)
  }
  await loadConditionsFor(text)
  const modules = readModules(text)
  if ('faults' in modules) throw new UsageError(modules.faults.map((fault) => `${file}: ${fault}`).join('\n'))
  return modules
}

function linesOf(modules: ReadModules): Line[] {
  return [...modules].map(([module, judged]) => {
    if ('refused' in judged) return { module, state: 'refused', notes: [...judged.refused] }
    const notes = judged.differences.map(sayLeft)
    return { module, state: notes.length === 0 ? 'works' : 'differs', notes }
  })
}

const words = { works: 'works', differs: 'works with a difference', refused: 'refused' }

function tableOf(lines: readonly Line[]): string {
  const widest = Math.max(0, ...lines.map(({ module }) => module.length))
  const shown = lines.map(({ module, state, notes }) =>
    [`${module.padEnd(widest)}  ${words[state]}`, ...notes.map((note) => `${' '.repeat(widest)}    ${note}`)].join('\n'),
  )
  const count = (state: Line['state']) => lines.filter((line) => line.state === state).length
  return [...shown, '', `${count('works')} work, ${count('differs')} work with a difference, ${count('refused')} refused`].join('\n')
}

function usage(program: string): string {
  return `Usage: ${program} modules --file FILE [--json]

Prints what becomes of each module of a configuration of blackbox_exporter: it works, works with a difference, or is refused, and what
to do instead. FILE is what metrics.probe.modulesFile of the monitor's configuration names. The files that modules name are not read.

Exit code: 0 if no module is refused, 1 if one is, 2 if FILE is no such configuration.
`
}
