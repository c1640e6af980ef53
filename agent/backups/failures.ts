import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { isBackup, type Operation, phaseOf } from '../resources/operation.ts'
import { type BackupState, readBackupState, shortened } from './state.ts'

/** Why a backup has failed, by its own finding. */
export type Verdict = { reason: string; message: string; action?: string }

/**
 * The failed backups that the state of their database does not count, the oldest first. A backup counts its own failure, unless something else
 * ends it: its deadline, or an error that it does not know.
 * @param operations those of the database, by sequence
 */
export function uncountedFailures(operations: readonly Operation[], database: KubernetesObject): Operation[] {
  const { lastFailure } = readBackupState(database)
  const { creationTimestamp = '' } = database.metadata
  const backups = operations.filter(isBackup)
  // Those of a former database of that name have nothing to do with this one.
  const counted = backups.findLastIndex(
    (each) => isCounted(each, lastFailure) || (each.status?.endedAt ?? creationTimestamp) < creationTimestamp,
  )
  return backups.slice(counted + 1).filter((each) => phaseOf(each) === 'Failed')
}

/** Whether the state knows of it, and so of all before it. A snapshot that was taken is a success, whatever became of old ones. */
function isCounted({ metadata, status }: Operation, lastFailure: BackupState['lastFailure']): boolean {
  if (lastFailure?.operation === metadata.name || status?.done?.some(({ name }) => name === 'snapshot')) return true
  return status?.reason !== undefined && status.reason === verdictOf(status)?.reason
}

function verdictOf(status: Operation['status']): Verdict | undefined {
  return status?.step?.note?.verdict as Verdict | undefined
}

/** What the state says of a failed backup. Its own finding comes before that it could not be recorded in time. */
export function failureOf({ metadata, status }: Operation): NonNullable<BackupState['lastFailure']> {
  const { reason = 'Failed', message = '' } = verdictOf(status) ?? status ?? {}
  return { at: status?.endedAt ?? '', operation: metadata.name, reason, message: shortened(message) }
}

/** The run of the schedule that a backup is, if it is one: the next one is counted from it. */
export function scheduleOf({ spec }: Operation, database: KubernetesObject): Pick<BackupState, 'schedule'> {
  const { schedule, due } = (spec.parameters ?? {}) as { schedule?: string; due?: string }
  if (schedule === undefined || due === undefined) return {}
  const present = readBackupState(database).schedule
  // Another schedule was set meanwhile: it has its own beginning.
  return present && present.cron !== schedule ? {} : { schedule: { ...present, cron: schedule, since: due } }
}
