import { readdirSync, readFileSync } from 'node:fs'
import { type Command, commandsInMarkdown } from './markdown.ts'
import { commandsInProse } from './prose.ts'
import { commandsInShell, commandsInTypeScript } from './strings.ts'

/** A command that a text tells somebody to run, where it stands. */
export type Found = Command & { source: string }

const inFolder = (folder: string, ending: string) =>
  readdirSync(folder)
    .filter((name) => name.endsWith(ending))
    .map((name) => `${folder}/${name}`)

/** Every text that tells somebody to run something, with how it is read. What blockers say is tested where they are. */
export const sources: Record<string, (text: string) => Command[]> = {
  ...each(inFolder('agent/preflight', '.ts'), commandsInTypeScript),
  ...each(inFolder('deploy/bootstrap', '.sh'), commandsInShell),
  ...each(inFolder('deploy/prometheus', '.yaml'), commandsInAnnotations),
  'deploy/chart/templates/NOTES.txt': commandsInNotes,
  ...each(
    [
      ...[
        'docs/operating.md',
        'docs/joining-a-cloud.md',
        'docs/installing.md',
        'docs/running.md',
        'docs/recovery.md',
        'docs/alerts.md',
        'docs/what-stands-in-the-way.md',
        'docs/recovery.md',
      ],
      'docs/what-is-kept.md',
      'docs/backups.md',
      'deploy/chart/README.md',
    ],
    commandsInMarkdown,
  ),
}

function each(files: string[], read: (text: string) => Command[]) {
  return Object.fromEntries(files.map((file) => [file, read]))
}

/** Every command of all sources. */
export function findCommands(): Found[] {
  return Object.entries(sources).flatMap(([source, read]) => read(readFileSync(source, 'utf8')).map((command) => ({ ...command, source })))
}

/** `summary` and `description` of each alert. */
function commandsInAnnotations(text: string): Command[] {
  return text
    .split('\n')
    .flatMap((line, index) =>
      commandsInProse(line.replace(/^\s*\w+: |^\s+/, '')).map((command) => ({ line: index + 1, text: command, context: line })),
    )
}

/** Lines of the notes that stand by themselves, two blanks in. */
function commandsInNotes(text: string): Command[] {
  return text.split('\n').flatMap((line, index) => (/^ {2}\S/.test(line) ? [{ line: index + 1, text: line.trim(), context: line }] : []))
}
