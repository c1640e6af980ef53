import { hash } from 'node:crypto'
import { maxConfigBytes, readText, textOrFault } from '../../shared/config/file.ts'
import { loadConditionsFor } from '../wire/conditions.ts'
import { MissingSecret, type ReadSecrets } from './cluster-secrets.ts'
import { type ChecksFile, type ParseOptions, parseChecks, sayFault, secretReferences } from './config.ts'
import type { SecretValues } from './secrets.ts'

/** What came of a reading: the file is in effect, it did not change, or it has faults. */
export type Reading = 'taken' | 'same' | { faults: string[] }

/** How the checks file is read. */
type ReaderOptions = Pick<ParseOptions, 'isDiscovered' | 'files'> & { readSecrets: ReadSecrets | undefined }

/** Reads the checks file, the files of its secrets, and the Secrets of the cluster that it refers to. */
export class ChecksReader {
  /** The last content without faults. */
  current: ChecksFile | undefined
  /** Whether a Secret of the cluster could not be read the last time. */
  isWaiting = false
  readonly #path: string
  readonly #options: ReaderOptions
  /** Of the content that is in effect; undefined if the last reading had faults. */
  #fingerprint: string | undefined
  #secrets: SecretValues = new Map()

  constructor(path: string, options: ReaderOptions) {
    this.#path = path
    this.#options = options
  }

  async read(signal: AbortSignal): Promise<Reading> {
    const reading = await this.#read(signal)
    if (typeof reading === 'object') this.#fingerprint = undefined
    return reading
  }

  async #read(signal: AbortSignal): Promise<Reading> {
    let text: string
    try {
      text = readText(this.#options.files, this.#path, maxConfigBytes)
      // Writing in place empties the file first. Read at that moment, it would take all checks away.
      if (this.current !== undefined && text.trim() === '') throw new Error('it is empty; for no checks, write "checks: []"')
      await loadConditionsFor(text)
      await this.#lookUpSecrets(text, signal)
    } catch (error) {
      return { faults: [`${this.#path}: ${(error as Error).message}`] }
    }
    if (this.#fingerprint !== undefined && this.#fingerprintOf(text) === this.#fingerprint) return 'same'
    const parsed = parseChecks(text, { ...this.#options, secrets: this.#secrets })
    if ('faults' in parsed) return { faults: parsed.faults.map((fault) => sayFault(fault, this.#path)) }
    this.current = parsed
    this.#fingerprint = this.#fingerprintOf(text)
    return 'taken'
  }

  /** A Secret that cannot be read now keeps its last value. */
  async #lookUpSecrets(text: string, signal: AbortSignal): Promise<void> {
    const found = (await this.#options.readSecrets?.(secretReferences(text), signal)) ?? new Map<string, string | Error>()
    const unread = [...found].filter(([, value]) => value instanceof Error && !(value instanceof MissingSecret))
    for (const [key, error] of unread) found.set(key, this.#secrets.get(key) ?? error)
    this.#secrets = found
    this.isWaiting = unread.length > 0
  }

  #fingerprintOf(text: string): string {
    const fromFiles = this.current?.secretFiles.map((file) => textOrFault(this.#options.files, file, maxConfigBytes))
    const fromCluster = [...this.#secrets].map(([key, value]) => [key, value instanceof Error ? value.message : value])
    return hash('sha256', JSON.stringify([text, fromFiles, fromCluster]))
  }
}
