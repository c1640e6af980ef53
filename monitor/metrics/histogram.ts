import type { Sample } from '../../shared/prometheus.ts'
import { type Durations, durationBuckets } from '../prober/check.ts'

/** Bounds as Go and OpenMetrics write them. */
const bounds = [...durationBuckets.map((bound) => ({ le: Number.isInteger(bound) ? `${bound}.0` : `${bound}` })), { le: '+Inf' }]

/** The samples of a histogram of durations. */
export function histogramSamples(name: string, { buckets, sum, count }: Durations): Sample[] {
  let below = 0
  return [
    ...bounds.map((labels, index) => {
      below += buckets[index] ?? 0
      return { metricName: `${name}_bucket`, labels, value: below }
    }),
    { metricName: `${name}_sum`, value: sum },
    { metricName: `${name}_count`, value: count },
  ]
}
