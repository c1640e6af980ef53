import { closeSync, openSync, readFileSync } from 'node:fs'
import type { Socket } from 'node:net'

/**
 * How many files this process may have open at once; undefined where that cannot be read. Node raises the soft limit to the hard one at its
 * start.
 */
export function openFileLimit(): number | undefined {
  try {
    const [, soft] = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
    return soft === undefined ? undefined : Number(soft)
  } catch {
    return undefined
  }
}

/** The descriptors that connections leave free, for files and for the connections that the process itself opens. */
export function reservedDescriptors(limit: number): number {
  return Math.min(128, Math.ceil(limit / 4))
}

/** The descriptor of a connection; undefined when it is closed. */
export function descriptorOf(socket: Socket): number | undefined {
  return (socket as Socket & { _handle?: { fd?: number } | null })._handle?.fd
}

/**
 * The bytes of a connection that the system has taken over to send them, and those that wait for it, because the client takes none. Node counts
 * bytes as written that only wait.
 */
export function progressOf(socket: Socket): { sent: number; waiting: number } {
  const { _handle: handle } = socket as Socket & { _handle?: { bytesWritten?: number; writeQueueSize?: number } | null }
  const waiting = handle?.writeQueueSize ?? 0
  return { sent: (handle?.bytesWritten ?? 0) - waiting, waiting }
}

/** Whether no file can be opened. libuv then closes new connections without an event, so somebody has to look. */
export function isOutOfDescriptors(): boolean {
  try {
    closeSync(openSync('/dev/null', 'r'))
    return false
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return code === 'EMFILE' || code === 'ENFILE'
  }
}
