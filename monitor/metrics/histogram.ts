import type { Sample } from '../../shared/prometheus.ts'
import { type Durations, durationBuckets } from '../prober/check.ts'

/** Bounds as Go and OpenMetrics write them. */
const bounds = [...durationBuckets.map((bound) => ({ le: Number.isInteger(bound) ? `${bound}.0` : `${bound}` })), { le: '+Inf' }]

/** How the durations of a family become its samples. */
export function histogram(name: string): (durations: Durations) => Sample[] {
  const [bucketName, sumName, countName] = [`${name}_bucket`, `${name}_sum`, `${name}_count`]
  return ({ buckets, sum, count }) => {
    let below = 0
    const samples: Sample[] = bounds.map((labels, index) => {
      below += buckets[index] ?? 0
      return { metricName: bucketName, labels, value: below }
    })
    samples.push({ metricName: sumName, value: sum }, { metricName: countName, value: count })
    return samples
  }
}
