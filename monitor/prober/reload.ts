import type { Clock } from '../../shared/clock.ts'
import { type Files, systemFiles } from '../../shared/config/file.ts'
import { FileFollower } from '../../shared/follow-file.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'
import { StartFault } from '../../shared/process.ts'
import type { Check } from './check.ts'
import type { CheckSource } from './checks-in-effect.ts'
import { ChecksReader, type Reading } from './checks-reader.ts'
import { createSecretReader } from './cluster-secrets.ts'
import type { ParseOptions } from './config.ts'

/** Where the checks are. */
type ChecksFileConfig = Pick<ParseOptions, 'isDiscovered'> & {
  /** Without a file there are no checks. */
  path: string | undefined
  /** The namespace of Secrets whose reference names none. */
  namespace?: string | undefined
}

/** What following a checks file needs. */
export type ChecksFileNeeds = {
  /** Reads the Secrets that the file refers to. Without it, references are refused. */
  cluster?: Pick<Cluster, 'request'> | undefined
  clock: Clock
  log: Log
  files?: Files | undefined
}

/** The interval while Secrets of the cluster cannot be read, so that the checks follow soon after the API server is back. */
const retryMs = 5_000
/** How long the start waits for Secrets of the cluster. */
const firstReadMs = 5_000

/**
 * Follows the checks file and the secrets that it names. Content with faults is logged once, with all of them, and the checks from before
 * stay in effect.
 *
 * The start fails if the file has faults. If only Secrets of the cluster cannot be read, it succeeds, and there are no checks until they
 * can be: the API server may be down.
 */
export class FollowedChecks implements Part, CheckSource {
  readonly name = 'checks file'
  readonly #path: string | undefined
  readonly #needs: ChecksFileNeeds
  readonly #reader: ChecksReader
  readonly #listeners = new Set<() => void>()
  readonly #follower: FileFollower
  #last: { ok: boolean; at: number } | undefined
  /** The faults that were last logged. */
  #logged: string | undefined

  constructor({ path, namespace = 'skerry', isDiscovered }: ChecksFileConfig, needs: ChecksFileNeeds) {
    const { cluster, files = systemFiles } = needs
    this.#path = path
    this.#needs = needs
    this.#reader = new ChecksReader(path ?? '', { files, isDiscovered, readSecrets: cluster && createSecretReader(cluster, namespace) })
    this.#follower = new FileFollower(
      path ?? '',
      { read: (signal) => this.#reread(signal), pauseMs: () => (this.#reader.isWaiting ? retryMs : undefined) },
      needs,
    )
  }

  /** The checks of the file, as it last was without faults. */
  checks(): readonly Check[] {
    return this.#reader.current?.checks ?? []
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Reads the file now. @returns whether it has no faults */
  async reload(): Promise<boolean> {
    return this.#path === undefined || this.#follower.read()
  }

  /** Whether the file had no faults when it was last read, and when that was, in Unix milliseconds. Undefined before the first reading. */
  last(): { ok: boolean; at: number } | undefined {
    return this.#last
  }

  async start(): Promise<void> {
    if (this.#path === undefined) return
    const { clock, log } = this.#needs
    this.#follower.watch()
    const reading = await this.#readFirst()
    this.#last = { ok: reading === 'taken', at: clock.now() }
    if (typeof reading === 'object' && !this.#reader.isWaiting) {
      await this.#follower.stop()
      throw new StartFault('the checks file cannot be used', reading.faults)
    }
    if (typeof reading === 'object')
      log.warn(
        { file: this.#path, faults: reading.faults },
        'Secrets that the checks need cannot be read; there are no checks until they can',
      )
    this.#follower.follow()
  }

  async stop(): Promise<void> {
    await this.#follower.stop()
  }

  /** Everything else of the monitor waits for the first reading, so it has a time limit. */
  async #readFirst(): Promise<Reading> {
    const tooLate = new AbortController()
    const over = new AbortController()
    this.#needs.clock.sleep(firstReadMs, over.signal).then(
      () => tooLate.abort(new DOMException('no answer in time', 'TimeoutError')),
      () => {},
    )
    try {
      return await this.#reader.read(AbortSignal.any([this.#follower.signal, tooLate.signal]))
    } finally {
      over.abort()
    }
  }

  async #reread(signal: AbortSignal): Promise<boolean> {
    const reading = await this.#reader.read(signal)
    return signal.aborted ? this.#last?.ok === true : this.#take(reading)
  }

  #take(reading: Reading): boolean {
    if (reading === 'same') return true
    const { clock, log } = this.#needs
    const file = this.#path
    this.#last = { ok: reading === 'taken', at: clock.now() }
    if (reading === 'taken') {
      this.#logged = undefined
      log.info({ file, checks: this.checks().length }, 'checks read again')
      for (const listener of this.#listeners) listener()
      return true
    }
    const faults = reading.faults.join('\n')
    if (faults !== this.#logged)
      log.error({ file, faults: reading.faults }, 'the changed checks have faults and those from before stay in effect: correct the faults')
    this.#logged = faults
    return false
  }
}
