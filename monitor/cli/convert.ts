import { parseArgs } from 'node:util'
import { maxConfigBytes, readText, systemFiles } from '../../shared/config/file.ts'
import { convert } from '../convert/index.ts'
import { count } from '../wire/wording.ts'
import { type Command, print, UsageError } from './command.ts'

/** `skerry-monitor convert --file FILE`: prints the configuration of another tool as a checks file. Notes go to standard error. */
export const convertCommand: Command = async (argv, { program }) => {
  const { file, help } = readArguments(argv)
  if (help) {
    print(usage(program))
    return 0
  }
  if (file === undefined) throw new UsageError('--file is required')
  let text: string
  try {
    text = readText(systemFiles, file, maxConfigBytes)
  } catch (error) {
    throw new UsageError(`${file}: ${(error as Error).message}`)
  }
  const converted = convert(text)
  if (converted === undefined)
    throw new UsageError(`${file} is neither a configuration of Gatus nor one of the health monitor of LambdaStack or Epiphany`)
  print(converted.text)
  for (const note of converted.notes) print(`note: ${note}`, { isFault: true })
  print(`${count(converted.checks, 'check')}, ${count(converted.notes.length, 'note')}`, { isFault: true })
  return 0
}

function readArguments(argv: readonly string[]) {
  try {
    const options = { file: { type: 'string', short: 'f' }, help: { type: 'boolean', short: 'h', default: false } } as const
    return parseArgs({ args: [...argv], options }).values
  } catch (error) {
    throw new UsageError((error as Error).message.split('. ')[0] ?? '')
  }
}

function usage(program: string): string {
  return `Usage: ${program} convert --file FILE > checks.yaml

Prints the configuration of another tool as a checks file: endpoints of Gatus, or healthd.yml of the health monitor of LambdaStack or Epiphany.
FILE may have several documents. What is different or has no counterpart is a comment in the file, and a note on standard error.

Exit code: 0 if the file was converted, 2 if it is none of these.
`
}
