import { type Family, family } from '../prometheus.ts'
import { linkProfiles } from './ladder.ts'
import type { Meter } from './meter.ts'
import type { Traffic } from './socket-bytes.ts'

/** The meter of a program as families. @param prefix of the program: `skerry_agent` */
export function linkFamilies(prefix: string, meter: Pick<Meter, 'totals' | 'standing'>): Family[] {
  const { profile, budget, today } = meter.standing()
  const by = (wires: Readonly<Record<string, Traffic>>) =>
    Object.entries(wires).flatMap(([wire, { received, sent }]) => [
      [{ wire, direction: 'received' }, received] as const,
      [{ wire, direction: 'sent' }, sent] as const,
    ])
  return [
    family(
      'counter',
      `${prefix}_link_bytes_total`,
      'Bytes over the wires of this process, with TLS, without headers of TCP and IP.',
      by(meter.totals()),
    ),
    family('gauge', `${prefix}_link_today_bytes`, 'The same of all replicas since midnight (UTC), kept over restarts.', by(today)),
    family('gauge', `${prefix}_link_budget_bytes`, 'Bytes that a day may have; missing without a budget.', budget?.perDay),
    family(
      'gauge',
      `${prefix}_link_profile`,
      '1 for the profile in effect: how much is sent.',
      linkProfiles.map((each) => [{ profile: each }, each === profile ? 1 : 0]),
    ),
  ]
}
