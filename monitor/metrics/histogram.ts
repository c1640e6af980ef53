import { type Durations, durationBuckets } from '../prober/check.ts'
import { boundText } from './exposition.ts'

/** What comes between the other labels and the count, for each bucket. */
const bucketEnds = [...durationBuckets.map(boundText), '+Inf'].map((bound) => `le="${bound}"} `)

/** @param pairs its labels without braces, which may be none */
export function histogram(name: string, pairs: string, { buckets, sum, count }: Durations): string {
  const before = pairs === '' ? '' : `${pairs},`
  const labels = pairs === '' ? '' : `{${pairs}}`
  let text = ''
  let below = 0
  for (let index = 0; index < bucketEnds.length; index++) {
    below += buckets[index] ?? 0
    text += `${name}_bucket{${before}${bucketEnds[index]}${below}\n`
  }
  return `${text}${name}_sum${labels} ${sum}\n${name}_count${labels} ${count}\n`
}
