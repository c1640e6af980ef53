import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import type { Log } from '../../shared/log.ts'
import { type Beat, beatFromText, beatToText } from './beat.ts'
import type { BeatStore } from './store.ts'

/** Keeps beats in a file, one line for each heartbeat, written beside it and renamed. */
export function createFileBeats(file: string, { log }: { log: Log }): BeatStore {
  const known = new Map<string, Beat>()
  let trouble: string | undefined = 'they are being read'
  let reading: Promise<void> | undefined

  async function read({ found, known: done }: Parameters<BeatStore['follow']>[0]): Promise<void> {
    try {
      for (const line of (await readFile(file, 'utf8')).split('\n')) {
        const [, id, text = ''] = /^([\w.-]+) (.+)$/.exec(line) ?? []
        const beat = beatFromText(text)
        if (id === undefined || beat === undefined) continue
        known.set(id, beat)
        found(id, beat)
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        log.warn({ err: error, file }, 'kept heartbeats cannot be read; those of before the start are lost')
    }
    trouble = undefined
    done()
  }

  return {
    follow(listener) {
      reading = read(listener)
    },
    async keep(beats) {
      await reading // the file is replaced whole
      for (const [id, beat] of beats) known.set(id, beat)
      await mkdir(path.dirname(file), { recursive: true })
      const beside = `${file}.new`
      try {
        const handle = await open(beside, 'w', 0o600)
        try {
          await handle.writeFile([...known].map(([id, beat]) => `${id} ${beatToText(beat)}\n`).join(''))
        } finally {
          await handle.close()
        }
        await rename(beside, file)
      } catch (error) {
        await rm(beside, { force: true }) // half a file would keep the space of a full disk
        throw error
      }
    },
    trouble: () => trouble,
  }
}
