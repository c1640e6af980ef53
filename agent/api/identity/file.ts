import type { FSWatcher } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Clock } from '../../../shared/clock.ts'
import type { Part } from '../../../shared/lifecycle.ts'
import type { Log } from '../../../shared/log.ts'
import { watchFolder } from '../../../shared/watch-folder.ts'

/** A value that stands in a file and follows it. */
export type FileValue<T> = Part & {
  /** What the file held when it could last be used. @throws Error before it has started */
  value(): T
}

// Events get lost on network file systems and when the folder itself is replaced, so the file is read now and then as well.
const pollMs = 30_000
/** Writers of several chunks are let finish. */
const settleMs = 50

/**
 * Reads the file at its start and whenever it changes. A change that `parse` refuses is logged once and the old value stays.
 * The folder is watched, not the file: Kubernetes replaces the symlink `..data` beside it.
 * @param parse throws an Error that says what is wrong, without quoting the file
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
        if (why !== refused) log.error({ err: error, file }, 'changed file refused, what it held before stays in use')
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
    async start() {
      // Watched first: what changes while it is read is read again.
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
