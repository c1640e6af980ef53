import { readFile, writeFile } from 'node:fs/promises'
import type { Finding } from './measurement.ts'
import { markdownTable } from './table.ts'

/** A whole run: when, on which machine, and its table. */
export type Run = { at: string; node: string; machine: string; findings: Finding[] }

const runFile = 'test/bench/last-run.json'
const page = 'docs/performance.md'

/** Keeps a run as the last one, and renders its table into docs/performance.md. */
export async function record(run: Run): Promise<void> {
  await writeFile(runFile, `${JSON.stringify(run, null, 2)}\n`)
  const text = await readFile(page, 'utf8')
  await writeFile(page, text.replace(table, rendered(run)))
}

/** The recorded run as the page should show it, and the part of the page where it stands. */
export async function recorded(): Promise<{ expected: string; found: string }> {
  const run = JSON.parse(await readFile(runFile, 'utf8')) as Run
  const text = await readFile(page, 'utf8')
  return { expected: rendered(run), found: table.exec(text)?.[0] ?? '' }
}

const table = /<!-- npm run bench -- --record -->[\s\S]*<!-- end of the table -->/

function rendered({ at, node, machine, findings }: Run): string {
  return [
    '<!-- npm run bench -- --record -->',
    `${at.slice(0, 10)}, ${machine}, Node ${node}:\n`,
    `${markdownTable(findings)}\n`,
    '<!-- end of the table -->',
  ].join('\n')
}
