import { parseArgs } from 'node:util'
import { stringify } from 'yaml'
import type * as z from 'zod'
import { type FaultAt, parseWith } from '../faults.ts'
import { type Override, place, readEnvironment } from './environment.ts'
import { type ConfigFile, type Files, maxConfigBytes, parseConfigFile, readText, systemFiles, textOrFault } from './file.ts'
import { effectiveConfig, helpText } from './help.ts'
import { namedFileFaults } from './named-files.ts'
import { loadSecrets } from './secrets.ts'

/** The inputs of a program's configuration. */
export type ConfigSources = {
  /** Its name, such as `skerry-agent`; the prefix of its environment variables derives from it: `SKERRY_AGENT`. */
  program: string
  version: string
  /** The arguments without those of Node. */
  argv: readonly string[]
  env: Record<string, string | undefined>
  files?: Files
  /**
   * For `--check-config`: the faults of what the configuration names beyond files of certificates and secrets, each a line with its place.
   * It gets the merged settings before they are checked, so that these faults are told along with those of the settings.
   */
  examine?: ((settings: unknown, files: Files) => string[]) | undefined
}

/**
 * The configuration to run with. `shown` is what `--print-config` prints of it: with every default, and without secrets. `changedFile` is the
 * path of the file if it has another content now than it was loaded with.
 */
type RunConfig<T> = { kind: 'run'; config: T; shown(): unknown; changedFile(): string | undefined }

/** The configuration to run with; or the output and exit code (0 prints on standard output, others on standard error). */
export type LoadedConfig<T> = RunConfig<T> | { kind: 'exit'; code: number; output: string }

/**
 * Reads the configuration: the file that `--config` or `<PREFIX>_CONFIG` names, overridden by `<PREFIX>__A__B=…`, checked by the
 * schema, with secrets read from their files. All faults are reported at once, each with its place.
 * `--help`, `--version`, `--print-config` and `--check-config` answer instead. The last one also reads what the configuration names. Nothing here exits the process or throws.
 */
export function loadConfig<S extends z.ZodType>(schema: S, sources: ConfigSources): LoadedConfig<z.output<S>> {
  const { program, version, argv, env, files = systemFiles } = sources
  const prefix = program.toUpperCase().replaceAll('-', '_')
  const asked = readArguments(argv)
  if ('fault' in asked) return exit(2, `${program}: ${asked.fault}\nTry ${program} --help\n`)
  if (asked.help) return exit(0, helpText(schema, { program, version, prefix }))
  if (asked.version) return exit(0, `${program} ${version}\n`)

  const path = asked.config ?? (env[`${prefix}_CONFIG`] || undefined)
  const read = readSources(schema, prefix, env, path, files)
  if ('faults' in read) return exit(1, report(read.faults))
  const parsed = parseWith(schema, read.data, { jitless: true })
  const faults = parsed.ok
    ? loadSecrets(parsed.value, files).map((fault) => read.locate({ ...fault, isKey: false }))
    : parsed.faults.map(read.locate)
  faults.push(...read.misnamed)
  if (asked['check-config']) {
    if (parsed.ok) faults.push(...namedFileFaults(schema, parsed.value, files).map(read.locate))
    faults.push(...(sources.examine?.(read.data, files) ?? []))
  }
  if (!parsed.ok && parsed.more > 0) faults.push(`and ${parsed.more} more faults`)
  if (!parsed.ok || faults.length > 0) return exit(1, report(faults))
  if (asked['check-config']) return exit(0, 'ok\n')
  const shown = () => effectiveConfig(schema, read.data ?? {})
  if (asked['print-config']) return exit(0, stringify(shown(), { lineWidth: 0 }))
  const changedFile = () => (path === undefined || textOrFault(files, path, maxConfigBytes) === read.text ? undefined : path)
  return { kind: 'run', config: parsed.value, shown, changedFile }
}

function exit(code: number, output: string): { kind: 'exit'; code: number; output: string } {
  return { kind: 'exit', code, output }
}

function report(faults: readonly string[]): string {
  return `The configuration is invalid:\n${faults.map((fault) => `  ${fault}\n`).join('')}`
}

function readArguments(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        config: { type: 'string', short: 'c' },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean' },
        'check-config': { type: 'boolean' },
        'print-config': { type: 'boolean' },
      },
    }).values
  } catch (error) {
    return { fault: (error as Error).message.split('. ')[0] ?? '' }
  }
}

/** Says where a fault is, in words. */
type Locate = (fault: FaultAt) => string
type Merged = { text: string | undefined; data: unknown; misnamed: string[]; locate: Locate }

function readSources(
  schema: z.ZodType,
  prefix: string,
  env: ConfigSources['env'],
  path: string | undefined,
  files: Files,
): Merged | { faults: string[] } {
  let file: ConfigFile | undefined
  let text: string | undefined
  if (path !== undefined) {
    try {
      text = readText(files, path, maxConfigBytes)
    } catch (error) {
      return { faults: [`${path}: cannot be read: ${(error as Error).message}`] }
    }
    const parsed = parseConfigFile(text)
    if (Array.isArray(parsed)) return { faults: parsed.map(({ message, position }) => `${lineOf(path, position)}: ${message}`) }
    file = parsed
  }
  const { overrides, faults } = readEnvironment(schema, prefix, env)
  const data = overrides.reduce<unknown>((merged, { path, value }) => place(merged, path, value), file?.value ?? {})
  return { text, data, misnamed: faults.map((fault) => `${fault.path[0]}: ${fault.message}`), locate: locateIn(path, file, overrides) }
}

function locateIn(path: string | undefined, file: ConfigFile | undefined, overrides: readonly Override[]): Locate {
  return (fault) => {
    const name =
      fault.path.length === 0
        ? 'the document'
        : fault.path
            .map((piece) => (typeof piece === 'number' ? `[${piece}]` : `.${piece}`))
            .join('')
            .replace(/^\./, '')
    const override = overrides.find((each) => each.path.every((piece, index) => fault.path[index] === piece))
    if (override !== undefined) return `${override.variable}: ${name} ${fault.message}`
    const position = file?.position(fault.path, fault.isKey)
    return path === undefined ? `${name} ${fault.message}` : `${lineOf(path, position)}: ${name} ${fault.message}`
  }
}

function lineOf(path: string, position: { line: number; column: number } | undefined): string {
  return position === undefined ? path : `${path}:${position.line}:${position.column}`
}
