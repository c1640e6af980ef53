import {
  type Answers,
  type Comparison,
  compareShards,
  type ExpectedTable,
  inTheWay,
  readContents,
  readRows,
  type SnapshotContents,
} from '../../backups/comparison.ts'
import {
  emptyShards,
  partitionShards,
  partitionsOf,
  relations,
  restoreStatement,
  restoresOf,
  type Selection,
  snapshotContents,
  startedShards,
  unstartedShards,
} from '../../backups/restore-statements.ts'
import { listSnapshots, repositoryName, type Statement } from '../../backups/statements.ts'
import { DatabaseRefusal } from '../../region/sql.ts'
import type { DatabaseTarget } from '../../resources/kind.ts'
import { isDone, type Progress, type WorkContext } from './context.ts'

/** A snapshot that is restored by SQL. The database that it goes into has the repository. */
export type SqlRestore = {
  into: { project: string; database: string }
  /** The name of a snapshot; `latest` is the last one that succeeded. */
  snapshot: string
  selection: Selection
}

type Context = WorkContext<DatabaseTarget>

/** After this many refusals of CrateDB in a row, one counts as permanent. */
const refusals = 4

/** Looks that find neither all shards nor a restore before it counts as ended: CrateDB forgets a restore a moment before its last shard serves. */
const idleLooks = 3

/**
 * Restores a snapshot, in the steps `look` and `restore`. Progress undefined: all its shards serve.
 *
 * After the answer to RESTORE is lost, nobody knows whether it was begun. `look` has made sure that nothing of the same name is there, so what
 * is there afterwards was restored.
 */
export async function advanceSqlRestore(context: Context, job: SqlRestore): Promise<Progress | undefined> {
  const { operation } = context
  if (isDone(operation, 'restore')) return undefined
  return failingAfterRefusals(context, () => (isDone(operation, 'look') ? restore(context, job) : look(context, job)))
}

/** Passes on a refusal of CrateDB, which may pass, until it has been repeated. */
export async function failingAfterRefusals<T>(context: Context, work: () => Promise<T>): Promise<T | Progress> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof DatabaseRefusal) || (context.operation.status?.attempts ?? 0) < refusals) throw error
    return { next: 'failed', reason: 'DatabaseRefused', message: error.detail, action: error.action }
  }
}

/** The snapshot that was chosen, as it is in the result of the operation. */
export type ChosenSnapshot = { snapshot: string; takenAt: string }

async function look(context: Context, job: SqlRestore): Promise<Progress> {
  if (context.operation.status?.step?.name !== 'look') await context.begin('look')
  const found = await lookAt(context, job)
  if ('next' in found) return found
  const result = { ...context.operation.status?.result, snapshot: found.name, takenAt: new Date(found.startedAt).toISOString() }
  await context.record({ result })
  await context.finish(`Snapshot ${found.name} has ${found.tables.length} tables.`)
  return { next: 'again' }
}

type Asking = Pick<Context, 'sql'>
type Failure = Extract<Progress, { next: 'failed' }>

/** The snapshot that would be restored, or why none can be. @throws Problem `database-unreachable`, `database-refused` */
export async function lookAt(asking: Asking, job: SqlRestore): Promise<SnapshotContents | Failure> {
  const chosen = await choose(asking, job)
  if (typeof chosen === 'string') return { next: 'failed', reason: 'NoSnapshot', message: chosen }
  const missing = lacking(chosen, job.selection)
  if (missing.length > 0) {
    const message = `The snapshot ${chosen.name} does not have ${missing.join(', ')}.`
    return { next: 'failed', reason: 'NotInSnapshot', message, action: `It has: ${chosen.tables.map(({ name }) => name).join(', ')}.` }
  }
  const obstacles = await presentAlready(asking, job, chosen)
  return obstacles.length > 0 ? existing(chosen.name, obstacles) : chosen
}

/** The snapshot to restore, or why there is none. */
async function choose(context: Asking, { into, snapshot, selection }: SqlRestore): Promise<SnapshotContents | string> {
  const name = snapshot === 'latest' ? await latest(context, into) : snapshot
  if (name === undefined) return 'There is no snapshot that has succeeded.'
  const chosen = await contentsOf(context, into, name)
  if (!chosen) return `There is no snapshot ${name}, or its bucket cannot be read.`
  if (chosen.state === 'SUCCESS') return chosen
  // CrateDB itself refuses the tables of which shards are missing.
  if (chosen.state === 'PARTIAL' && selection.type !== 'all') return chosen
  const why = chosen.failures.length > 0 ? `: ${chosen.failures.slice(0, 3).join('; ').slice(0, 500)}` : ''
  return `The snapshot ${name} is ${chosen.state}, not SUCCESS${why}.`
}

async function latest({ sql }: Asking, into: SqlRestore['into']): Promise<string | undefined> {
  const [newest] = await listSnapshots(sql, into, { repository: repositoryName, state: 'SUCCESS' })
  return newest?.name
}

/** What a snapshot contains; undefined if it is gone, or its bucket cannot be read. */
export async function contentsOf(context: Asking, into: SqlRestore['into'], name: string): Promise<SnapshotContents | undefined> {
  return readContents(await rowsFor(context, into, snapshotContents(name)))
}

/** The rows that answer a statement. */
export async function rowsFor({ sql }: Asking, into: SqlRestore['into'], { stmt, args }: Statement): Promise<unknown[][]> {
  return (await sql.query(into, stmt, args)).rows
}

/** The tables that a restore brings, with the partitions that must be there. */
function expectedOf({ tables }: SnapshotContents, selection: Selection): ExpectedTable[] {
  if (selection.type === 'all') return tables
  if (selection.type === 'tables') return tables.filter(({ name }) => selection.tables.includes(name))
  const counts = Map.groupBy(selection.partitions, ({ table }) => table)
  return [...counts].map(([name, { length }]) => ({ name, partitions: length }))
}

