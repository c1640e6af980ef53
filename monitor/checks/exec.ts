import { spawn } from 'node:child_process'
import * as z from 'zod'
import { discreet } from '../../shared/discretion.ts'
import { pattern } from '../wire/patterns.ts'
import { CheckFailure } from '../wire/reasons.ts'
import { shorten } from '../wire/wording.ts'
import { type CheckResult, checkKind } from './kind.ts'

/** The most bytes of output that are kept; what a command writes beyond that is read and thrown away. */
const maxBytes = 16 * 1024

const options = z.strictObject({
  command: discreet(z.array(z.string().max(4096)).min(1).max(100), 'arguments')
    .refine(([program]) => program?.startsWith('/') === true, { error: 'must begin with the absolute path of a program' })
    .describe('The program, by its absolute path, and its arguments. No shell is involved.'),
  env: discreet(z.record(z.string().regex(/^[A-Za-z_]\w*$/), z.string().max(4096)), 'headers')
    .default({})
    .describe('Environment, besides PATH and LANG.'),
  expectOutput: pattern.optional().describe('Regular expression (RE2) that the output must match when the program ends with 0.'),
})

/** Up when a program of this machine ends with 0. */
export const exec = checkKind({
  about:
    'Runs a program of this machine, as plugins of Nagios and Icinga are: up when it ends with 0, degraded with 1, down with 2 or any other code, unknown with 3. The first line of its output is the detail. On a bare host only, and only if `checks.allowExec` of the monitor is true: whoever can change the checks file can otherwise run programs as the monitor. It runs with the permissions of the monitor, with an environment of its own, and is killed with its process group when it times out.',
  example: { command: ['/usr/lib/nagios/plugins/check_load', '-w', '8,6,4', '-c', '16,12,8'] },
  options,
  measures: { skerry_exec_exit_code: { type: 'gauge', help: 'Exit code of the program.' } },
  target: ({ command }) => command[0] ?? '',
  async check({ command, env, expectOutput }, { mayExec = false, signal }) {
    if (!mayExec)
      throw new CheckFailure(
        'misconfigured',
        'This monitor runs no programs. On a bare host, set checks.allowExec: true in its configuration; in a pod there is no way.',
      )
    const { code, output } = await run(command, { env, signal })
    const said = shorten(output.toString().split('\n', 1)[0] ?? '', 300) || 'It wrote nothing.'
    const measurements = [{ name: 'skerry_exec_exit_code', value: code }]
    if (code === 0 && expectOutput !== undefined && !(await expectOutput.test(output, signal)))
      return { state: 'down', reason: 'unexpected_answer', detail: `The output does not match expectOutput: ${said}`, measurements }
    return {
      ...(verdicts[code] ?? { state: 'down', reason: 'failing' }),
      detail: `Exit code ${code}: ${said}`,
      measurements,
    }
  },
})

/** How long the output may stay open after the program has ended, in milliseconds. */
const patienceMs = 200

/** By exit code: the conventions of Monitoring Plugins (monitoring-plugins.org, Development Guidelines, "Plugin Return Codes"). */
const verdicts: Record<number, Pick<CheckResult, 'state' | 'reason'>> = {
  0: { state: 'up' },
  1: { state: 'degraded', reason: 'failing' },
  2: { state: 'down', reason: 'failing' },
  3: { state: 'unknown', reason: 'error' },
}

function run(
  [program = '', ...args]: readonly string[],
  { env, signal }: { env: Record<string, string>; signal: AbortSignal },
): Promise<{ code: number; output: Buffer }> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    // A process group of its own, so that what it started ends with it.
    const child = spawn(program, args, {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8', ...env },
    })
    const kill = () => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      } catch {} // it has ended
    }
    const pieces: Buffer[] = []
    let length = 0
    const keep = (piece: Buffer) => {
      if (length < maxBytes) pieces.push(piece.subarray(0, maxBytes - length))
      length += piece.length
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    signal.addEventListener('abort', kill, { once: true })
    child.once('error', (error: NodeJS.ErrnoException) => {
      signal.removeEventListener('abort', kill)
      reject(
        new CheckFailure(
          'misconfigured',
          `The program cannot be started (${error.code}). Check its path, and that the monitor may run it.`,
        ),
      )
    })
    child.once('exit', (code, by) => {
      signal.removeEventListener('abort', kill)
      kill() // children that it left behind hold the output open
      if (signal.aborted) {
        child.stdout.destroy()
        child.stderr.destroy()
        return reject(signal.reason as Error)
      }
      const end = () =>
        resolve({ code: code ?? 128, output: Buffer.concat(by === null ? pieces : [Buffer.from(`killed by ${by}\n`), ...pieces]) })
      // A daemon that it left behind, outside of its group, may hold the output open for as long as it likes.
      const patience = setTimeout(() => {
        child.stdout.destroy()
        child.stderr.destroy()
      }, patienceMs)
      child.once('close', () => {
        clearTimeout(patience)
        end()
      })
    })
  })
}
