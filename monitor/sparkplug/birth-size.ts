import { encodeBirth, quality } from './payload.ts'
import { type SparkplugMetric, trackedMetric } from './tracked-metric.ts'

/** The largest alias that is likely, and a time that takes as many bytes as that of today. */
const widest = { alias: 2 ** 28, clock: { now: () => 2 ** 41, monotonic: () => 0 } }

/** The most bytes that metrics with these values take in a birth: with aliases, and stale, which needs one more property. */
export function birthBytes(metrics: readonly SparkplugMetric[]): number {
  const tracked = metrics.map((metric) => trackedMetric({ ...metric, quality: quality.stale }, widest.alias, widest.clock))
  return encodeBirth(tracked, { timestamp: 0 }).length
}
