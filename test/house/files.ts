import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

/** The root of the repository. */
export const root = fileURLToPath(new URL('../../', import.meta.url))

/** The files of the repository, those not yet committed included, with `/` between their parts. */
export function filesOf(): string[] {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: root, encoding: 'utf8' })
  return listed
    .split('\n')
    .filter((file) => file !== '' && existsSync(path.join(root, file)))
    .sort()
}

/** The text of a file of the repository. */
export function textOf(file: string): string {
  return readFileSync(path.join(root, file), 'utf8')
}

/** The files of the repository that a TypeScript file imports, types included. */
export function importsOf(file: string): string[] {
  const specifiers = [...textOf(file).matchAll(/(?:^|\s)(?:from|import)\s*\(?\s*'(\.{1,2}\/[^']+)'/gm)].map(
    ([, specifier = '']) => specifier,
  )
  return specifiers.map((specifier) => path.posix.join(path.posix.dirname(file), specifier))
}
