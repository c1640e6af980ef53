import { isProblem, type Problem } from '../../../shared/errors.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { withoutSecrets } from '../../../shared/without-secrets.ts'
import { scheduleOf, type Verdict } from '../../backups/failures.ts'
import { readBackupState, shortened } from '../../backups/state.ts'
import {
  crateErrors,
  createSnapshot,
  dropSnapshot,
  isConcurrent,
  isPassing,
  isRefusal,
  listSnapshots,
  nextName,
  otherSnapshot,
  repositoryName,
  repositorySettings,
  type Snapshot,
} from '../../backups/statements.ts'
import { DatabaseRefusal } from '../../region/sql.ts'
import { readDatabase } from '../../resources/cratedb.ts'
import { type DatabaseTarget, namespaceOf } from '../../resources/kind.ts'
import { isSamePlace, keysIn, type StoredSnapshots, snapshotSecretName } from '../../resources/snapshots.ts'
import { recordBackupState } from './backup-state.ts'
import { isDone, type Progress, type WorkContext } from './context.ts'
import { readCrateDB, untilIdle } from './database-steps.ts'
import { ensureRepository } from './own-repository.ts'
import { dropOne, folderOf } from './retention.ts'

/** What the current step remembers. */
type BackupNote = {
  /** The snapshot, from before it was asked for. */
  snapshot?: string
  /** CrateDB has begun it. */
  begun?: boolean
  /** How often the database did not answer. */
  silent?: number
  /** Why the backup has failed; what is left is to clean up and to record it. */
  verdict?: Verdict
}

type Context = WorkContext<DatabaseTarget>
/** A backup with what it needs in this call. */
type Backup = { context: Context; current: KubernetesObject; snapshots: StoredSnapshots; note: BackupNote }

const gone: Progress = { next: 'failed', reason: 'Disappeared', message: 'The database was deleted before its backup had ended.' }

/** A snapshot goes on while nobody can ask for it: then the database may be silent for long. In attempts, the last ones 10 s apart. */
const mostSilent: Record<string, number> = { repository: 15, snapshot: 180, retention: 15 }

/** Takes a backup: has CrateDB know the repository, takes a snapshot, and drops old ones. */
export async function advanceBackup(context: Context): Promise<Progress> {
  const current = await readCrateDB(context)
  if (!current) return gone
  const { step } = context.operation.status ?? {}
  const { snapshots, suspended } = readDatabase(current)
  if (!step) return beginNext(context, current)
  const note = (step.note ?? {}) as BackupNote
  if (note.verdict) return conclude({ context, current, note }, note.verdict)
  if (!snapshots || suspended) return unable(context, snapshots)
  try {
    return await steps[step.name as keyof typeof steps]({ context, current, snapshots, note })
  } catch (error) {
    if (isProblem(error, 'database-unreachable') || isPassing(error)) return silence(context, error as Problem)
    if (error instanceof DatabaseRefusal) return fail(context, { reason: 'DatabaseRefused', message: error.detail })
    throw error
  }
}

const steps = { repository: advanceRepository, snapshot: advanceSnapshot, retention: advanceRetention }

async function beginNext(context: Context, current: KubernetesObject): Promise<Progress> {
  const next = Object.keys(steps).find((name) => !isDone(context.operation, name))
  if (next === undefined) return { next: 'done', ...outcomeOf(context) }
  // Before it begins it holds up nobody: a request with another state comes first.
  const wait = next === 'repository' ? await untilIdle(context, current) : undefined
  if (wait) return wait
  await context.begin(next)
  return { next: 'again' }
}

/** The database no longer wants backups, or no longer runs. The snapshot that it has is as good as before. */
async function unable(context: Context, snapshots: StoredSnapshots | undefined): Promise<Progress> {
  if (context.operation.status?.step?.name === 'retention') {
    await context.finish('Old snapshots stay: the database was changed meanwhile.')
    return { next: 'again' }
  }
  const message = snapshots
    ? 'The database was suspended before its backup had ended.'
    : 'The database no longer says where its backups go.'
  return fail(context, { reason: snapshots ? 'Suspended' : 'NotSetUp', message })
}

