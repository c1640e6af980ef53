import type { Command } from './markdown.ts'
import { commandsInProse } from './prose.ts'

/** What prints a sentence in the scripts of the installation, or keeps one to be printed. */
const printing = /\b(?:say|refuse|stop|failed|begin|ended|confirm)\b|\b(?:step_help|again)=/

/** The commands in the sentences that a shell script prints. Each of them is in one line. */
export function commandsInShell(source: string): Command[] {
  return linesOf(source)
    .filter(({ text }) => printing.test(text) && !/^\s*#/.test(text))
    .flatMap(({ line, text }) =>
      [...text.matchAll(/"((?:\\.|[^"\\])*)"|'([^']*)'/g)].flatMap(([, double, single = '']) =>
        commandsOf(line, double === undefined ? single : double.replace(/\\(["\\$`])/g, '$1')),
      ),
    )
}

/** The commands in the strings of a TypeScript source; those of one string are in one line. Placeholders stay: `kubectl delete node ${name}`. */
export function commandsInTypeScript(source: string): Command[] {
  return linesOf(source)
    .filter(({ text }) => !/^\s*(?:\*|\/[/*])/.test(text))
    .flatMap(({ line, text }) =>
      [...text.matchAll(/'((?:\\.|[^'\\])*)'|`((?:\\.|[^`\\])*)`|"((?:\\.|[^"\\])*)"/g)].flatMap(([, single, template, double]) =>
        commandsOf(line, single ?? template ?? double ?? ''),
      ),
    )
}

function commandsOf(line: number, sentence: string): Command[] {
  return commandsInProse(sentence).map((text) => ({ line, text, context: sentence }))
}

function linesOf(source: string): { line: number; text: string }[] {
  return source.split('\n').map((text, index) => ({ line: index + 1, text }))
}
