import { isCommand } from './prose.ts'

/** A command as a text has it, the line where it begins, and what is said around it: the sentence, the paragraph, the row. */
export type Command = { line: number; text: string; context: string }

/** The commands of a page: the lines of its `sh` blocks, and what is set as code and is a command. */
export function commandsInMarkdown(page: string): Command[] {
  const lines = page.split('\n')
  const found: Command[] = []
  let fence: string | undefined
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index] ?? ''
    const mark = /^\s*```(\w*)/.exec(line)
    if (mark) fence = fence === undefined ? mark[1] : undefined
    else if (fence === 'sh') {
      const first = index
      const context = `${paragraphAt(lines, startOfBlock(lines, index) - 2)} ${paragraphAt(lines, index)}`
      let text = line
      while (text.endsWith('\\')) text = `${text}\n${lines[++index]}`
      const command = withoutComment(text).trim()
      if (command !== '') found.push({ line: first + 1, text: command, context })
    } else if (fence === undefined) {
      found.push(
        ...spansOf(line).flatMap((text) => (isCommand(text) ? [{ line: index + 1, text, context: paragraphAt(lines, index) }] : [])),
      )
    }
  }
  return found
}

/** A comment is behind two blanks or more, or is the whole line: what else has a `#` in it is not touched. */
function withoutComment(text: string): string {
  return text.replace(/(^|\s{2,}|\s(?=# ))#\s.*$/, '')
}

/** What is set as code in a line. A vertical bar in a table is written `\|`. */
function spansOf(line: string): string[] {
  return [...line.matchAll(/(`+)(.+?)\1(?!`)/g)].map(([, , code = '']) => code.replaceAll('\\|', '|').trim())
}

/** The line of the mark with which a block begins; a blank one and what introduces it are before. */
function startOfBlock(lines: string[], index: number): number {
  return lines.findLastIndex((line, at) => at <= index && /^\s*```/.test(line))
}

/** The row of a table, or the lines around up to a blank one or another item of the list, as one line. */
function paragraphAt(lines: string[], index: number): string {
  const isRow = /^\|/.test(lines[index] ?? '')
  if (isRow) return lines[index]?.replaceAll('\\|', '|') ?? ''
  let first = index
  while (first > 0 && !/^\s*(?:[-*]|\d+\.) /.test(lines[first] ?? '') && lines[first - 1]?.trim()) first--
  let last = index
  while (lines[last + 1]?.trim() && !/^\s*(?:[-*]|\d+\.) /.test(lines[last + 1] ?? '')) last++
  return lines
    .slice(first, last + 1)
    .map((line) => line.trim())
    .join(' ')
}