async function advanceRepository({ context, current, snapshots }: Backup): Promise<Progress> {
  const { sql, target } = context
  const wait = await untilIdle(context, current)
  if (wait) return wait
  const other = await otherSnapshot(sql, target)
  if (other) return { next: 'wait', message: `Another snapshot is being taken: ${other}. One at a time.`, recheckMs: 2_000 }
  const secret = await readKeys(context)
  const keys = keysIn(secret)
  if (!keys) {
    const name = `${namespaceOf(target.project)}/${snapshotSecretName(target.database)}`
    return fail(context, {
      reason: 'SecretMissing',
      message: `The keys of the bucket are not in the Secret ${name}: patch the database with them.`,
    })
  }
  const version = `${secret?.metadata.uid}/${secret?.metadata.resourceVersion}`
  const settings = repositorySettings(snapshots.s3, readDatabase(current).version)
  const progress = await ensureRepository(context, { settings, keys, hasKeys: readBackupState(current).repository === version })
  if (progress?.next === 'failed') return fail(context, progress)
  if (progress) return progress
  await context.record({ result: { ...context.operation.status?.result, repository: version } })
  await context.finish()
  const present = await listSnapshots(sql, target, { repository: repositoryName })
  await context.begin('snapshot', {
    snapshot: nextName(
      context.clock.now(),
      present.map(({ name }) => name),
    ),
  })
  return { next: 'again' }
}

function readKeys({ cluster, target: { project, database } }: Context): Promise<KubernetesObject | undefined> {
  return cluster.read({ kind: 'Secret', namespace: namespaceOf(project), name: snapshotSecretName(database) })
}

/** Words of CrateDB without the keys of the bucket: they repeat what the store has said, and stores repeat what they were sent. */
async function masked(context: Context, text: string): Promise<string> {
  return withoutSecrets(text, Object.values(keysIn(await readKeys(context)) ?? {}))
}

/** The name is noted before anything is asked of CrateDB: whoever goes on finds the snapshot by it. */
async function chooseName({ context }: Backup): Promise<Progress> {
  const present = await listSnapshots(context.sql, context.target, { repository: repositoryName }, { brief: true })
  const names = present.map(({ name }) => name)
  await remember(context, { snapshot: nextName(context.clock.now(), names) })
  return { next: 'again' }
}

async function advanceSnapshot(backup: Backup): Promise<Progress> {
  const { context, current, snapshots, note } = backup
  const { snapshot } = note
  if (snapshot === undefined) return chooseName(backup)
  const [found] = await listSnapshots(context.sql, context.target, { repository: repositoryName, name: snapshot })
  if (!found) return begin(backup, snapshot)
  if (found.state === 'IN_PROGRESS') return running(context, found)
  // Its files could not be read: that passes, or it was never written whole.
  if (found.state === 'FAILED' && found.started === undefined) return silence(context, undefined)
  if (found.state !== 'SUCCESS') return fail(context, verdictOn(found))
  const { startedAt, at } = timesOf(context, found)
  const folder = await folderOf(context, snapshots, readBackupState(current), snapshot)
  const waiting = await recordBackupState(context, current, {
    ...scheduleOf(context.operation, current),
    lastSuccess: { at, startedAt, snapshot },
    failures: 0,
    folder,
    repository: String(context.operation.status?.result?.repository),
  })
  if (waiting) return waiting
  await context.record({ result: { ...context.operation.status?.result, snapshot, tables: found.tables.length } })
  await context.finish(`${snapshot}: ${counted(found)}.`)
  return { next: 'again' }
}

/**
 * When a snapshot was begun and when it had ended, by our clock. That of the database may be wrong, and alerts go by this: what CrateDB says counts
 * as far as it lies within the step.
 */
function timesOf({ operation, clock }: Context, { started }: Snapshot): { startedAt: string; at: string } {
  const now = clock.now()
  const from = Math.min(now, Date.parse(operation.status?.step?.startedAt ?? '') || now)
  const at = new Date(now).toISOString()
  return { startedAt: new Date(Math.min(now, Math.max(from, started ?? from))).toISOString(), at }
}

