import { type Family, family } from '../../shared/prometheus.ts'
import { type RetainedDatabase, retainedPhases } from '../resources/retained-database.ts'
import { nextExpiry, sumOfRetained } from '../resources/retained-keeping.ts'

/** The metrics of deleted databases that somebody can have back, without their names: the admin port shows none of tenants. */
export function retainedFamilies(records: readonly RetainedDatabase[]): Family[] {
  const gauge = (name: string, help: string, value: Parameters<typeof family>[3]) =>
    family('gauge', `skerry_agent_retained_${name}`, help, value)
  const byPhase = Object.groupBy(records, ({ status }) => status?.phase ?? 'Kept')
  const next = nextExpiry(records)
  return [
    gauge(
      'databases',
      'Deleted databases whose data is kept, by phase.',
      retainedPhases.map((phase) => [{ phase }, byPhase[phase]?.length ?? 0]),
    ),
    gauge('bytes', 'Size of the volumes of deleted databases.', Number(sumOfRetained(records).bytes)),
    gauge(
      'next_expiry_timestamp_seconds',
      'When the data of the next deleted database is deleted; missing if none has a date.',
      next === undefined ? undefined : next / 1000,
    ),
  ]
}
