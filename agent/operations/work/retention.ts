import type { BackupState } from '../../backups/state.ts'
import {
  crateErrors,
  dropSnapshot,
  isConcurrent,
  isOurs,
  isRefusal,
  listSnapshots,
  repositoryName,
  type Snapshot,
} from '../../backups/statements.ts'
import { DatabaseRefusal } from '../../region/sql.ts'
import { scratchId } from '../../resources/copied-database.ts'
import { readDatabase } from '../../resources/cratedb.ts'
import { type DatabaseTarget, namespaceOf } from '../../resources/kind.ts'
import { isSamePlace, type StoredSnapshots } from '../../resources/snapshots.ts'
import type { Progress, WorkContext } from './context.ts'

/** What a database keeps of its snapshots. */
export type Keeping = {
  /** How many successful ones. */
  keep: number
  /** The newest of those that were in the folder before its own. They are no copies of it, and may be all that is left of a former database. */
  former: string | undefined
}

/**
 * The snapshots of Skerry that are to be dropped, the oldest first: successful ones of the database beyond `keep`, and those that are of no use.
 *
 * Never one of somebody else's, never one that is being taken, and never one whose files cannot be read: CrateDB calls that `FAILED` too, without
 * times, and it may be a good one again as soon as the bucket answers.
 */
export function superfluous(snapshots: readonly Snapshot[], { keep, former = '' }: Keeping): string[] {
  const ours = snapshots.filter(isOfSkerry)
  const good = ours.filter(({ state, name }) => state === 'SUCCESS' && name > former).map(({ name }) => name)
  const useless = ours.filter(({ state, started }) => (state === 'PARTIAL' || state === 'FAILED') && started !== undefined)
  // The order of the names is that in which they were taken.
  const extra = good.sort().slice(0, Math.max(0, good.length - keep))
  return [...useless.map(({ name }) => name), ...extra].sort()
}

function isOfSkerry({ repository, name }: Snapshot): boolean {
  return repository === repositoryName && isOurs(name)
}

/**
 * The folder of a database as of its first success in it, or as it was recorded then. A folder may have been that of a former database, whose name
 * this one has, or that a region was rebuilt without.
 * @param snapshot the name of the success
 */
export async function folderOf(
  { sql, target }: Pick<WorkContext<DatabaseTarget>, 'sql' | 'target'>,
  { s3 }: StoredSnapshots,
  { folder, lastSuccess }: BackupState,
  snapshot: string,
): Promise<NonNullable<BackupState['folder']>> {
  if (folder && isSamePlace({ s3 }, { s3: folder })) return folder
  const { bucket, basePath, endpointUrl } = s3
  const place = { bucket, ...(basePath !== undefined && { basePath }), ...(endpointUrl !== undefined && { endpointUrl }) }
  if (!folder && lastSuccess) return place
  const present = await listSnapshots(sql, target, { repository: repositoryName }, { brief: true })
  const isOld = (each: Snapshot) => isOfSkerry(each) && each.name < snapshot && (each.state === 'SUCCESS' || each.started === undefined)
  const former = present
    .filter(isOld)
    .map(({ name }) => name)
    .sort()
    .at(-1)
  return { ...place, ...(former !== undefined && { former }) }
}

/**
 * Drops one snapshot that is superfluous.
 * @returns `done` when none is left; `left` says why some are
 * @throws Problem `database-unreachable`: CrateDB may be dropping it still
 */
export async function dropOne(
  context: WorkContext<DatabaseTarget>,
  keeping: Keeping,
): Promise<Exclude<Progress, { next: 'done' }> | { next: 'done'; message: string; left?: string }> {
  const { sql, target } = context
  const [name] = superfluous(await listSnapshots(sql, target, { repository: repositoryName }, { brief: true }), keeping)
  if (name === undefined) return { next: 'done', message: 'No snapshot is superfluous any more.' }
  if (await isRehearsed(context)) {
    const left = 'Old snapshots stay while a restore is rehearsed; the next backup drops them.'
    return { next: 'done', message: left, left }
  }
  const { stmt, args } = dropSnapshot(name)
  try {
    // The answer comes when its files are deleted.
    await sql.query(target, stmt, args, { timeoutMs: 60_000 })
  } catch (error) {
    if (isConcurrent(error)) return { next: 'wait', message: 'Another snapshot is being taken or dropped.', recheckMs: 5_000 }
    if (isRefusal(error, crateErrors.snapshotUnknown)) return { next: 'again' }
    if (!(error instanceof DatabaseRefusal)) throw error
    const left = `Old snapshots could not be dropped: ${error.said}`
    return { next: 'done', message: left, left }
  }
  return { next: 'again' }
}

/** Whether another database reads from the snapshots: CrateDB would delete files under its hands. It is made before the rehearsal chooses one. */
async function isRehearsed({ cluster, target: { project, database } }: WorkContext<DatabaseTarget>): Promise<boolean> {
  const scratch = await cluster.read({ kind: 'CrateDB', namespace: namespaceOf(project), name: scratchId(database) })
  return scratch !== undefined && readDatabase(scratch).rehearsal?.of === database
}
