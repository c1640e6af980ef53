import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { type Family, family } from '../../shared/prometheus.ts'
import { parseCron } from '../backups/cron.ts'
import { overdueFrom } from '../backups/due.ts'
import { readBackupState } from '../backups/state.ts'
import { readDatabase } from '../resources/cratedb.ts'

type Rehearsed = {
  scheduledSince: number | undefined
  succeededAt: number | undefined
  failedAt: number | undefined
  /** Since when the last success is too old by its schedule, in Unix milliseconds; undefined without one. */
  overdueFrom: number | undefined
}

/** How restores of Skerry's own backups were rehearsed. Without names: the admin port shows none of tenants. @param now Unix milliseconds */
export function rehearsalFamilies(databases: Iterable<KubernetesObject>, now: number): Family[] {
  const all = [...databases].flatMap((database) => rehearsedOf(database) ?? [])
  const count = (state: 'never' | 'succeeded' | 'failed') => all.filter((each) => stateOf(each) === state).length
  // One that nobody wants to be rehearsed says nothing.
  const relevant = all.filter((each) => each.scheduledSince !== undefined || stateOf(each) !== 'never')
  const oldest =
    relevant.length === 0
      ? undefined
      : Math.min(...relevant.map(({ succeededAt, scheduledSince }) => succeededAt ?? scheduledSince ?? 0)) / 1000
  return [
    family(
      'gauge',
      'skerry_agent_rehearsal_databases',
      'Databases with backups of their own, by how their last rehearsal ended.',
      (['never', 'succeeded', 'failed'] as const).map((state) => [{ state }, count(state)]),
    ),
    family(
      'gauge',
      'skerry_agent_rehearsal_last_success_timestamp_seconds',
      'When the restore was rehearsed with success, of the database where that is longest ago. If it never was: since when that is scheduled, or 0. Missing if none is rehearsed.',
      oldest,
    ),
    family(
      'gauge',
      'skerry_agent_rehearsal_overdue',
      'Databases without a successful rehearsal for two runs of their schedule.',
      all.filter(({ overdueFrom: from = Number.POSITIVE_INFINITY }) => from <= now).length,
    ),
  ]
}

/** Undefined if it has no backups of its own, or is itself part of a rehearsal. */
function rehearsedOf(database: KubernetesObject): Rehearsed | undefined {
  const { snapshots } = readDatabase(database)
  if (!snapshots) return undefined
  const { schedule, lastSuccess, lastFailure } = readBackupState(database).rehearsal ?? {}
  const at = (of: { at: string } | undefined) => of && Date.parse(of.at)
  const [scheduledSince, succeededAt] = [schedule && Date.parse(schedule.since), at(lastSuccess)]
  const cron = parseCron(snapshots.rehearse ?? '')
  // A schedule that was set after the last success has missed no run before.
  const overdue = cron && scheduledSince !== undefined ? overdueFrom(cron, Math.max(scheduledSince, succeededAt ?? 0)) : undefined
  return { scheduledSince, succeededAt, failedAt: at(lastFailure), overdueFrom: overdue }
}

function stateOf({ succeededAt = 0, failedAt = 0 }: Rehearsed): 'never' | 'succeeded' | 'failed' {
  if (succeededAt === 0 && failedAt === 0) return 'never'
  return failedAt > succeededAt ? 'failed' : 'succeeded'
}
