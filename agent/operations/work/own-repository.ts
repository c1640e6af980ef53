import { isProblem } from '../../../shared/errors.ts'
import {
  type BucketKeys,
  crateErrors,
  createRepository,
  dropRepository,
  type EndedCreation,
  hasSettings,
  isInUse,
  isRefusal,
  isVerifying,
  lastCreation,
  readRepository,
} from '../../backups/statements.ts'
import { DatabaseRefusal } from '../../region/sql.ts'
import type { DatabaseTarget } from '../../resources/kind.ts'
import type { Progress, WorkContext } from './context.ts'

/** The repository that CrateDB should have. */
export type WantedRepository = {
  /** From `repositorySettings`. */
  settings: Record<string, string>
  keys: BucketKeys
  /** Whether a repository with these settings has these keys: CrateDB shows none. If not, one that stands is created anew. */
  hasKeys: boolean
}

/** What the step remembers. */
type RepositoryNote = {
  /** A statement that creates it was about to be sent; the log's newest entry before that. */
  asked?: { before: string | null } | undefined
  /** It was created by this step. */
  created?: boolean
}

/** A verification waits for the slowest node, which may take minutes; it is asked for at this interval, in milliseconds. */
const recheckMs = 2_000

const verifying: Progress = {
  next: 'wait',
  message: 'CrateDB verifies the repository: each of its nodes tries to write into the bucket.',
  recheckMs,
}

/**
 * Has CrateDB know the repository, in the current step. An answer that was not heard is found in CrateDB's log.
 *
 * @returns undefined once it is there and verified; a failure when CrateDB refused it
 * @throws Problem `database-unreachable`
 */
export async function ensureRepository(context: WorkContext<DatabaseTarget>, wanted: WantedRepository): Promise<Progress | undefined> {
  const { sql, target } = context
  if (await isVerifying(sql, target)) return verifying
  const present = await readRepository(sql, target)
  const note = noteOf(context)
  if (!present) return note.asked ? afterLostAnswer(context, wanted, note.asked) : create(context, wanted)
  const isWanted = present.type === 's3' && hasSettings(present.settings, wanted.settings)
  if (isWanted && (wanted.hasKeys || note.created)) return undefined
  if (isWanted && note.asked) return created(context)
  return drop(context)
}

function noteOf({ operation }: WorkContext<DatabaseTarget>): RepositoryNote {
  return (operation.status?.step?.note ?? {}) as RepositoryNote
}

async function remember(context: WorkContext<DatabaseTarget>, change: RepositoryNote): Promise<void> {
  const step = context.operation.status?.step
  if (step) await context.record({ step: { ...step, note: { ...step.note, ...change } } })
}

async function created(context: WorkContext<DatabaseTarget>): Promise<undefined> {
  await remember(context, { created: true, asked: undefined })
}

async function create(context: WorkContext<DatabaseTarget>, { settings, keys }: WantedRepository): Promise<Progress | undefined> {
  const { sql, target } = context
  const { stmt, args, secrets = [] } = createRepository(settings, keys)
  const before = await lastCreation(sql, target, secrets)
  await remember(context, { asked: { before: before?.id ?? null } })
  try {
    await sql.query(target, stmt, args, { secrets })
  } catch (error) {
    // The statement goes on without us.
    if (isProblem(error, 'database-unreachable')) return verifying
    if (isRefusal(error, crateErrors.repositoryExists)) return { next: 'again' }
    if (error instanceof DatabaseRefusal) return refused(context, error.said)
    throw error
  }
  return created(context)
}

/** There is no repository although one was asked for: CrateDB has refused it, or the statement was never sent. */
async function afterLostAnswer(
  context: WorkContext<DatabaseTarget>,
  wanted: WantedRepository,
  { before }: NonNullable<RepositoryNote['asked']>,
): Promise<Progress | undefined> {
  const { sql, target } = context
  const ended: EndedCreation | undefined = await lastCreation(sql, target, Object.values(wanted.keys))
  if (ended && ended.id !== before && ended.error !== undefined) return refused(context, ended.error)
  return create(context, wanted)
}

async function refused(context: WorkContext<DatabaseTarget>, said: string): Promise<Progress> {
  await remember(context, { asked: undefined })
  return {
    next: 'failed',
    reason: 'RepositoryRefused',
    message: `CrateDB could not use the bucket: ${said}`,
    action: 'Have the bucket tried: POST …/actions/backup?dryRun=true says what is wrong with it. Nothing was written.',
  }
}

async function drop({ sql, target }: WorkContext<DatabaseTarget>): Promise<Progress> {
  try {
    await sql.query(target, dropRepository.stmt, dropRepository.args)
  } catch (error) {
    if (isInUse(error)) return { next: 'wait', message: 'CrateDB still uses the repository with its former settings.', recheckMs }
    if (!isRefusal(error, crateErrors.repositoryUnknown)) throw error
  }
  return { next: 'again' }
}
