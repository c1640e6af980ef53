import type { CheckState } from '../checks/kind.ts'
import { shorten } from '../wire/wording.ts'
import type { CheckStatus } from './check.ts'

/** The columns of the table. */
const columns = ['STATE', 'NAME', 'KIND', 'TARGET', 'TOOK', 'DETAIL'] as const

/** SGR codes of ECMA-48: green, yellow, red, faint. */
const colours: Record<CheckState, string> = { up: '32', degraded: '33', down: '31', unknown: '2' }

/**
 * A table of checks for people: a line with the names of the columns, then one for each check. The detail comes last and is not cut to
 * the width of the terminal, since it says what to do.
 * @param isTerminal whether states are coloured
 */
export function checkTable(statuses: Iterable<CheckStatus>, { isTerminal = false }: { isTerminal?: boolean } = {}): string {
  const rows = [...statuses].map((status) => ({ state: status.state, cells: cellsOf(status) }))
  const widths = columns.map((title, index) => Math.max(title.length, ...rows.map(({ cells }) => widthOf(cells[index] ?? ''))))
  const line = (cells: readonly string[], paint = (text: string) => text) =>
    cells
      .map((cell, index) => {
        const padding = index === columns.length - 1 ? '' : ' '.repeat((widths[index] ?? 0) - widthOf(cell))
        return (index === 0 ? paint(cell) : cell) + padding
      })
      .join('  ')
      .trimEnd()
  const body = rows.map(({ state, cells }) => line(cells, isTerminal ? (text) => `\u001b[${colours[state]}m${text}\u001b[0m` : undefined))
  return `${[line(columns), ...body].join('\n')}\n`
}

function cellsOf({ check, state, lastDuration, detail }: CheckStatus): string[] {
  return [state, check.name, check.kind, shorten(check.target, 60), tookOf(lastDuration), detail].map((text) => shorten(text))
}

function tookOf(seconds: number | undefined): string {
  if (seconds === undefined) return '-'
  return seconds < 1 ? `${Math.max(1, Math.round(seconds * 1000))} ms` : `${seconds.toFixed(1)} s`
}

/** The number of code points. */
function widthOf(text: string): number {
  return [...text].length
}
