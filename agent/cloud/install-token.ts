import { createHash } from 'node:crypto'
import type { JoinSecret } from './registration/state.ts'

/** What the claims of an installation token say about joining (decision 10). */
const claims: readonly (readonly [name: 'id' | 'pin', pattern: RegExp])[] = [
  ['id', /^[\w-]{1,64}$/],
  ['pin', /^[\w-]{43}$/],
]

/**
 * What an installation token says to the cloud and about it. Its signature was checked by the installation, and is checked by the cloud again.
 * @returns undefined if it is no token, or was damaged
 */
export function readInstallToken(text: string): JoinSecret | undefined {
  const token = text.replace(/\s+/g, '')
  const [, content] = /^skerry1\.([\w-]{1,8192})\.[\w-]{86}\.\d{1,10}$/.exec(token) ?? []
  if (content === undefined) return undefined
  const lines = new Map(
    Buffer.from(content, 'base64url')
      .toString('utf8')
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const),
  )
  const told = claims.flatMap(([name, pattern]) => {
    const value = lines.get(name)
    return value !== undefined && pattern.test(value) ? [[name, value]] : []
  })
  return { sha256: createHash('sha256').update(token).digest('hex'), ...Object.fromEntries(told) }
}
