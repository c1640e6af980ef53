import { execFile } from 'node:child_process'
import { shorten } from '../../wire/wording.ts'
import type { Action } from './action.ts'

/**
 * Has systemd restart a unit, and waits until it has. No shell is involved, and the name cannot be taken for an option.
 * @returns a description of what was done @throws Error with the output of systemctl
 */
export function restartUnit(
  { unit }: Extract<Action, { type: 'restart-unit' }>,
  { systemctl, signal }: { systemctl: string; signal: AbortSignal },
): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { signal, maxBuffer: 64 * 1024, windowsHide: true }
    execFile(systemctl, ['--no-ask-password', 'restart', '--', unit], options, (error, _output, said) => {
      if (error === null) return resolve('restarted')
      const { code } = error as { code?: unknown }
      if (signal.aborted) return reject(new Error('systemctl did not end in time'))
      if (code === 'ENOENT') return reject(new Error('this machine has no systemctl'))
      reject(new Error(`systemctl ended with ${String(code)}: ${shorten(said, 200) || 'no output'}`))
    })
  })
}
