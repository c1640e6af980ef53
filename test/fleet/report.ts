import type { Meter } from './meter.ts'
import type { Bound, Outcome, Phase } from './timeline.ts'

/** The heights of a column, lowest first. */
const bars = '▁▂▃▄▅▆▇█'

/** The most columns of a phase. */
const mostColumns = 40

/** Whether a bound holds. */
export function holds({ found, most }: Bound): boolean {
  return found <= most
}

/** The lines that a scenario prints: what was counted over time, what else was found, and the bounds. */
export function reportOf({ meters, phases, facts, bounds }: Outcome): string[] {
  const charts = meters.flatMap(({ unit, meter }) => chartOf(unit, meter, phases))
  const ends = bounds.map(
    (bound) => `  ${holds(bound) ? 'holds ' : 'BROKEN'}  ${bound.what}: ${shown(bound.found)} ${bound.unit} (at most ${bound.most})`,
  )
  return [...charts, ...facts.map((fact) => `  ${fact}`), ...ends]
}

/** One row for each phase. The columns of all rows have one scale; a long phase has wider columns. */
function chartOf(unit: string, meter: Meter, phases: readonly Phase[]): string[] {
  const rows = phases
    .filter(({ fromMs, toMs }) => toMs - fromMs >= 1_000)
    .map(({ name, fromMs, toMs }) => {
      const seconds = Math.round((toMs - fromMs) / 1_000)
      const columnS = Math.max(1, Math.ceil(seconds / mostColumns))
      return { name, seconds, columns: meter.rates(fromMs, toMs, columnS), ...meter.spread(fromMs, toMs) }
    })
  const highest = Math.max(...rows.flatMap(({ columns }) => columns), 1e-9)
  const barOf = (rate: number) => bars[Math.min(bars.length - 1, Math.floor((rate / highest) * bars.length))] ?? ''
  return [
    `  ${unit} a second, the highest column ${shown(highest)}:`,
    ...rows.map(
      ({ name, seconds, columns, mean, peak, ratio }) =>
        `  ${name.padEnd(10)} ${minutes(seconds).padStart(7)}  ${columns.map(barOf).join('').padEnd(mostColumns)}  mean ${shown(mean)}, peak ${shown(peak)} (${ratio.toFixed(1)} ×)`,
    ),
  ]
}

function minutes(seconds: number): string {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}

function shown(amount: number): string {
  return amount >= 100 ? Math.round(amount).toLocaleString('en') : String(Number(amount.toFixed(2)))
}