/** It is not listed: not begun yet, or being taken before 5.7.3, or in a bucket that cannot be read at the moment. CrateDB knows which. */
async function begin({ context, current, note }: Backup, name: string): Promise<Progress> {
  const { sql, target } = context
  if (!note.begun) {
    const wait = await untilIdle(context, current)
    if (wait) return wait
    const other = await otherSnapshot(sql, target, name)
    if (other) return { next: 'wait', message: `Another snapshot is being taken: ${other}. One at a time.`, recheckMs: 2_000 }
  }
  try {
    const { stmt, args } = createSnapshot(name)
    await sql.query(target, stmt, args)
  } catch (error) {
    if (isRefusal(error, crateErrors.snapshotExists) || isConcurrent(error)) return running(context, undefined)
    if (note.begun && error instanceof DatabaseRefusal) return silence(context, error)
    throw error
  }
  if (!note.begun) await remember(context, { begun: true })
  return { next: 'wait', message: `The snapshot ${name} has begun.`, recheckMs: 300 }
}

/** How long to wait before the next look, in milliseconds. Each makes CrateDB read what the bucket has of every snapshot. */
function paceOf({ operation, clock }: Context): number {
  const takes = clock.now() - Date.parse(operation.status?.step?.startedAt ?? '')
  return takes < 10_000 ? 500 : takes < 60_000 ? 2_000 : 10_000
}

function running(context: Context, snapshot: Snapshot | undefined): Progress {
  const { startedAt = '' } = context.operation.status?.step ?? {}
  const minutes = Math.max(0, Math.floor((context.clock.now() - Date.parse(startedAt)) / 60_000))
  const since = minutes === 0 ? '' : `, for ${minutes} min`
  const what = snapshot ? `${snapshot.name} is being taken: ${counted(snapshot)}${since}` : `The snapshot is being taken${since}`
  return { next: 'wait', message: `${what}. CrateDB does not tell how many shards are done.`, recheckMs: paceOf(context) }
}

function counted({ tables, totalShards }: Snapshot): string {
  const some = (count: number, noun: string) => `${count} ${noun}${count === 1 ? '' : 's'}`
  return totalShards === undefined ? some(tables.length, 'table') : `${some(tables.length, 'table')}, ${some(totalShards, 'shard')}`
}

/** Most failures that are told. */
const mostFailures = 3

function verdictOn({ name, state, failures, reason, totalShards }: Snapshot): Verdict {
  const told = failures.slice(0, mostFailures).join(' ')
  const more = failures.length > mostFailures ? ` and ${failures.length - mostFailures} more` : ''
  const of = totalShards === undefined ? '' : ` of ${totalShards}`
  const why = [reason, failures.length > 0 ? `${failures.length}${of} shards failed: ${told}${more}` : undefined].filter(Boolean).join(' ')
  const message = `The snapshot ${name} is ${state}, and of no use: ${why || 'CrateDB gives no reason'}`
  return {
    reason: state === 'PARTIAL' ? 'SnapshotPartial' : 'SnapshotFailed',
    message: shortened(message),
    action: 'Check the health of the database, and whether its nodes reach the bucket; then take another one.',
  }
}

/** The outcome of a retention in a place that is no longer that of the database. */
const placeChanged = { next: 'done', left: 'Old snapshots stay: another place was set meanwhile.' } as const

async function advanceRetention({ context, current, snapshots, note }: Backup): Promise<Progress> {
  if ((note.silent ?? 0) > 0 && isOutOfPatience('retention', note)) {
    await context.finish('Old ones could not be dropped, since the database did not answer; the next backup drops them.')
    return { next: 'again' }
  }
  const { folder } = readBackupState(current)
  // Another place was set meanwhile, whose first success is yet to come.
  const isKnown = folder === undefined || isSamePlace(snapshots, { s3: folder })
  const outcome = isKnown ? await dropOne(context, { keep: snapshots.keep, former: folder?.former }) : placeChanged
  if (outcome.next !== 'done') return outcome
  await context.finish(outcome.left && (await masked(context, outcome.left)))
  return { next: 'again' }
}

/** What a backup that has ended says: the snapshot, and what else people should know. */
function outcomeOf({ operation: { status } }: Context): { message: string } {
  const { snapshot, tables } = status?.result ?? {}
  const left = status?.done?.find(({ name }) => name === 'retention')?.message
  const message = `The snapshot ${snapshot} was taken, of ${tables} ${tables === 1 ? 'table' : 'tables'}.`
  return { message: left === undefined ? message : `${message} ${left}` }
}

function isOutOfPatience(step: string, { silent = 0 }: BackupNote): boolean {
  return silent >= (mostSilent[step] ?? 0)
}

