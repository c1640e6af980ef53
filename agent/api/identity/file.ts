import type { FSWatcher } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Clock } from '../../../shared/clock.ts'
import type { Part } from '../../../shared/lifecycle.ts'
import type { Log } from '../../../shared/log.ts'
import { watchFolder } from '../../../shared/watch-folder.ts'

/** The value of a file, updated when the file changes. */
export type FileValue<T> = Part & {
  /** The last valid value. @throws Error before the part has started */
  value(): T
  /** The present content of the file is invalid, or cannot be read: the value is that of an earlier one. */
  isStale(): boolean
}

// Network file systems lose events, and so does replacing the folder itself. The file is therefore read at intervals too.
const pollMs = 30_000
/** Gives a writer of several chunks time to finish. */
const settleMs = 50

/**
 * Reads the file at the start and whenever it changes. If `parse` refuses a change, it is logged once and the old value stays in use.
 * The folder is watched, not the file: Kubernetes replaces the symlink `..data` beside it.
 * @param parse throws an Error with the fault, without quoting the file
 */
export function createFileValue<T>(
  file: string,
  parse: (text: string) => T | Promise<T>,
  { name, clock, log }: { name: string; clock: Clock; log: Log },
): FileValue<T> {
  const ending = new AbortController()
  let current: { value: T; text: string } | undefined
  let refused: string | undefined
  let changed = new AbortController()
  let watcher: FSWatcher | undefined
  let following: Promise<void> | undefined

  async function read(): Promise<{ value: T; text: string } | undefined> {
    const text = await readFile(file, 'utf8')
    return text === current?.text ? undefined : { value: await parse(text), text }
  }

  async function follow(): Promise<void> {
    while (!ending.signal.aborted) {
      await clock.sleep(pollMs, AbortSignal.any([ending.signal, changed.signal])).catch(() => {})
      if (changed.signal.aborted) await clock.sleep(settleMs, ending.signal).catch(() => {})
      if (ending.signal.aborted) return
      changed = new AbortController()
      try {
        const next = await read()
        refused = undefined
        if (next === undefined) continue
        current = next
        log.info({ file }, 'file read again')
      } catch (error) {
        const why = (error as Error).message
        if (why !== refused) log.error({ err: error, file }, 'changed file is invalid, its last valid content stays in use')
        refused = why
      }
    }
  }

  return {
    name,
    value() {
      if (current === undefined) throw new Error(`${file} has not been read yet`)
      return current.value
    },
    isStale: () => refused !== undefined,
    async start() {
      // Watched first: a change during the read causes another read.
      watcher = watchFolder(dirname(file), () => changed.abort(), log)
      try {
        current = await read()
      } catch (error) {
        watcher?.close()
        throw new Error(`${file} cannot be used: ${(error as Error).message}`, { cause: error })
      }
      following = follow()
    },
    async stop() {
      ending.abort()
      watcher?.close()
      await following
    },
  }
}
