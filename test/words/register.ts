import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import type { Found } from './commands.ts'

/** What a command does to the cluster, or to the machine it is run on: nothing, something that can be done again, or data is lost. */
export type Effect = 'looks' | 'changes' | 'destroys'

/** How a command is run: by a story, in the situation that shows it. */
export type Entry = { effect: Effect; story: string }

type File = Record<string, Record<Effect, string[]>> & { 'not run': { command: string; effect: Effect; reason: string }[] }

const { 'not run': without, ...stories }: File = parse(readFileSync(new URL('register.yaml', import.meta.url), 'utf8'))

/** Commands that cannot be run where the tests are, each with the reason. */
export const cannotRun: ReadonlyMap<string, { effect: Effect; reason: string }> = new Map(
  without.map(({ command, ...rest }) => [command, rest]),
)

/** Every command that is run, by its text. */
export const register: ReadonlyMap<string, Entry> = new Map(
  Object.entries(stories).flatMap(([story, byEffect]) =>
    Object.entries(byEffect).flatMap(([effect, texts]) => texts.map((text) => [text, { effect: effect as Effect, story }] as const)),
  ),
)

/**
 * What a program shows is a text with the names filled in.
 * @returns the text that a shown command was made from; where several fit, the one that says the most
 */
export function textOf(shown: string, found: readonly Found[]): string | undefined {
  const exact = found.find(({ text }) => text === shown)?.text
  const literal = (text: string) => text.replace(placeholder, '').length
  const fitting = found.filter(({ text }) => patternOf(text).test(shown)).sort((a, b) => literal(b.text) - literal(a.text))
  return exact ?? fitting[0]?.text
}

/** Those of TypeScript, of the shell and of helm's templates. */
const placeholder = /\{\{ if .*?\{\{ end \}\}|\$\{(?:[^{}]|\{[^}]*\})*\}|\{\{(?:"[^"]*"|[^}"])*\}\}|\$[a-z_]+/g

/** Placeholders stand for anything. */
function patternOf(text: string): RegExp {
  const parts = text.split(placeholder)
  return new RegExp(`^${parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*')}$`)
}
