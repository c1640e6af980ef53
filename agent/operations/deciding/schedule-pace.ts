import type { BodyFault } from '../../../shared/errors.ts'
import { parseCron, shortestGap } from '../../backups/cron.ts'
import type { StoredDatabaseSpec } from '../../resources/database.ts'

/** Between two runs of a schedule, in minutes. Each is an entry of the ledger, which keeps a bounded number of them. */
const leastGap = 15

/** The faults of schedules that come too often. One that the database has already, from an earlier version, stays. */
export function tooFrequent({ snapshots }: StoredDatabaseSpec, present: StoredDatabaseSpec | undefined): BodyFault[] {
  return (['schedule', 'rehearse'] as const).flatMap((member) => {
    const text = snapshots?.[member]
    if (text === undefined || text === present?.snapshots?.[member]) return []
    const cron = parseCron(text)
    const gap = cron && shortestGap(cron)
    if (gap === undefined || gap >= leastGap) return []
    const apart = gap === 1 ? 'one minute' : `${gap} minutes`
    const message = `must not fall due more often than every ${leastGap} minutes, as "0/${leastGap} * * * *" does: it has times ${apart} apart`
    return [{ path: `/snapshots/${member}`, message }]
  })
}