function lacking({ tables }: SnapshotContents, selection: Selection): string[] {
  const known = new Set(tables.map(({ name }) => name))
  if (selection.type === 'all') return []
  const wanted = selection.type === 'tables' ? selection.tables : selection.partitions.map(({ table }) => table)
  return [...new Set(wanted)].filter((name) => !known.has(name))
}

/** What has the name of something that is to be restored. */
async function presentAlready(context: Asking, { into, selection }: SqlRestore, snapshot: SnapshotContents): Promise<string[]> {
  if (selection.type !== 'partitions')
    return inTheWay(expectedOf(snapshot, selection), readRows('relations', await rowsFor(context, into, relations)))
  const found: string[] = []
  for (const [table, chosen] of Map.groupBy(selection.partitions, ({ table }) => table)) {
    const present = await rowsFor(context, into, partitionsOf(table))
    const values = present.map(([each]) => Object.entries((each ?? {}) as object))
    for (const { columns } of chosen) {
      const isThere = values.some((entries) =>
        columns.every(({ name, value }) => entries.some(([key, is]) => key === name && String(is) === String(value))),
      )
      if (isThere) found.push(`${table} (${columns.map(({ name, value }) => `${name} = ${value}`).join(', ')})`)
    }
  }
  return found
}

const mostNamed = 20

function existing(snapshot: string, names: string[]): Failure {
  const more = names.length - mostNamed
  const listed = [...names.slice(0, mostNamed), ...(more > 0 ? [`${more} more`] : [])].join(', ')
  return {
    next: 'failed',
    reason: 'TablesExist',
    message: `The snapshot ${snapshot} was not restored, since the database already has ${listed}. Nothing was changed.`,
    action: 'Rename or drop them first, restore other tables, or restore into a new database with "into".',
  }
}

type RestoreNote = { sent?: boolean; idleLooks?: number }

async function restore(context: Context, job: SqlRestore): Promise<Progress | undefined> {
  const { snapshot = '' } = (context.operation.status?.result ?? {}) as Partial<ChosenSnapshot>
  if (context.operation.status?.step?.name !== 'restore') await context.begin('restore')
  const contents = await contentsOf(context, job.into, snapshot)
  if (!contents) return { next: 'failed', reason: 'NoSnapshot', message: `The snapshot ${snapshot} is gone, or its bucket cannot be read.` }
  const { sent = false } = noteOf(context)
  if (!sent) {
    await send(context, job, contents)
    await noteIn(context, { sent: true })
    return { next: 'again' }
  }
  return judge(context, job, contents)
}

const noteOf = ({ operation }: Context) => (operation.status?.step?.note ?? {}) as RestoreNote

async function noteIn(context: Context, note: RestoreNote): Promise<void> {
  const { step } = context.operation.status ?? {}
  if (step) await context.record({ phase: 'Waiting', step: { ...step, note: { ...step.note, ...note } } })
}

async function send(context: Context, job: SqlRestore, contents: SnapshotContents): Promise<void> {
  // A process before this one has begun it, and nobody has heard the answer.
  if ((await presentAlready(context, job, contents)).length > 0) return
  const { stmt, args } = restoreStatement(contents.name, job.selection)
  await context.sql.query(job.into, stmt, args, { timeoutMs: restoreAnswerMs })
}

/** CrateDB reads the metadata of every table from the bucket before it answers. In milliseconds. */
const restoreAnswerMs = 60_000

async function judge(context: Context, { into, selection }: SqlRestore, contents: SnapshotContents): Promise<Progress | undefined> {
  const compared = compareShards(expectedOf(contents, selection), await answersOf(context, into))
  if (compared.missing.length === 0) return ended(context, compared)
  const { wanted, started } = compared.shards
  const states = (await rowsFor(context, into, restoresOf(contents.name))).map(([state]) => String(state))
  const isRestoring = states.some((state) => state === 'INIT' || state === 'STARTED')
  const idle = isRestoring ? 0 : (noteOf(context).idleLooks ?? 0) + 1
  if (idle >= idleLooks) {
    return {
      next: 'failed',
      reason: 'ShardsMissing',
      message: `CrateDB has ended the restore of ${contents.name}, but ${compared.missing.join('; ')}.`,
      action: 'The table sys.allocations of the database explains each shard. Most often the disks are too full.',
    }
  }
  if (idle !== (noteOf(context).idleLooks ?? 0)) await noteIn(context, { idleLooks: idle })
  return { next: 'wait', message: `${started} of ${wanted} primary shards are restored.`, ...(idle > 0 && { recheckMs: 1_000 }) }
}

/** What the database says of its tables and shards. */
async function answersOf(context: Context, into: SqlRestore['into']): Promise<Answers> {
  const rows = (statement: Statement) => rowsFor(context, into, statement)
  return {
    relations: readRows('relations', await rows(relations)),
    partitionShards: readRows('partitionShards', await rows(partitionShards)),
    startedShards: readRows('startedShards', await rows(startedShards)),
    unstartedShards: readRows('unstartedShards', await rows(unstartedShards)),
    emptyShards: readRows('emptyShards', await rows(emptyShards)),
  }
}

async function ended(context: Context, { tables, shards, documents, bytes }: Comparison): Promise<undefined> {
  const { result } = context.operation.status ?? {}
  await context.record({ result: { ...result, tables: tables.length, shards: shards.started, documents, bytes } })
  await context.finish(`${tables.length} tables are restored: all ${shards.started} primary shards serve.`)
}
