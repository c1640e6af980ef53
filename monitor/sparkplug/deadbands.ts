import type { MetricValue } from './datatypes.ts'

/**
 * Metrics that change although nothing happens, by what they measure. They have deadbands of their own, which can be configured.
 *
 * - `duration`: how long a check took
 * - `detail`: the sentence of a check, which may have numbers in it
 * - `usage`: how full the volumes of a database are
 * - `requested`: the sums over the pods of a host or the cluster
 * - `lastSeen`: when a watched edge node was last heard
 * - `link`: the bytes of the link itself
 */
export type MetricClass = 'duration' | 'detail' | 'usage' | 'requested' | 'lastSeen' | 'link'

/** When a change is sent. Left out: no limit. */
export type Deadband = {
  /** A number must differ by more than this from the one last sent, in the unit of the metric. */
  absolute?: number | undefined
  /** It must also differ by more than this times the one last sent. */
  relative?: number | undefined
  /** At most one change in this time, in milliseconds. */
  atMostEveryMs?: number | undefined
}

/** The deadband of each class. */
export type Deadbands = Readonly<Record<MetricClass, Deadband>>

/**
 * Whether a value is within the deadband around another one. What is no number is only the same or not, and so are NaN and infinity.
 * @param own a deadband that the metric itself asks for, in its unit
 */
export function isWithin(
  value: MetricValue | null,
  reported: MetricValue | null,
  { absolute = 0, relative = 0 }: Deadband,
  own: number,
): boolean {
  if (!isNumber(value) || !isNumber(reported)) return false
  const difference = typeof value === 'bigint' && typeof reported === 'bigint' ? Number(value - reported) : Number(value) - Number(reported)
  const width = Math.max(own, absolute, relative * Math.abs(Number(reported)))
  return width > 0 && Number.isFinite(width) && Math.abs(difference) <= width
}

function isNumber(value: MetricValue | null): value is number | bigint {
  return typeof value === 'number' || typeof value === 'bigint'
}
