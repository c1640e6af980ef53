import { empty } from './program.ts'
import { kind } from './rune-classes.ts'

const table = new Uint8Array(25)
for (const before of Object.values(kind))
  for (const behind of Object.values(kind))
    table[before * 5 + behind] =
      (before === kind.begin ? empty.beginText : 0) |
      (before === kind.begin || before === kind.newline ? empty.beginLine : 0) |
      (behind === kind.end ? empty.endText : 0) |
      (behind === kind.end || behind === kind.newline ? empty.endLine : 0) |
      ((before === kind.word) !== (behind === kind.word) ? empty.wordBoundary : empty.noWordBoundary)

/** The conditions that hold between two runes of these kinds, as bits of `empty` (Go: syntax.EmptyOpContext). */
export function conditions(before: number, behind: number): number {
  return table[before * 5 + behind] as number
}
