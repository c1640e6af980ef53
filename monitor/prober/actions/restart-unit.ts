import { execFile } from 'node:child_process'
import { shorten } from '../../wire/wording.ts'
import type { Action } from './action.ts'

/**
 * Has systemd restart a unit and waits for the end of that. No shell is involved, and the name cannot be taken for an option.
 * @returns what was done, in words @throws Error with what systemctl said
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
      if (signal.aborted) return reject(new Error('systemctl did not come to its end'))
      if (code === 'ENOENT') return reject(new Error('there is no systemctl on this machine'))
      reject(new Error(`systemctl ended with ${String(code)}: ${shorten(said, 200) || 'it said nothing'}`))
    })
  })
}
