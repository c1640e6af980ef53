import { type Files, maxConfigBytes, readText } from '../../shared/config/file.ts'
import { parseChecks, sayFault, secretReferences } from '../prober/config.ts'
import { referenceKey } from '../prober/secrets.ts'
import { mayBeDiscovered } from '../region/discovered-checks.ts'

/**
 * For `--check-config`: every fault of the checks file that the settings name, and of the files of its secrets. There is no cluster here: its
 * Secrets are taken as given, and names of checks that may be discovered as found.
 */
export function checksFileFaults(settings: unknown, files: Files): string[] {
  const { checks } = (settings ?? {}) as { checks?: { file?: unknown } | null }
  const path = checks?.file
  if (typeof path !== 'string') return []
  let text: string
  try {
    text = readText(files, path, maxConfigBytes)
  } catch (error) {
    return [`${path}: cannot be read: ${(error as Error).message}`]
  }
  const secrets = new Map(secretReferences(text).map((reference) => [referenceKey(reference), 'read when it runs']))
  const parsed = parseChecks(text, { files, secrets, isDiscovered: mayBeDiscovered })
  return 'faults' in parsed ? parsed.faults.map((fault) => sayFault(fault, path)) : []
}
