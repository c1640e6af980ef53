/** How a table came from a snapshot. */
export type Restored = {
  /** The id of its restore. */
  restore: string
  /** How many of its shards no node takes. */
  unallocated: number
}

/** A table of users. */
export type TableState = {
  rows: number
  /** Of the table, or of each partition. */
  shards: number
  /** The sum of the highest sequence numbers of its shards; its rows if left out. */
  sequence?: number
  /** The values of each partition; left out for a table without. */
  partitions?: Record<string, string>[]
  restored?: Restored
}

/** Restores of one database. */
export type RestoreState = {
  /** Those that have not ended. */
  restores: { id: string; name: string; repository: string; tables: string[]; due: number }[]
  /** How restores go from now on: how long they take, whether they go on until that is false, and how many shards of a table no node takes. */
  restoring: { ms: number; held: boolean; unallocated: number }
}

/** @returns the state of a database that restores at once */
export function freshRestores(): RestoreState {
  return { restores: [], restoring: { ms: 0, held: false, unallocated: 0 } }
}
