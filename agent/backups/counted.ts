import type { Answers } from './comparison.ts'
import { describeTable } from './restore-statements.ts'

/** A table whose rows are not those of the source, although nothing was written to it since the snapshot. */
export type Difference = { table: string; restored: number; source: number }

/** What a rehearsal has found out about the rows. */
export type Counted = {
  rows: number
  /** Tables that nothing was written to since the snapshot, and that have as many rows. */
  equal: number
  /** Tables that were written to since, or that the source no longer has: their rows cannot be compared. */
  changed: number
  differences: Difference[]
}

type Shards = Answers['startedShards']

/**
 * The tables that nothing was written to in the source since the snapshot.
 *
 * The source goes on writing, so not every table can be compared. Each operation on a shard raises its highest sequence number, and a
 * snapshot keeps that number. Where a table has as many shards, and the same sum of those numbers, nothing was written to it since.
 */
export function unchangedTables(restored: Shards, source: Shards): Set<string> {
  const originals = new Map(source.map((row) => [nameOf(row), row]))
  const same = restored.filter((row) => {
    const original = originals.get(nameOf(row))
    return original !== undefined && original[2] === row[2] && original[4] === row[4]
  })
  return new Set(same.map(nameOf))
}

/**
 * Compares the rows of a restored database with those of its source.
 * @param restored the rows of each restored table, by name
 * @param source the rows of the tables that can be compared
 */
export function compareRows(restored: ReadonlyMap<string, number>, source: ReadonlyMap<string, number>): Counted {
  const counted: Counted = { rows: 0, equal: 0, changed: 0, differences: [] }
  for (const [table, rows] of restored) {
    counted.rows += rows
    const original = source.get(table)
    if (original === undefined) counted.changed++
    else if (original === rows) counted.equal++
    else counted.differences.push({ table, restored: rows, source: original })
  }
  return counted
}

function nameOf([schema, table]: Shards[number]): string {
  return describeTable({ schema, table })
}
