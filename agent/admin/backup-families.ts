import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { type Family, family } from '../../shared/prometheus.ts'
import { parseCron } from '../backups/cron.ts'
import { overdueFrom } from '../backups/due.ts'
import { readBackupState } from '../backups/state.ts'
import { hasIdleBackups } from '../resources/backup-image.ts'
import { readDatabase } from '../resources/cratedb.ts'

/** How the backups of a database with a schedule are. */
type Standing = {
  /** When the last successful one was begun, in Unix milliseconds; undefined if there is none. */
  success: number | undefined
  /** Since when it is too old, in Unix milliseconds; undefined for a schedule that never comes. */
  overdueFrom: number | undefined
  /** The last one failed. */
  isFailing: boolean
}

/** None for a database without a schedule, and for a suspended one, which takes no backups. */
function standingOf(object: KubernetesObject): Standing | undefined {
  const { snapshots, suspended } = readDatabase(object)
  const cron = parseCron(snapshots?.schedule ?? '')
  const { schedule, lastSuccess, failures = 0 } = readBackupState(object)
  if (!cron || suspended || schedule === undefined) return undefined
  const success = lastSuccess && Date.parse(lastSuccess.startedAt)
  // A schedule that was set after the last success has missed no run before. Since when its runs count does not matter: failures move that on.
  const from = Math.max(success ?? Date.parse(schedule.set ?? schedule.since), Date.parse(schedule.set ?? '1970-01-01T00:00:00Z'))
  return { success, overdueFrom: overdueFrom(cron, from), isFailing: failures > 0 }
}

/** Whether it is to have backups, and has none: `snapshots` is the cure. */
function isWithout(object: KubernetesObject): boolean {
  return hasIdleBackups(object) && readDatabase(object).snapshots === undefined
}

/** The metrics of Skerry's own backups, without names: the admin port shows none of tenants. @param now Unix milliseconds */
export function backupFamilies(databases: Iterable<KubernetesObject>, now: number): Family[] {
  const gauge = (name: string, help: string, value: Parameters<typeof family>[3]) =>
    family('gauge', `skerry_agent_backup_${name}`, help, value)
  const all = [...databases]
  const standings = all.flatMap((object) => standingOf(object) ?? [])
  const overdue = standings.filter(({ overdueFrom: from = Number.POSITIVE_INFINITY }) => from <= now)
  const successes = standings.flatMap(({ success }) => success ?? [])
  const oldest = successes.reduce((least, success) => Math.min(least, success), Number.POSITIVE_INFINITY)
  return [
    gauge('scheduled', 'Databases with a schedule of backups that run.', standings.length),
    gauge('failing', 'Those whose last backup failed.', standings.filter(({ isFailing }) => isFailing).length),
    gauge('overdue', 'Those without a successful backup for two runs of their schedule.', overdue.length),
    gauge(
      'oldest_success_timestamp_seconds',
      'When the oldest of their last successful backups was begun; missing if there is none.',
      successes.length === 0 ? undefined : oldest / 1000,
    ),
    gauge(
      'not_taken',
      'Databases whose only backups are those of the Crate Operator, and nothing takes them.',
      all.filter(isWithout).length,
    ),
  ]
}
