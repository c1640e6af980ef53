import { randomUUID } from 'node:crypto'
import type { DatabaseState } from './databases.ts'
import { folderOf, mustHaveDdl, repository, storeSays } from './repositories.ts'
import type { StoredSnapshot } from './repository-state.ts'
import type { Restored, TableState } from './restore-state.ts'
import { type Session, SqlError } from './sql-error.ts'

/* Tables, their shards and restores as CrateDB has them. Each answer is that of a fact in cratedb-facts.md. */

/** What of a snapshot is restored: everything that is named by a section, or tables and partitions. */
export type Restore = { all: boolean; tables: { name: string; partition?: Record<string, string> }[] }

/** `RESTORE SNAPSHOT`: answers when the shards are to be read. */
export function restoreSnapshot(repositoryName: string, name: string, what: Restore, session: Session): void {
  const state = session.databases.state(session.key)
  mustHaveDdl(session, state)
  const at = `[${repositoryName}:${name}]`
  const failed = (why: string) => new SqlError(5000, `SnapshotRestoreException[${at} ${why}]`)
  const { bucket, snapshots } = folderOf(session.databases, repository(state, repositoryName))
  if (bucket.fault === 'unreachable' || bucket.fault === 'denied')
    throw new SqlError(
      5000,
      `RepositoryException[[${repositoryName}] ${storeSays(bucket.fault, repository(state, repositoryName).settings)}]`,
    )
  const snapshot = snapshots.find((each) => each.name === name)
  if (!snapshot) throw failed('snapshot does not exist')
  if (snapshot.state === 'FAILED') throw failed('unsupported snapshot state [FAILED]')
  const chosen = chosenFrom(snapshot, what)
  for (const { table, partitions } of chosen) refuseExisting(state, table, partitions)
  const lost = chosen.find(({ table }) => snapshot.failures.some((failure) => failure.includes(table)))
  if (lost) throw failed(`index [${lost.table}] wasn't fully snapshotted - cannot restore`)
  const restore = { id: randomUUID(), name, repository: repositoryName, tables: chosen.map(({ table }) => table) }
  state.restores.push({ ...restore, due: Date.now() + state.restoring.ms })
  for (const { table, source, partitions } of chosen) addTable(state, table, source, partitions, restore.id)
}

type Chosen = { table: string; source: StoredSnapshot['tables'][number]; partitions: TableState['partitions'] }

function chosenFrom({ tables }: StoredSnapshot, { all, tables: named }: Restore): Chosen[] {
  if (all) return tables.map((source) => ({ table: source.name, source, partitions: source.partitions }))
  return named.map(({ name, partition }) => {
    const source = tables.find((each) => each.name === name)
    if (!source) throw new SqlError(4040, `ResourceNotFoundException[Relation [${name}] not found in snapshot]`)
    const same = (each: Record<string, string>) => Object.entries(partition ?? {}).every(([column, value]) => each[column] === value)
    const partitions = partition ? source.partitions?.filter(same) : source.partitions
    if (partition && !partitions?.length) throw new SqlError(4040, `ResourceNotFoundException[partition of ${name} not found in snapshot]`)
    return { table: name, source, partitions }
  })
}

function refuseExisting({ tables }: DatabaseState, table: string, partitions: TableState['partitions']): void {
  const present = tables.get(table)
  if (!present) return
  const exists = (each: Record<string, string>) => present.partitions?.some((other) => JSON.stringify(other) === JSON.stringify(each))
  if (partitions && present.partitions && !partitions.some(exists)) return
  throw new SqlError(4093, `RelationAlreadyExists[Relation '${table}' already exists.]`)
}

function addTable(
  state: DatabaseState,
  table: string,
  source: Chosen['source'],
  partitions: TableState['partitions'],
  restore: string,
): void {
  const { rows, shards, sequence } = source
  const restored: Restored = { restore, unallocated: Math.min(state.restoring.unallocated, shards) }
  const present = state.tables.get(table)
  const all = partitions && [...(present?.partitions ?? []), ...partitions]
  state.tables.set(table, { rows, shards, ...(sequence !== undefined && { sequence }), ...(all && { partitions: all }), restored })
}

/** Ends the restores whose time is up: CrateDB forgets them, whether all shards were allocated or not. */
function settle(state: DatabaseState): void {
  if (!state.restoring.held) state.restores = state.restores.filter(({ due }) => due > Date.now())
}

type Row = Record<string, unknown>

/** `sys.snapshot_restore` */
export function restoreRows({ databases, key }: Session): Row[] {
  const state = databases.state(key)
  settle(state)
  return state.restores.map(({ due: _, tables: __, ...restore }) => ({ ...restore, state: 'STARTED', shards: [] }))
}

const split = (name: string) => {
  const dot = name.indexOf('.')
  return { schema: name.slice(0, dot), table: name.slice(dot + 1) }
}

/** `information_schema.tables`, the tables of users. */
export function tableRows({ databases, key }: Session): Row[] {
  return [...databases.state(key).tables].map(([name, { shards, partitions }]) => ({
    table_schema: split(name).schema,
    table_name: split(name).table,
    table_type: 'BASE TABLE',
    number_of_shards: shards,
    partitioned_by: partitions ? Object.keys(partitions[0] ?? {}) : null,
  }))
}

/** `information_schema.table_partitions` */
export function partitionRows({ databases, key }: Session): Row[] {
  return [...databases.state(key).tables].flatMap(([name, { shards, partitions = [] }]) =>
    partitions.map((values) => ({
      ...{ table_schema: split(name).schema, table_name: split(name).table },
      ...{ partition_ident: identOf(values), values, number_of_shards: shards },
    })),
  )
}

const identOf = (values: Record<string, string>) => Buffer.from(Object.values(values).join()).toString('hex')

/** `sys.shards`: also shards that no node has. */
export function shardRows({ databases, key }: Session): Row[] {
  const state = databases.state(key)
  settle(state)
  return [...state.tables].flatMap(([name, table]) => {
    const idents = table.partitions ? table.partitions.map(identOf) : ['']
    return idents.flatMap((ident, part) =>
      Array.from({ length: table.shards }, (_, id) => shardOf(state, name, table, { ident, part, id })),
    )
  })
}

type Place = { ident: string; part: number; id: number }

function shardOf(
  state: DatabaseState,
  name: string,
  { rows, shards, sequence = rows, restored }: TableState,
  { ident, part, id }: Place,
): Row {
  const isFirst = id === 0 && part === 0
  const isLost = restored !== undefined && id >= shards - restored.unallocated
  const isComing = !isLost && restored !== undefined && state.restores.some((each) => each.id === restored.restore)
  const routing = isLost ? 'UNASSIGNED' : isComing ? 'INITIALIZING' : 'STARTED'
  const recovery = {
    stage: isComing ? 'INDEX' : 'DONE',
    type: restored ? 'SNAPSHOT' : 'EMPTY_STORE',
    size: { used: 1024, percent: isComing ? 50 : 100 },
  }
  return {
    ...{ schema_name: split(name).schema, table_name: split(name).table, partition_ident: ident, id, primary: true },
    ...{ state: isComing ? 'RECOVERING' : routing, routing_state: routing, recovery: isLost ? null : recovery },
    num_docs: isFirst && routing === 'STARTED' ? rows : 0,
    size: isLost ? 0 : 1024 * 1024,
    seq_no_stats: isLost ? null : { max_seq_no: isFirst ? sequence : 0 },
  }
}
