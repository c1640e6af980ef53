import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { programPath } from './peer.ts'

/** What Go's regexp is asked. */
export type Question = { pattern: string; text: Buffer; template?: string; timed?: boolean }

/**
 * What it answers: why it refuses the pattern, or pairs of begin and end in bytes, and the template with groups in it, in base64. If `timed`,
 * only how long it took to tell whether there is a match.
 */
export type GoAnswer = { error?: string; groups?: number[]; expanded?: string; ns?: number }

/**
 * What Go's regexp, and so blackbox_exporter, makes of patterns and texts. Debian's golang-go compiles `regexp.go`, without any module.
 * @throws Error that names the Debian package when it is not installed
 */
export function askGo(questions: readonly Question[]): { answers: GoAnswer[]; version: string } {
  const go = programPath({ name: 'go', package: 'golang-go', program: '/usr/bin/go' })
  const env = { ...process.env, GO111MODULE: 'off', GOFLAGS: '', GOTOOLCHAIN: 'local' }
  const run = (args: string[], input = '') => {
    const { status, stdout, stderr, error } = spawnSync(go, args, { env, input, encoding: 'utf8', maxBuffer: 2 ** 30 })
    if (status !== 0) throw new Error(`go ${args[0]}: ${stderr}`, { cause: error })
    return stdout
  }
  const lines = questions.map(({ text, ...asked }) => JSON.stringify({ ...asked, text: text.toString('base64') }))
  const answers = run(['run', path.join(import.meta.dirname, 'regexp.go')], lines.join('\n'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as GoAnswer)
  return { answers, version: run(['version']).trim() }
}
