import { collectDefaultMetrics, type Registry } from 'prom-client'

/** Gauges whose names end in `_total`, which promtool and OpenMetrics keep for counters; the same is told by type under other names. */
const misnamed = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total']

/** Adds what prom-client knows of the process: processor, memory, event loop, garbage collection. */
export function collectProcessMetrics(registry: Registry): void {
  collectDefaultMetrics({ register: registry })
  for (const name of misnamed) registry.removeSingleMetric(name)
}
