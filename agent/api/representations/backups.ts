import * as z from 'zod'
import { nextRun, parseCron } from '../../backups/cron.ts'
import { failureOf, uncountedFailures } from '../../backups/failures.ts'
import { readBackupState } from '../../backups/state.ts'
import type { DatabaseView } from '../../region/database-view.ts'
import type { StoredDatabaseSpec } from '../../resources/database.ts'

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

/** From the state on the CrateDB, and the ledger for what could not be written there yet. Pure. */
export function backupsOf(
  { object, operations }: DatabaseView,
  { snapshots }: StoredDatabaseSpec,
): z.input<typeof backupsSchema> | undefined {
  if (!object || !snapshots) return undefined
  const { schedule, lastSuccess, lastFailure, failures = 0 } = readBackupState(object)
  const uncounted = uncountedFailures(operations, object)
  const last = uncounted.at(-1)
  const cron = snapshots.schedule === undefined ? undefined : parseCron(snapshots.schedule)
  const next = cron && schedule && schedule.cron === snapshots.schedule ? nextRun(cron, Date.parse(schedule.since)) : undefined
  const failure = last ? failureOf(last) : lastFailure
  return {
    ...(next !== undefined && { nextDueAt: new Date(next).toISOString() }),
    ...(lastSuccess && { lastSuccess }),
    ...(failure && { lastFailure: { at: failure.at, reason: failure.reason, message: failure.message } }),
    failures: failures + uncounted.length,
  }
}
