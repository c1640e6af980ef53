import { type Files, parseConfigFile } from '../../../shared/config/file.ts'
import { loadSecrets, secretFilesOf } from '../../../shared/config/secrets.ts'
import { type JudgedModule, judgeModule } from './index.ts'

/** A module of a file, and the files that it names for secrets, whether they could be read or not. */
type ReadModule = JudgedModule & { secretFiles?: readonly string[] }

/** The modules of a file by their names, in its order. */
export type ReadModules = ReadonlyMap<string, ReadModule>

/**
 * Reads a configuration of blackbox_exporter. A module that cannot be had is refused by itself, and so is one whose secrets cannot be read.
 * Without `files`, secrets are not read.
 * @returns the faults if it is no such file, without its name
 */
export function readModules(text: string, files?: Files): ReadModules | { faults: string[] } {
  const parsed = parseConfigFile(text, { asGo: true })
  if (Array.isArray(parsed))
    return {
      faults: parsed.map(({ message, position }) => (position === undefined ? message : `${position.line}:${position.column}: ${message}`)),
    }
  const { modules, ...rest } = recordOf(parsed.value)
  const [other] = Object.keys(rest)
  if (other !== undefined || modules === undefined)
    return {
      faults: [
        `it is no configuration of blackbox_exporter, ${other === undefined ? 'which has the field modules' : `which has no field ${JSON.stringify(other)}`}`,
      ],
    }
  if (modules !== null && (typeof modules !== 'object' || Array.isArray(modules)))
    return { faults: ['modules must be a map of modules by their names'] }
  return new Map(Object.entries(recordOf(modules)).map(([name, given]) => [name, withSecrets(judgeModule(given), files)]))
}

function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}

function withSecrets(judged: JudgedModule, files: Files | undefined): ReadModule {
  if ('refused' in judged || files === undefined) return judged
  const { prober, settings } = judged.module
  const secretFiles = secretFilesOf(settings)
  const faults = loadSecrets(settings, files, [prober])
  if (faults.length === 0) return { ...judged, secretFiles }
  return { refused: faults.map(({ path, message }) => `${path.join('.')} ${message}`), secretFiles }
}
