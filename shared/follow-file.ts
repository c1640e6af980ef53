import type { FSWatcher } from 'node:fs'
import { dirname } from 'node:path'
import type { Clock } from './clock.ts'
import type { Log } from './log.ts'
import { watchFolder } from './watch-folder.ts'

/** Watching is not enough: network file systems and replaced folders lose events, and files that it names are in other folders. */
const pollMs = 30_000
/** A program that writes the file in several chunks gets time to finish. */
const settleMs = 50

/** How a file is followed. */
type Following = {
  /** Reads the file and takes what it says. @returns whether it has no faults */
  read(signal: AbortSignal): Promise<boolean>
  /** The longest time until the next reading, in milliseconds; 30 s if undefined. */
  pauseMs?(): number | undefined
}

/**
 * Reads a file whenever it may have changed: its folder is watched, since Kubernetes replaces the link `..data` beside a mounted file, and
 * it is read at intervals all the same. One reading follows the other: of two at a time, the older one might win.
 */
export class FileFollower {
  readonly #path: string
  readonly #given: Following
  readonly #needs: { clock: Clock; log: Log }
  readonly #ending = new AbortController()
  #changed = new AbortController()
  #watcher: FSWatcher | undefined
  #following: Promise<void> | undefined
  #reading: Promise<unknown> = Promise.resolve()

  constructor(path: string, given: Following, needs: { clock: Clock; log: Log }) {
    this.#path = path
    this.#given = given
    this.#needs = needs
  }

  /** Aborts when following ends. */
  get signal(): AbortSignal {
    return this.#ending.signal
  }

  /** Notices changes from now on. To be called before the first reading: a change during it is then read again. */
  watch(): void {
    this.#watcher = watchFolder(dirname(this.#path), () => this.#changed.abort(), this.#needs.log)
  }

  /** Reads the file at each change from now on. */
  follow(): void {
    this.#following ??= this.#follow()
  }

  /** Reads the file now, or after the reading under way. @returns whether it has no faults */
  read(): Promise<boolean> {
    const next = this.#reading.then(() => this.#given.read(this.signal))
    this.#reading = next.catch(() => {})
    return next
  }

  /** Ends following, and waits for a reading under way. */
  async stop(): Promise<void> {
    this.#ending.abort(new Error('stopping'))
    this.#watcher?.close()
    await Promise.all([this.#following, this.#reading])
  }

  async #follow(): Promise<void> {
    const { clock, log } = this.#needs
    const { signal } = this
    while (!signal.aborted) {
      const pauseMs = this.#given.pauseMs?.() ?? pollMs
      await clock.sleep(pauseMs, AbortSignal.any([signal, this.#changed.signal])).catch(() => {})
      if (this.#changed.signal.aborted) await clock.sleep(settleMs, signal).catch(() => {})
      if (signal.aborted) return
      this.#changed = new AbortController()
      await this.read().catch((error: unknown) => log.error({ err: error, file: this.#path }, 'the file could not be read again'))
    }
  }
}
