import { selectionOf } from '../../backups/restore-statements.ts'
import { readBackupState } from '../../backups/state.ts'
import { copyOf } from '../../resources/copied-database.ts'
import { readDatabase } from '../../resources/cratedb.ts'
import type { StoredDatabaseSpec } from '../../resources/database.ts'
import { readSecrets } from '../../resources/database-secrets.ts'
import { type DatabaseTarget, namespaceOf } from '../../resources/kind.ts'
import { label } from '../../resources/labels.ts'
import type { StoredRestore } from '../../resources/restore.ts'
import { advanceChild } from './child.ts'
import { isDone, type Progress, type WorkContext } from './context.ts'
import { readCrateDB, untilIdle } from './database-steps.ts'
import { advanceConnect, advanceDisconnect } from './repository.ts'
import { advanceSqlRestore, failingAfterRefusals } from './restore-by-sql.ts'

type Context = WorkContext<DatabaseTarget>

/** Restores one of Skerry's own snapshots: into the database itself, or into a new one that it makes first. */
export async function advanceOwnRestore(context: Context, asked: StoredRestore): Promise<Progress> {
  const source = await readCrateDB(context)
  if (!source) return { next: 'failed', reason: 'Disappeared', message: 'The database was deleted before the snapshot was restored.' }
  const spec = readDatabase(source)
  if (!spec.snapshots) return { next: 'failed', reason: 'NoSnapshots', message: 'The database no longer has snapshots of its own.' }
  const { project, database } = context.target
  const into = { project, database: asked.into ?? database }
  const isToBegin = asked.into === undefined && !isDone(context.operation, 'connect')
  const wait = isToBegin ? await untilIdle(context, source) : undefined
  if (wait) return wait
  const place = spec.snapshots.s3
  const { repository: createdWith } = readBackupState(source)
  const job = { into, snapshot: asked.snapshot, selection: selectionOf(asked) }
  const progress =
    (asked.into === undefined ? undefined : await advanceChild(context, 'create', () => creation(context, spec, into.database))) ??
    (await failingAfterRefusals(context, () => advanceConnect(context, { at: into, place, version: spec.version, createdWith }))) ??
    (await advanceSqlRestore(context, job)) ??
    (asked.into === undefined ? undefined : await advanceDisconnect(context, into))
  return progress ?? { next: 'done', message: doneMessage(context, asked) }
}

function doneMessage({ operation }: Context, { into }: StoredRestore): string {
  const { snapshot, tables } = operation.status?.result ?? {}
  const where = into === undefined ? '' : ` into ${into}; set the passwords of its users with actions/rotate-password, and its allowedCIDRs`
  return `${tables} tables of ${snapshot} were restored${where}.`
}

async function creation(context: Context, spec: StoredDatabaseSpec, id: string) {
  const { project } = context.target
  const body = await bodyOf(context, copyOf(spec, id))
  return { operationId: 'putDatabase', target: { kind: 'database' as const, project, database: id }, body }
}

/** A copy with the keystore of the source, as the body of a request. */
export async function bodyOf({ cluster, target }: Context, copy: StoredDatabaseSpec): Promise<unknown> {
  if (!copy.ssl) return copy
  const selector = `${label.database}=${target.database}`
  const secrets = readSecrets(target, { ...copy, users: [] }, await cluster.list('Secret', namespaceOf(target.project), selector))
  const ssl = Object.fromEntries(
    Object.entries(secrets).flatMap(([place, value]) => (place.startsWith('ssl.') ? [[place.slice('ssl.'.length), value]] : [])),
  )
  return { ...copy, ssl }
}

/** What an own restore that ends early leaves behind, in words. */
export async function leaveOwnRestore({ operation }: Context, { into }: StoredRestore): Promise<string | undefined> {
  const begun = isDone(operation, 'look')
  if (into !== undefined) return `The database ${into} was asked for, and stays: delete it if it is of no use.`
  return begun
    ? 'Tables of which the restore has begun stay, perhaps without all their data: drop them before you repeat it. Dropping them also ends the restore.'
    : undefined
}
