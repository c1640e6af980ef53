import * as z from 'zod'
import { DatabaseRefusal } from '../region/sql.ts'
import { describeTable, tableOf } from './restore-statements.ts'
import { latestMoment } from './statements.ts'

/* What CrateDB answers is compared with what was asked for. Its `RESTORE OK` is not enough: until 6.3.3 it says so although no node took a
 * shard, for example because the disks are too full (crate/crate#19368), and without waiting it only says that the restore has begun. */

const amount = z
  .number()
  .nullish()
  .transform((value) => value ?? 0)
const name = z.string().max(1000)

/** The rows of each statement, as the schema of its columns. Whoever owns the database may answer anything. */
const rowsOf = {
  relations: z.array(z.tuple([name, name, amount, z.array(z.unknown()).nullish()])),
  partitionShards: z.array(z.tuple([name, name, amount, amount])),
  startedShards: z.array(z.tuple([name, name, amount, amount, amount, amount])),
  unstartedShards: z.array(z.tuple([name, name, z.string().nullish(), z.number(), z.string(), z.string().nullish(), z.number().nullish()])),
  emptyShards: z.array(z.tuple([name, name, amount])),
}

type Kind = keyof typeof rowsOf
/** The answers of a database to these statements. */
export type Answers = { [Of in Kind]: z.output<(typeof rowsOf)[Of]> }

/** @throws Problem `database-refused` when the rows are not those of the statement */
export function readRows<Of extends Kind>(kind: Of, rows: unknown[][]): Answers[Of] {
  return parsed(rowsOf[kind], rows) as Answers[Of]
}

const onlyCount = z.tuple([z.tuple([z.int().min(0)])])

/** The number in the only row of `SELECT count(*)`. @throws Problem `database-refused` when it is none */
export function readCount(rows: unknown[][]): number {
  return parsed(onlyCount, rows)[0][0]
}

function parsed<Schema extends z.ZodType>(schema: Schema, given: unknown): z.output<Schema> {
  const { data, error } = schema.safeParse(given)
  if (error) throw new DatabaseRefusal('The database', 'the answer has rows of another form than those of CrateDB', undefined)
  return data
}

/** A table that must be there after a restore. */
export type ExpectedTable = {
  /** `doc.readings` */
  name: string
  /** How many partitions of it were restored; 0 for a table without. */
  partitions: number
}

/** What of a table is there. */
type ComparedTable = { name: string; shards: number; started: number; documents: number }

/** How far a restore is. */
export type Comparison = {
  tables: ComparedTable[]
  /** The primary shards that the tables have by their definitions, and those that serve. */
  shards: { wanted: number; started: number }
  documents: number
  bytes: number
  /** What is missing, in words; empty when all is there. It may still come while the restore goes on. */
  missing: string[]
}

/** Most names in one message. */
const mostNamed = 5

/** Compares the tables that a restore has to bring with what the database has. */
export function compareShards(expected: readonly ExpectedTable[], answers: Answers): Comparison {
  const relations = new Map(answers.relations.map((row) => [nameOf(row), row]))
  const partitions = new Map(answers.partitionShards.map((row) => [nameOf(row), row]))
  const started = new Map(answers.startedShards.map((row) => [nameOf(row), row]))
  const empty = new Map(answers.emptyShards.map((row) => [nameOf(row), row[2]]))
  const found: (ComparedTable & { bytes: number })[] = []
  const lost: string[] = []
  const gaps: string[] = []
  for (const { name, partitions: wanted } of expected) {
    const relation = relations.get(name)
    if (!relation) {
      lost.push(name)
      continue
    }
    const isPartitioned = (relation[3]?.length ?? 0) > 0
    const [, , parts = 0, shardsOfParts = 0] = partitions.get(name) ?? []
    const shards = isPartitioned ? shardsOfParts : relation[2]
    const [, , running = 0, documents = 0, , bytes = 0] = started.get(name) ?? []
    found.push({ name, shards, started: running, documents, bytes })
    if (isPartitioned && parts < wanted) gaps.push(`${name} has ${parts} of ${wanted} partitions`)
    // A partition that users have filled meanwhile has empty shards of its own.
    const made = isPartitioned ? 0 : (empty.get(name) ?? 0)
    if (made > 0) gaps.push(`${made} of ${shards} primary shards of ${name} were made empty, not read from the snapshot`)
  }
  const sum = (of: (table: (typeof found)[number]) => number) => found.reduce((total, table) => total + of(table), 0)
  const shards = { wanted: sum(({ shards }) => shards), started: sum(({ started }) => started) }
  const names = new Set(expected.map(({ name }) => name))
  return {
    tables: found.map(({ bytes: _, ...table }) => table),
    shards,
    documents: sum(({ documents }) => documents),
    bytes: sum(({ bytes }) => bytes),
    missing: [
      ...(lost.length > 0 ? [`${lost.length} of ${expected.length} tables are not there: ${listed(lost)}`] : []),
      ...gaps,
      ...missingShards(
        found,
        shards,
        answers.unstartedShards.filter((row) => names.has(nameOf(row))),
      ),
    ],
  }
}

