import type { PartitionChoice, Restore } from '../resources/restore.ts'
import { repositoryName, type Statement } from './statements.ts'

/** What of a snapshot is restored. */
export type Selection =
  | { type: 'all' }
  | { type: 'tables'; tables: readonly string[] }
  | { type: 'partitions'; partitions: readonly PartitionChoice[] }

/** The selection of a request. The schema of the body has made sure that it is one of these. */
export function selectionOf({ type, tables, partitions }: Pick<Restore, 'type' | 'tables' | 'partitions'>): Selection {
  if (type === 'tables') return { type, tables }
  return type === 'partitions' ? { type, partitions } : { type: 'all' }
}

/** A table by its schema and its name, as CrateDB has them. Neither contains a dot (RelationName.java). */
export type TableName = { schema: string; table: string }

/** `doc.readings` */
export function describeTable({ schema, table }: TableName): string {
  return `${schema}.${table}`
}

/** The table of `doc.readings`, as `sys.snapshots.tables` has it. */
export function tableOf(text: string): TableName {
  const dot = text.indexOf('.')
  return { schema: text.slice(0, dot), table: text.slice(dot + 1) }
}

/** An identifier that means itself, whatever it contains. */
function quoted(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`
}

function quotedTable({ schema, table }: TableName): string {
  return `${quoted(schema)}.${quoted(table)}`
}

/** A value as SQL has it. RESTORE takes no parameters within PARTITION before the statement is planned, so it is written out. */
function literal(value: string | number | boolean): string {
  return typeof value === 'string' ? `'${value.replaceAll("'", "''")}'` : String(value)
}

function quotedPartition({ table, columns }: PartitionChoice): string {
  const values = columns.map(({ name, value }) => `${quoted(name)} = ${literal(value)}`)
  return `${quotedTable(tableOf(table))} PARTITION (${values.join(', ')})`
}

/**
 * Starts a restore. It returns as soon as CrateDB has accepted it. Each fact is in test/cluster/stand-ins/cratedb-facts.md, with its source.
 *
 * "All" are the tables, views and functions. Not the users: `system` is one of them, and its password of then would lock out the operator and
 * Skerry. Nor cluster settings and analyzers: RestoreService.java replaces all persistent settings with those of the snapshot, and with the
 * analyzers alone if only they are asked for. A table has its analyzers in its own settings.
 */
export function restoreStatement(snapshot: string, selection: Selection): Statement {
  const what = {
    all: () => 'TABLES, VIEWS, UDFS',
    tables: () => `TABLE ${selection.type === 'tables' ? selection.tables.map((each) => quotedTable(tableOf(each))).join(', ') : ''}`,
    partitions: () => `TABLE ${selection.type === 'partitions' ? selection.partitions.map(quotedPartition).join(', ') : ''}`,
  }[selection.type]()
  return { stmt: `RESTORE SNAPSHOT ${repositoryName}.${quoted(snapshot)} ${what} WITH (wait_for_completion = false)`, args: [] }
}

/** What a snapshot contains. Its state and tables exist since 4.2, the partitions since 4.7 (release notes). */
export function snapshotContents(snapshot: string): Statement {
  return {
    stmt: 'SELECT name, state, started, finished, failures, tables, table_partitions FROM sys.snapshots WHERE repository = ? AND name = ?',
    args: [repositoryName, snapshot],
  }
}

const systemSchemas = ['information_schema', 'pg_catalog', 'sys', 'blob']
const notSystem = (column: string) => systemSchemas.map((schema) => `${column} != '${schema}'`).join(' AND ')

/** Every relation of users: a view of the same name stands in the way of a table as well. */
export const relations: Statement = {
  stmt: `SELECT table_schema, table_name, number_of_shards, partitioned_by FROM information_schema.tables WHERE ${notSystem('table_schema')}`,
  args: [],
}

/** The partitions of all tables, and the shards that they have together. */
export const partitionShards: Statement = {
  stmt: `SELECT table_schema, table_name, count(*), sum(number_of_shards) FROM information_schema.table_partitions GROUP BY table_schema, table_name`,
  args: [],
}

/** The partitions of one table. @param table `doc.readings` */
export function partitionsOf(table: string): Statement {
  const { schema, table: name } = tableOf(table)
  return {
    stmt: 'SELECT values FROM information_schema.table_partitions WHERE table_schema = ? AND table_name = ?',
    args: [schema, name],
  }
}

/**
 * The primary shards that serve, by table: how many, their documents, the sum of their highest sequence numbers, and their bytes. A shard
 * that no node has is a row too, with the routing state UNASSIGNED (SysShardsTableInfo.java).
 */
export const startedShards: Statement = {
  stmt: `SELECT schema_name, table_name, count(*), sum(num_docs), sum(seq_no_stats['max_seq_no']), sum(size) FROM sys.shards WHERE "primary" = true AND routing_state IN ('STARTED', 'RELOCATING') GROUP BY schema_name, table_name`,
  args: [],
}

/** All shards: CrateDB counts replicas that no node has as well. */
export const allShards: Statement = { stmt: 'SELECT count(*) FROM sys.shards', args: [] }

/** Most shards that are named in a message. */
const mostNamed = 50

/** Primary shards that do not serve. */
export const unstartedShards: Statement = {
  stmt: `SELECT schema_name, table_name, partition_ident, id, routing_state, recovery['stage'], recovery['size']['percent'] FROM sys.shards WHERE "primary" = true AND routing_state != 'STARTED' AND routing_state != 'RELOCATING' LIMIT ${mostNamed}`,
  args: [],
}

/**
 * Primary shards that were made empty, by table. One that was read from a snapshot has SNAPSHOT; one that was moved to another node
 * afterwards, or opened again, has PEER or EXISTING_STORE (RecoverySource.java).
 */
export const emptyShards: Statement = {
  stmt: `SELECT schema_name, table_name, count(*) FROM sys.shards WHERE "primary" = true AND recovery['type'] = 'EMPTY_STORE' GROUP BY schema_name, table_name`,
  args: [],
}

/** Restores that have not ended: CrateDB forgets one as soon as each of its shards was restored or has failed (RestoreService.java). */
export function restoresOf(snapshot: string): Statement {
  return { stmt: 'SELECT state FROM sys.snapshot_restore WHERE repository = ? AND name = ?', args: [repositoryName, snapshot] }
}

/** How many rows a table has. */
export function rowsOf(table: TableName): Statement {
  return { stmt: `SELECT count(*) FROM ${quotedTable(table)}`, args: [] }
}
