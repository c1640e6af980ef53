import type { Finding } from './measurement.ts'

const head = ['', 'ours', 'beside', 'ratio', 'budget', '']

/** The findings in aligned columns. */
export function textTable(findings: readonly Finding[]): string {
  const rows = cellsOf(findings)
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (cells: string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  return [line(head), line(widths.map((width) => '─'.repeat(width))), ...rows.map(line)].join('\n')
}

/** The same table for a page, with the missed budgets in bold. */
export function markdownTable(findings: readonly Finding[]): string {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`.replaceAll(/ {2,}/g, ' ')
  const rows = cellsOf(findings).map((cells) => cells.map((cell) => (cell === missed ? `**${cell.toLowerCase()}**` : cell)))
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

const missed = 'NOT MET'

function cellsOf(findings: readonly Finding[]): string[][] {
  return findings.map(({ what, measured, against = '', ratio, budget }) => [
    what,
    measured,
    against,
    ratio === undefined ? '' : `${ratio.toFixed(ratio < 0.1 ? 4 : 2)} ×`,
    budget?.text ?? '',
    budget === undefined ? '' : budget.met ? 'met' : missed,
  ])
}
