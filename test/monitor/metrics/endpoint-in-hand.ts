import type { TestContext } from 'node:test'
import { pino } from 'pino'
import type * as z from 'zod'
import { createMonitorEndpoint, type MonitorEndpointNeeds, metricsConfig } from '../../../monitor/metrics/index.ts'
import { type Check, type CheckStatus, durationBuckets } from '../../../monitor/prober/check.ts'
import { PastRuns } from '../../../monitor/prober/past-runs.ts'
import { createStatistics, type Statistics } from '../../../monitor/prober/statistics.ts'
import { systemClock } from '../../../shared/clock.ts'
import type { ServerPart } from '../../../shared/server.ts'

/** A check that was never run, with some things said otherwise. */
export function statusOf(check: Partial<Check> = {}, status: Partial<CheckStatus> = {}): CheckStatus {
  return {
    check: {
      name: 'shop',
      kind: 'http',
      target: 'https://shop.example.com',
      options: {},
      group: 'checks',
      severity: 'warning',
      labels: {},
      intervalMs: 30_000,
      timeoutMs: 5_000,
      retries: 0,
      retryDelayMs: 0,
      recoveryDelayMs: 0,
      dependsOn: [],
      actions: [],
      ...check,
    },
    state: 'unknown',
    since: 0,
    detail: '',
    measurements: [],
    consecutiveFailures: 0,
    durations: { buckets: new Uint32Array(durationBuckets.length + 1), sum: 0, count: 0 },
    past: new PastRuns(),
    ...status,
  }
}

/** A prober of which only what the endpoint looks at is there. */
export type ProberInHand = { statuses: CheckStatus[]; stalled: string | undefined; statistics: Statistics }

/** The endpoint on loopback, with everything it tells of in the test's hands. It stops with the test. */
export async function startEndpoint(
  t: TestContext,
  given: z.input<typeof metricsConfig> = {},
  needs: Partial<MonitorEndpointNeeds> = {},
): Promise<{ endpoint: ServerPart; url: string; prober: ProberInHand; page(accept?: string): Promise<string> }> {
  const prober: ProberInHand = {
    statuses: [],
    stalled: undefined,
    statistics: createStatistics({ running: 0, waiting: 0 }),
  }
  const config = metricsConfig.parse({ host: '127.0.0.1', port: 0, hostMetrics: { enabled: false }, ...given })
  const endpoint = createMonitorEndpoint(config, {
    heartbeats: { take() {} },
    prober: {
      statuses: () => prober.statuses,
      status: (name) => prober.statuses.find(({ check }) => check.name === name),
      stall: () => prober.stalled,
      get statistics() {
        return prober.statistics
      },
    },
    isLeader: () => true,
    readiness: [],
    version: '1.2.3',
    clock: systemClock,
    log: pino({ level: 'silent' }),
    ...needs,
  })
  await endpoint.start(new AbortController().signal)
  t.after(() => endpoint.stop(performance.now() + 1_000))
  const url = `${config.tls ? 'https' : 'http'}://127.0.0.1:${endpoint.port()}`
  const page = async (accept = 'text/plain') => (await fetch(`${url}/metrics`, { headers: { accept } })).text()
  return { endpoint, url, prober, page }
}
