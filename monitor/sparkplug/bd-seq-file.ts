import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import type { Log } from '../../shared/log.ts'
import type { BdSeqStore } from './bd-seq.ts'
import { bdSeqAfter } from './sequence.ts'
import { messageOf } from './waits.ts'

/** Every number has this many bytes on disk, so that one takes the place of another. */
const recordBytes = 4

/**
 * Keeps it in a file, written under a temporary name, flushed and renamed. On a full disk there is no room for a second file, but a number
 * can still take the place of another in the first. Four bytes within one sector are written whole or not at all.
 *
 * A number that cannot be kept is not used: the next start would use it again, and hosts would take the late death of this session for that
 * of the next. So a disk that cannot be written keeps the node from connecting, and `trouble` says so; a connection that exists goes on.
 */
export function createFileBdSeq(file: string, { log }: { log: Log }): BdSeqStore {
  let last: number | undefined
  let isRead = false
  let trouble: string | undefined

  /** @throws when there is a file that cannot be read: its number may be any */
  async function read(): Promise<number | undefined> {
    const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined
      throw error
    })
    if (text === undefined || (/^\d{1,3} *\n?$/.test(text) && Number(text) < 256)) return text === undefined ? undefined : Number(text)
    log.warn({ file }, 'the bdSeq file has no valid number, counting starts at 0')
    return undefined
  }

  async function keep(number: number): Promise<void> {
    const record = `${String(number).padEnd(recordBytes - 1)}\n`
    try {
      await mkdir(path.dirname(file), { recursive: true })
      await write(`${file}.new`, 'w', record)
      await rename(`${file}.new`, file)
      await flushFolder(path.dirname(file))
    } catch (error) {
      // What was begun takes room from whoever needs it.
      await rm(`${file}.new`, { force: true }).catch(() => {})
      await write(file, 'r+', record).catch(() => {
        throw error
      })
    }
  }

  async function lastNumber(): Promise<number | undefined> {
    if (!isRead) last = await read()
    isRead = true
    return last
  }

  return {
    wasUsed: async () => (await lastNumber()) !== undefined,
    async next() {
      try {
        const next = bdSeqAfter(await lastNumber())
        await keep(next)
        last = next
        trouble = undefined
        return next
      } catch (error) {
        trouble = `bdSeq cannot be kept, and without it the node does not connect: make room for ${file} or make it writable: ${messageOf(error)}`
        throw new Error(trouble, { cause: error })
      }
    },
    trouble: () => trouble,
  }
}

async function write(file: string, flags: 'w' | 'r+', text: string): Promise<void> {
  const handle = await open(file, flags, 0o600)
  try {
    await handle.write(text, 0)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Otherwise a loss of power soon after the rename can undo it, and the number before comes back. */
async function flushFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