/** The database did not answer, or not what it should know. It is asked again, less and less often, and not for ever. */
async function silence(context: Context, problem: Problem | undefined): Promise<Progress> {
  const { step } = context.operation.status ?? {}
  const note = (step?.note ?? {}) as BackupNote
  const said = problem?.detail ?? `CrateDB cannot read what it has written about the snapshot ${note.snapshot}.`
  if (step?.name !== 'retention' && isOutOfPatience(step?.name ?? '', note)) {
    const rest = note.snapshot === undefined ? '' : ` Whether the snapshot ${note.snapshot} was taken is not known.`
    return fail(context, { reason: 'DatabaseUnreachable', message: `${said}${rest}` })
  }
  const silent = (note.silent ?? 0) + 1
  await remember(context, { silent })
  return { next: 'wait', message: await masked(context, said), recheckMs: Math.min(10_000, 250 * 2 ** silent) }
}

async function remember(context: Context, change: BackupNote): Promise<void> {
  const step = context.operation.status?.step
  if (step) await context.record({ step: { ...step, note: { ...step.note, ...change } } })
}

/** The backup has failed. That is remembered first, so that it stays so whatever happens while it is cleaned up and recorded. */
async function fail(context: Context, { reason, message, action }: Verdict): Promise<Progress> {
  await remember(context, {
    verdict: { reason, message: shortened(await masked(context, message)), ...(action !== undefined && { action }) },
  })
  return { next: 'again' }
}

async function conclude({ context, current, note }: Omit<Backup, 'snapshots'>, verdict: Verdict): Promise<Progress> {
  const left = await dropUnfinished(context)
  const { reason, message, action } = verdict
  const { failures = 0, lastFailure } = readBackupState(current)
  const operation = context.operation.metadata.name
  const waiting = await recordBackupState(context, current, {
    ...scheduleOf(context.operation, current),
    lastFailure: { at: new Date(context.clock.now()).toISOString(), operation, reason, message },
    // It may have been counted by an agent that did not come to record the end.
    failures: lastFailure?.operation === operation ? failures : failures + 1,
    ...(note.snapshot !== undefined && { repository: String(context.operation.status?.result?.repository) }),
  })
  if (waiting) return waiting
  const said = left === undefined ? action : [left, action].filter(Boolean).join(' ')
  return { next: 'failed', reason, message, ...(said !== undefined && { action: said }) }
}

const fates: Record<string, string> = {
  repository: 'No snapshot had begun',
  snapshot: 'What there is of its snapshot is dropped, unless it was complete',
  retention: 'Its snapshot was taken and stays; old ones that are left go after the next backup',
}

/** What becomes of a step of a backup that is cancelled in it. */
export function backupAfterCancel(step: string): string | undefined {
  return fates[step]
}

/** Leaves nothing half done when the operation ends early. Resolves with what people have to do, if something is left. */
export async function leaveBackup(context: Context): Promise<string | undefined> {
  const { verdict } = (context.operation.status?.step?.note ?? {}) as BackupNote
  // Then that has been done.
  return verdict ? undefined : dropUnfinished(context)
}

/**
 * Drops the snapshot of the current step unless it is a good one, also while it is being taken: CrateDB aborts it first.
 * @returns what people have to do, if it could not be dropped
 */
async function dropUnfinished(context: Context): Promise<string | undefined> {
  const { step } = context.operation.status ?? {}
  const { snapshot } = (step?.note ?? {}) as BackupNote
  if (step?.name !== 'snapshot' || snapshot === undefined) return undefined
  const { stmt, args } = dropSnapshot(snapshot)
  try {
    const [found] = await listSnapshots(context.sql, context.target, { repository: repositoryName, name: snapshot })
    if (found?.state === 'SUCCESS' || (found?.state === 'FAILED' && found.started === undefined)) return undefined
    await context.sql.query(context.target, stmt, args, { timeoutMs: 60_000 })
    return undefined
  } catch (error) {
    if (isRefusal(error, crateErrors.snapshotUnknown) || isRefusal(error, crateErrors.repositoryUnknown)) return undefined
    if (!isProblem(error, 'database-unreachable', 'database-refused')) throw error
    const why = shortened(await masked(context, error.detail))
    return `What there is of the snapshot ${snapshot} could not be dropped (${why}); the next backup drops it.`
  }
}
