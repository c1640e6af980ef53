import { isProblem } from '../../../shared/errors.ts'
import { type Answers, readCount, readRows } from '../../backups/comparison.ts'
import { type Counted, compareRows, type Difference, unchangedTables } from '../../backups/counted.ts'
import { describeTable, relations, rowsOf, startedShards, tableOf } from '../../backups/restore-statements.ts'
import { readBackupState } from '../../backups/state.ts'
import { readDatabase } from '../../resources/cratedb.ts'
import type { StoredDatabaseSpec } from '../../resources/database.ts'
import type { DatabaseTarget } from '../../resources/kind.ts'
import { advanceChild } from './child.ts'
import { isDone, type Progress, type WorkContext } from './context.ts'
import { readCrateDB } from './database-steps.ts'
import { bodyOf } from './own-restore.ts'
import { advanceConnect } from './repository.ts'
import { advanceSqlRestore, type ChosenSnapshot, contentsOf, failingAfterRefusals, rowsFor } from './restore-by-sql.ts'

type Context = WorkContext<DatabaseTarget>
type DatabaseName = { project: string; database: string }

/**
 * Restores the last snapshot of a database into one of its own, compares the two, and deletes that one again. However this ends, the controller
 * of rehearsals deletes what is left of it.
 */
export async function advanceRehearsal(context: Context): Promise<Progress> {
  const source = await readCrateDB(context)
  if (!source) return { next: 'failed', reason: 'Disappeared', message: 'The database was deleted before its snapshot was rehearsed.' }
  const spec = readDatabase(source)
  if (!spec.snapshots) return { next: 'failed', reason: 'NoSnapshots', message: 'The database no longer has snapshots of its own.' }
  const { wanted } = context.operation.spec.parameters as { wanted: StoredDatabaseSpec }
  const { project } = context.target
  const into = { project, database: wanted.id }
  const target = { kind: 'database' as const, ...into }
  const rehearsal = { operation: context.operation.metadata.name, of: context.target.database }
  const place = spec.snapshots.s3
  const { repository: createdWith } = readBackupState(source)
  const progress =
    (await advanceChild(context, 'create', async () => ({
      operationId: 'putScratchDatabase',
      target,
      body: { ...((await bodyOf(context, wanted)) as object), rehearsal },
    }))) ??
    (await failingAfterRefusals(context, () => advanceConnect(context, { at: into, place, version: wanted.version, createdWith }))) ??
    (await advanceSqlRestore(context, { into, snapshot: 'latest', selection: { type: 'all' } })) ??
    (await failingAfterRefusals(context, () => advanceCount(context, into))) ??
    (await advanceChild(context, 'remove', async () => ({ operationId: 'deleteDatabase', target, query: { retainVolumes: 'false' } })))
  return progress ?? { next: 'done', message: doneMessage(context) }
}

/** What a rehearsal found, as the result of its operation. */
type RehearsalResult = ChosenSnapshot & { tables: number; shards: number; bytes: number } & Omit<Counted, 'differences'> & {
    /** Tables whose rows were counted: the first ones by name where there are very many. */
    counted: number
  }

function doneMessage({ operation }: Context): string {
  const { snapshot, takenAt, tables, rows, equal, changed } = (operation.status?.result ?? {}) as RehearsalResult
  return `${snapshot} of ${takenAt} can be restored: ${tables} tables, ${rows} rows in those counted. ${equal} tables are as in the database, ${changed} were written to since.`
}

/** Most tables whose rows are counted. */
const mostCounted = 500

async function advanceCount(context: Context, into: DatabaseName): Promise<Progress | undefined> {
  if (isDone(context.operation, 'count')) return undefined
  if (context.operation.status?.step?.name !== 'count') await context.begin('count')
  const { result } = context.operation.status ?? {}
  const contents = await contentsOf(context, into, String(result?.snapshot))
  if (!contents)
    return { next: 'failed', reason: 'NoSnapshot', message: `The snapshot ${result?.snapshot} is gone, or its bucket cannot be read.` }
  if (contents.tables.length === 0) {
    const lacking = await tablesOfSource(context)
    if (lacking !== 'none') return nothingToCompare(contents.name, lacking)
  }
  const tables = contents.tables.slice(0, mostCounted).map(({ name }) => name)
  const restored = await countRows(context, into, tables)
  const original = await countUnchanged(context, tables, await shardsOf(context, into))
  const { differences, ...counted } = compareRows(restored, original)
  await context.record({ result: { ...result, ...counted, counted: tables.length } })
  if (differences.length > 0) return differing(differences)
  await context.finish(`${counted.rows} rows in ${tables.length} tables; ${counted.equal} tables compared with the source.`)
  return undefined
}

async function shardsOf(context: Context, database: DatabaseName): Promise<Answers['startedShards']> {
  return readRows('startedShards', await rowsFor(context, database, startedShards))
}

async function countRows(context: Context, database: DatabaseName, tables: Iterable<string>): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  for (const table of tables) {
    counts.set(table, readCount(await rowsFor(context, database, rowsOf(tableOf(table)))))
  }
  return counts
}

/** After so many attempts, a source that does not answer is not compared: it may be down for as long as it likes. */
const sourceAttempts = 4

/** The rows of the source's tables that nobody has written to since the snapshot, before and after they were counted. */
async function countUnchanged(context: Context, tables: string[], restored: Answers['startedShards']): Promise<Map<string, number>> {
  const { target } = context

  try {
    const before = unchangedTables(restored, await shardsOf(context, target))
    const counts = await countRows(
      context,
      target,
      tables.filter((table) => before.has(table)),
    )
    const after = unchangedTables(restored, await shardsOf(context, target))
    return new Map([...counts].filter(([table]) => after.has(table)))
  } catch (error) {
    if (isLastingSilence(context, error)) return new Map()
    throw error
  }
}

/** One that refuses is not compared either: with lost shards it needs the backup most. */
function isLastingSilence({ operation }: Context, error: unknown): boolean {
  return isProblem(error, 'database-unreachable', 'database-refused') && (operation.status?.attempts ?? 0) >= sourceAttempts
}

/** The tables that the source has now; `unknown` if it does not answer. */
async function tablesOfSource(context: Context): Promise<string[] | 'none' | 'unknown'> {
  try {
    const all = readRows('relations', await rowsFor(context, context.target, relations))
    // A view has no shards.
    const names = all.filter(([, , shards]) => shards > 0).map(([schema, table]) => describeTable({ schema, table }))
    return names.length > 0 ? names : 'none'
  } catch (error) {
    if (isLastingSilence(context, error)) return 'unknown'
    throw error
  }
}

/** What restores nothing proves nothing, unless there is nothing. */
function nothingToCompare(snapshot: string, source: string[] | 'unknown'): Progress {
  const has = source === 'unknown' ? 'the database does not say whether it has any' : `the database has ${source.length}`
  return {
    next: 'failed',
    reason: 'NothingToCompare',
    message: `The snapshot ${snapshot} has no tables, and ${has}: nothing was restored that could be compared.`,
    action: 'Take a new backup, and rehearse again.',
  }
}

function differing(differences: Difference[]): Progress {
  const named = differences.slice(0, 5).map(({ table, restored, source }) => `${table} has ${restored} rows, and ${source} in the database`)
  return {
    next: 'failed',
    reason: 'RowsDiffer',
    message: `The snapshot was restored, but ${named.join('; ')}, although nothing was written to ${differences.length === 1 ? 'it' : 'them'} since.`,
    action: 'Take a new backup, and rehearse again. Keep the present snapshots until that has succeeded.',
  }
}
