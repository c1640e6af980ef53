import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/**
 * Calls `gone` once npm, which started this process, has ended without a word, as on SIGKILL: npm passes on all other signals. Does nothing
 * for a process that npm did not start.
 */
export async function watchNpm(gone: () => void): Promise<void> {
  if (process.env.npm_lifecycle_event === undefined) return
  const npm = await npmProcess()
  const timer = setInterval(() => {
    if (isRunning(npm)) return
    clearInterval(timer)
    gone()
  }, 500)
  timer.unref()
}

/** The process id of npm. Between it and a script there is a shell, unless that replaces itself with the script. */
async function npmProcess(): Promise<number> {
  const { ppid } = process
  const parent = await promisify(execFile)('ps', ['-o', 'ppid=,comm=', '-p', `${ppid}`]).catch(() => ({ stdout: '' })) // not everybody has it
  const [, grandparent, command = ''] = /^\s*(\d+)\s+(\S+)/.exec(parent.stdout) ?? []
  return /(^|\/)-?(ba|da|a|z|k)?sh$/.test(command) ? Number(grandparent) : ppid
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
