import type { Clock } from '../../shared/clock.ts'
import type { Readiness } from '../../shared/lifecycle.ts'
import type { Probes } from '../probe/index.ts'
import type { Prober } from '../prober/check.ts'

/** What the pages are made from, read for each request. */
export type PageNeeds = {
  prober: Pick<Prober, 'statuses' | 'status' | 'stall'>
  probes: Pick<Probes, 'past' | 'modules' | 'moduleNames' | 'refusedModules'>
  readiness: readonly Readiness[]
  facts: () => Readonly<Record<string, string | number | boolean | undefined>>
  /** The configuration in effect as plain data, without secrets; undefined where there is none to show. */
  configuration: (() => unknown) | undefined
  clock: Pick<Clock, 'now' | 'monotonic'>
}
