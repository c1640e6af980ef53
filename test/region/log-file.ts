import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import path from 'node:path'

/** A file that gets lines as they come: they are written when `line` returns, so that they survive a killed process. After `close`, none. */
export type LogFile = { line(text: string): void; close(): void }

/** Opens an empty log. @throws Error that names the file when it cannot be written */
export function openLog(file: string): LogFile {
  mkdirSync(path.dirname(file), { recursive: true })
  const fd = openSync(file, 'w')
  let isOpen = true
  return {
    line: (text) => {
      if (isOpen) writeSync(fd, `${text}\n`)
    },
    close() {
      isOpen = false
      closeSync(fd)
    },
  }
}