function missingShards(found: ComparedTable[], { wanted, started }: Comparison['shards'], unstarted: Answers['unstartedShards']): string[] {
  const short = found.filter((table) => table.started < table.shards)
  if (short.length === 0) return []
  const known = unstarted.map(([schema, table, partition, id, state]) => {
    const part = partition ? ` partition ${partition}` : ''
    return `${describeTable({ schema, table })}${part} shard ${id} is ${state}`
  })
  const where = known.length > 0 ? known : short.map(({ name, shards, started }) => `${name} has ${started} of ${shards}`)
  return [`${wanted - started} of ${wanted} primary shards do not serve: ${listed(where)}`]
}

function listed(names: string[]): string {
  const more = names.length - mostNamed
  return [...names.slice(0, mostNamed), ...(more > 0 ? [`${more} more`] : [])].join(', ')
}

function nameOf([schema, table]: readonly [string, string, ...unknown[]]): string {
  return describeTable({ schema, table })
}

/** Tables of a restore that a relation of the same name stands in the way of. */
export function inTheWay(expected: readonly ExpectedTable[], relations: Answers['relations']): string[] {
  const present = new Set(relations.map(nameOf))
  return expected.map(({ name }) => name).filter((name) => present.has(name))
}

/** Unix milliseconds; what no date has is as what CrateDB cannot read. */
const moment = z.number().min(0).max(latestMoment).nullish().catch(undefined)

const contents = z.tuple([
  name,
  z.string().max(100),
  moment,
  moment,
  z.array(z.string()).nullish(),
  z.array(z.string()).nullish(),
  z.array(z.object({ table_schema: z.string(), table_name: z.string() })).nullish(),
])

/** A snapshot as `sys.snapshots` shows it. */
export type SnapshotContents = {
  name: string
  state: string
  /** Unix milliseconds. */
  startedAt: number
  finishedAt: number
  failures: string[]
  tables: ExpectedTable[]
}

/** The snapshot of the only row; undefined if there is none. @throws Problem `database-refused` when it is no row of `sys.snapshots` */
export function readContents(rows: unknown[][]): SnapshotContents | undefined {
  const [row] = rows
  if (!row) return undefined
  const [snapshot, state, started, finished, failures, tables, partitions] = parsed(contents, row)
  const counts = new Map<string, number>()
  for (const { table_schema, table_name } of partitions ?? []) {
    const of = describeTable({ schema: table_schema, table: table_name })
    counts.set(of, (counts.get(of) ?? 0) + 1)
  }
  return {
    name: snapshot,
    state,
    startedAt: started ?? 0,
    finishedAt: finished ?? 0,
    failures: failures ?? [],
    tables: (tables ?? [])
      .filter((each) => tableOf(each).table !== '')
      .map((each) => ({ name: each, partitions: counts.get(each) ?? 0 }))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
  }
}
