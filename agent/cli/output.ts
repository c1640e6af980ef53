import type { Output } from './caller.ts'

/** The output of this process. `isWhole` is asked at the end: whether all of it went out. */
export type WatchedOutput = Output & { isWhole(): Promise<boolean> }

/**
 * Writes to standard output, and says on standard error when that is in vain: whoever redirects a file to a full disk has half of it, and must
 * not take it for whole.
 *
 * @param command its name, for the message
 */
export function watchedOutput(command: string, { stdout, stderr }: Pick<NodeJS.Process, 'stdout' | 'stderr'> = process): WatchedOutput {
  let fault: NodeJS.ErrnoException | undefined
  stdout.on('error', (error) => {
    fault ??= error
  })
  // Nobody is left who could be told.
  stderr.on('error', () => {})
  return {
    out: (text) => void stdout.write(text),
    err: (text) => void stderr.write(text),
    async isWhole() {
      await new Promise<void>((resolve) => stdout.write('', () => resolve()))
      if (fault === undefined) return true
      const why = fault.code === 'ENOSPC' ? 'the disk is full' : fault.code === 'EPIPE' ? 'nobody reads it any more' : fault.message
      stderr.write(`${command}: not all of it was written: ${why}.\n`)
      return false
    },
  }
}
