import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Gauge, type Registry } from 'prom-client'

/** What is told of the turns since the last scrape, each under the name that prom-client gives it, which dashboards use. */
const statistics = ['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99'] as const

const nameOf = (statistic: (typeof statistics)[number]) => `nodejs_eventloop_lag_${statistic}_seconds`

/**
 * For `collectDefaultMetrics`, whose measurement cannot be left out: the longest interval of a timer, in milliseconds, so that it does not
 * run. It would wake an idle program up 100 times a second, and tell the interval of the timer as delay.
 */
export const withoutLoopTimer = { eventLoopMonitoringPrecision: 2 ** 31 - 1 }

/**
 * Replaces prom-client's delays of the event loop: each turn of the loop is measured, without the time for which it waits for work. That
 * needs no timer.
 */
export function measureEventLoop(registry: Registry): void {
  const histogram = monitorEventLoopDelay({ samplePerIteration: true })
  histogram.enable()
  // The first turn does not wait then: the histogram would take its wait for a delay.
  setImmediate(() => {})
  const gauges = statistics.map((statistic) => {
    registry.removeSingleMetric(nameOf(statistic))
    return new Gauge({
      name: nameOf(statistic),
      help: `How long a turn of the event loop took, since the last scrape: ${statistic}.`,
      registers: [registry],
      ...(statistic === statistics[0] && { collect }),
    })
  })
  /** Runs before the values of the others are read, since prom-client asks the metrics in their order. */
  function collect() {
    if (histogram.count === 0) return
    const { min, max, mean, stddev } = histogram
    const values = [min, max, mean, stddev, ...[50, 90, 99].map((percent) => histogram.percentile(percent))]
    for (const [index, gauge] of gauges.entries()) gauge.set((values[index] as number) / 1e9)
    histogram.reset()
  }
}
