import type { FSWatcher } from 'node:fs'
import { dirname } from 'node:path'
import type { Clock } from '../../shared/clock.ts'
import { type Files, systemFiles } from '../../shared/config/file.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'
import { StartFault } from '../../shared/process.ts'
import { watchFolder } from '../../shared/watch-folder.ts'
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

/** Watching is not enough: network file systems and replaced folders lose events, and files of secrets are in other folders. */
const pollMs = 30_000
/** The interval while Secrets of the cluster cannot be read, so that the checks follow soon after the API server is back. */
const retryMs = 5_000
/** How long the start waits for Secrets of the cluster. */
const firstReadMs = 5_000
/** A program that writes the file in several chunks gets time to finish. */
const settleMs = 50

/**
 * Follows the checks file and the secrets that it names. Content with faults is logged once, with all of them, and the checks from before
 * stay in effect. The folder is watched, since Kubernetes replaces the link `..data` beside a mounted file.
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
  readonly #ending = new AbortController()
  #changed = new AbortController()
  #last: { ok: boolean; at: number } | undefined
  /** The faults that were last logged. */
  #logged: string | undefined
  #watcher: FSWatcher | undefined
  #following: Promise<void> | undefined
  #reading: Promise<unknown> = Promise.resolve()

  constructor({ path, namespace = 'skerry', isDiscovered }: ChecksFileConfig, needs: ChecksFileNeeds) {
    const { cluster, files = systemFiles } = needs
    this.#path = path
    this.#needs = needs
    this.#reader = new ChecksReader(path ?? '', { files, isDiscovered, readSecrets: cluster && createSecretReader(cluster, namespace) })
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
    return this.#path === undefined || this.#reread()
  }

  /** Whether the file had no faults when it was last read, and when that was, in Unix milliseconds. Undefined before the first reading. */
  last(): { ok: boolean; at: number } | undefined {
    return this.#last
  }

  async start(): Promise<void> {
    if (this.#path === undefined) return
    const { clock, log } = this.#needs
    // Watched first: a change during the first reading is read again.
    this.#watcher = watchFolder(dirname(this.#path), () => this.#changed.abort(), log)
    const reading = await this.#readFirst()
    this.#last = { ok: reading === 'taken', at: clock.now() }
    if (typeof reading === 'object' && !this.#reader.isWaiting) {
      this.#watcher?.close()
      throw new StartFault('the checks file cannot be used', reading.faults)
    }
    if (typeof reading === 'object')
      log.warn(
        { file: this.#path, faults: reading.faults },
        'Secrets that the checks need cannot be read; there are no checks until they can',
      )
    this.#following = this.#follow()
  }

  async stop(): Promise<void> {
    this.#ending.abort(new Error('stopping'))
    this.#watcher?.close()
    await Promise.all([this.#following, this.#reading])
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
      return await this.#reader.read(AbortSignal.any([this.#ending.signal, tooLate.signal]))
    } finally {
      over.abort()
    }
  }

  async #follow(): Promise<void> {
    const { clock, log } = this.#needs
    const { signal } = this.#ending
    while (!signal.aborted) {
      const pauseMs = this.#reader.isWaiting ? retryMs : pollMs
      await clock.sleep(pauseMs, AbortSignal.any([signal, this.#changed.signal])).catch(() => {})
      if (this.#changed.signal.aborted) await clock.sleep(settleMs, signal).catch(() => {})
      if (signal.aborted) return
      this.#changed = new AbortController()
      await this.#reread().catch((error: unknown) => log.error({ err: error, file: this.#path }, 'the checks could not be read again'))
    }
  }

  /** One reading after the other: of two at a time, the older one might win. */
  #reread(): Promise<boolean> {
    const next = this.#reading.then(async () => {
      const reading = await this.#reader.read(this.#ending.signal)
      return this.#ending.signal.aborted ? this.#last?.ok === true : this.#take(reading)
    })
    this.#reading = next.catch(() => {})
    return next
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
