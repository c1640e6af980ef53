import * as z from 'zod'
import { nextRun, parseCron } from '../../backups/cron.ts'
import { readBackupState } from '../../backups/state.ts'
import type { DatabaseView } from '../../region/database-view.ts'
import type { StoredDatabaseSpec } from '../../resources/database.ts'
import { hasEnded, phaseOf } from '../../resources/operation.ts'

const moment = z.iso.datetime()

/** What became of a database's own backups. */
export const backupsSchema = z
  .object({
    nextDueAt: moment
      .optional()
      .describe('The next time of the schedule that counts: in the past while it is being caught up')
      .meta({ example: '2026-12-01T03:30:00.000Z' }),
    lastSuccess: z
      .object({
        at: moment.describe('When it had ended'),
        startedAt: moment.describe('What was written later is not in it'),
        snapshot: z.string().meta({ example: 'skerry_20261130033000' }),
      })
      .optional(),
    lastFailure: z
      .object({ at: moment, reason: z.string().meta({ example: 'SnapshotPartial' }), message: z.string() })
      .optional()
      .describe('The last one that failed, whether there was a success since or not'),
    failures: z.int().describe('Failures since the last success').meta({ example: 0 }),
  })
  .describe("Skerry's own backups; absent where none are set up")
  .meta({ example: { failures: 0 } })

/** From the state on the CrateDB, and the ledger for what ended without writing there: a deadline that passed. Pure. */
export function backupsOf(
  { object, operations }: DatabaseView,
  { snapshots }: StoredDatabaseSpec,
): z.input<typeof backupsSchema> | undefined {
  if (!object || !snapshots) return undefined
  const { schedule, lastSuccess, lastFailure, failures = 0 } = readBackupState(object)
  const ended = operations.findLast((operation) => operation.spec.action === 'backup' && hasEnded(operation))
  const failed = ended && phaseOf(ended) === 'Failed' ? ended.status : undefined
  const untold =
    failed?.endedAt !== undefined && Date.parse(failed.endedAt) > Date.parse(lastFailure?.at ?? '1970-01-01T00:00:00Z') + 60_000
  const cron = snapshots.schedule === undefined ? undefined : parseCron(snapshots.schedule)
  const next = cron && schedule && schedule.cron === snapshots.schedule ? nextRun(cron, Date.parse(schedule.since)) : undefined
  const failure = untold ? { at: failed.endedAt as string, reason: failed.reason ?? 'Failed', message: failed.message ?? '' } : lastFailure
  return {
    ...(next !== undefined && { nextDueAt: new Date(next).toISOString() }),
    ...(lastSuccess && { lastSuccess }),
    ...(failure && { lastFailure: failure }),
    failures: failures + (untold ? 1 : 0),
  }
}
