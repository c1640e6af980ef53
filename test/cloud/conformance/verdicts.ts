import type { Point } from '../points.ts'
import type { Verdict } from './report.ts'

/** What was found, for people: a line for each point, what was expected of one that fails, and how many there are. */
export function linesOf(verdicts: readonly (readonly [Point, Verdict])[], textOf: (point: Point) => string): string[] {
  const counts = { pass: 0, fail: 0, 'not tried': 0 }
  const lines = verdicts.flatMap(([point, verdict]) => {
    counts[verdict.result]++
    return [`${verdict.result.padEnd(9)}  ${point}. ${textOf(point)}`, ...more(verdict).map((line) => `${' '.repeat(11)}${line}`)]
  })
  return [...lines, '', `${counts.pass} pass, ${counts.fail} fail, ${counts['not tried']} not tried`]
}

function more(verdict: Verdict): string[] {
  switch (verdict.result) {
    case 'pass':
      return []
    case 'fail':
      return [`expected ${verdict.expected}`, `got ${verdict.got}`]
    case 'not tried':
      return [verdict.why]
  }
}
