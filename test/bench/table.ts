import type { Finding } from './measurement.ts'

/** The findings in aligned columns. */
export function table(findings: readonly Finding[]): string {
  const head = ['what', 'measured', 'against', 'ratio', 'budget', '']
  const rows = findings.map(({ what, measured, against = '', ratio, budget }) => [
    what,
    measured,
    against,
    ratio === undefined ? '' : `${ratio.toFixed(2)} ×`,
    budget?.text ?? '',
    budget === undefined ? '' : budget.met ? 'met' : 'NOT MET',
  ])
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (cells: string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  return [line(head), line(widths.map((width) => '─'.repeat(width))), ...rows.map(line)].join('\n')
}
