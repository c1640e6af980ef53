import {
  type BucketKeys,
  crateErrors,
  createRepository,
  dropRepository,
  hasSettings,
  isInUse,
  isRefusal,
  type RepositoryPlace,
  readRepository,
  repositorySettings,
} from '../../backups/statements.ts'
import { type DatabaseTarget, namespaceOf } from '../../resources/kind.ts'
import { keysIn, snapshotSecretName } from '../../resources/snapshots.ts'
import { isDone, type Progress, type WorkContext } from './context.ts'
import { ensureRepository } from './own-repository.ts'

type Context = WorkContext<DatabaseTarget>
type DatabaseName = { project: string; database: string }

/** The repository of a database, in a database that reads from it. */
export type ReadFrom = {
  /** The database that reads. */
  at: DatabaseName
  place: RepositoryPlace
  /** The release of CrateDB that reads. */
  version: string
  /** The Secret with whose keys the target's own repository was created, as `BackupState` has it. */
  createdWith: string | undefined
}

/** CrateDB asks the bucket before it answers. In milliseconds. */
const answerMs = 60_000

/**
 * Gives a database the repository of the target's snapshots, as the step `connect`. If it is another database than the target, it can only
 * read: CrateDB expects to be the only writer of a repository.
 * @returns undefined once it has it
 */
export async function advanceConnect(context: Context, from: ReadFrom): Promise<Progress | undefined> {
  if (isDone(context.operation, 'connect')) return undefined
  if (context.operation.status?.step?.name !== 'connect') await context.begin('connect')
  const found = await keysOf(context)
  if (!found) {
    const name = `${namespaceOf(context.target.project)}/${snapshotSecretName(context.target.database)}`
    const message = `The keys of the bucket are not in the Secret ${name}.`
    return { next: 'failed', reason: 'KeysMissing', message, action: 'Patch the database with them: accessKeyId and secretAccessKey.' }
  }
  const { keys, version: secret } = found
  const settings = repositorySettings(from.place, from.version)
  const isOther = from.at.database !== context.target.database
  const progress = isOther
    ? await connectOther(context, from.at, { ...settings, readonly: 'true' }, keys)
    : await ensureRepository(context, { settings, keys, hasKeys: from.createdWith === secret })
  if (progress) return progress
  await context.finish(isOther ? `${from.at.database} can read the snapshots of ${context.target.database}.` : undefined)
  return undefined
}

/** Nobody else makes or changes a repository in a database that this operation has made. */
async function connectOther(
  context: Context,
  at: DatabaseName,
  settings: Record<string, string>,
  keys: BucketKeys,
): Promise<Progress | undefined> {
  const present = await readRepository(context.sql, at)
  if (present && hasSettings(present.settings, settings)) return undefined
  if (present) await context.sql.query(at, dropRepository.stmt, dropRepository.args)
  const { stmt, args, secrets = [] } = createRepository(settings, keys)
  await context.sql.query(at, stmt, args, { secrets, timeoutMs: answerMs })
  return undefined
}

async function keysOf({ cluster, target }: Context): Promise<{ keys: BucketKeys; version: string } | undefined> {
  const secret = await cluster.read({ kind: 'Secret', namespace: namespaceOf(target.project), name: snapshotSecretName(target.database) })
  const keys = keysIn(secret)
  return secret && keys && { keys, version: `${secret.metadata.uid}/${secret.metadata.resourceVersion}` }
}

/**
 * Has another database forget the repository and its keys, as the step `disconnect`.
 * @returns undefined once it has
 */
export async function advanceDisconnect(context: Context, at: DatabaseName): Promise<Progress | undefined> {
  if (isDone(context.operation, 'disconnect')) return undefined
  if (context.operation.status?.step?.name !== 'disconnect') await context.begin('disconnect')
  try {
    await context.sql.query(at, dropRepository.stmt, dropRepository.args)
  } catch (error) {
    if (isInUse(error)) return { next: 'wait', message: 'CrateDB still reads from the repository.', recheckMs: 1_000 }
    if (!isRefusal(error, crateErrors.repositoryUnknown)) throw error
  }
  await context.finish()
  return undefined
}
