import { Secret } from '../fields.ts'
import { type Files, readText } from './file.ts'

/** A fault of a secret, and its path. */
export type SecretFault = { path: (string | number)[]; message: string }

const secretBytes = 64 * 1024

/** Loads all secrets below `value` from their files, and returns the faults. */
export function loadSecrets(value: unknown, files: Files, path: (string | number)[] = []): SecretFault[] {
  if (value instanceof Secret) {
    if (value.file === undefined) return []
    try {
      value.load(readText(files, value.file, secretBytes))
      return value.reveal().trim() === '' ? [{ path, message: `names ${value.file}, which is empty` }] : []
    } catch (error) {
      return [{ path, message: `names ${value.file}: ${(error as Error).message}` }]
    }
  }
  return inside(value).flatMap(([name, each]) => loadSecrets(each, files, [...path, name]))
}

/** The files of all secrets below `value`, each once. */
export function secretFilesOf(value: unknown): string[] {
  const found = new Set<string>()
  const search = (each: unknown): void => {
    if (each instanceof Secret) {
      if (each.file !== undefined) found.add(each.file)
    } else for (const [, part] of inside(each)) search(part)
  }
  search(value)
  return [...found]
}

/** The fields or items of a value; none for a string or a number. */
export function inside(value: unknown): [string | number, unknown][] {
  if (Array.isArray(value)) return value.map((each, index) => [index, each])
  return typeof value === 'object' && value !== null ? Object.entries(value) : []
}
