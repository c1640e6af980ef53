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
import { snapshotSecretName } from '../../resources/snapshots.ts'
import { isDone, type Progress, type WorkContext } from './context.ts'

type Context = WorkContext<DatabaseTarget>
type DatabaseName = { project: string; database: string }

/** The repository of a database, in a database that reads from it. */
export type ReadFrom = {
  /** The database that reads. */
  at: DatabaseName
  place: RepositoryPlace
  /** The release of CrateDB that reads. */
  version: string
}

/** CrateDB asks the bucket before it answers. In milliseconds. */
const answerMs = 60_000

/**
 * Gives a database the repository of the target's snapshots, as the step `connect`. If it is another database than the target, it can only
 * read: CrateDB expects to be the only writer of a repository.
 * @returns undefined once it has it
 */
export async function advanceConnect(context: Context, { at, place, version }: ReadFrom): Promise<Progress | undefined> {
  if (isDone(context.operation, 'connect')) return undefined
  if (context.operation.status?.step?.name !== 'connect') await context.begin('connect')
  const isOther = at.database !== context.target.database
  const settings = { ...repositorySettings(place, version), ...(isOther && { readonly: 'true' }) }
  const present = await readRepository(context.sql, at)
  if (!present || !hasSettings(present.settings, settings)) {
    const keys = await keysOf(context)
    if (!keys) return { next: 'failed', reason: 'KeysMissing', message: 'The Secret with the keys of the snapshots is gone.' }
    if (present) await context.sql.query(at, dropRepository.stmt, dropRepository.args)
    const { stmt, args, secrets = [] } = createRepository(settings, keys)
    await context.sql.query(at, stmt, args, { secrets, timeoutMs: answerMs })
  }
  await context.finish(isOther ? `${at.database} can read the snapshots of ${context.target.database}.` : undefined)
  return undefined
}

async function keysOf({ cluster, target }: Context): Promise<BucketKeys | undefined> {
  const secret = await cluster.read({ kind: 'Secret', namespace: namespaceOf(target.project), name: snapshotSecretName(target.database) })
  const value = (key: string) => Buffer.from(secret?.data?.[key] ?? '', 'base64').toString('utf8')
  return secret && { accessKeyId: value('access-key-id'), secretAccessKey: value('secret-access-key') }
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
