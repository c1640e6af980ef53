import { Registry } from 'prom-client'
import { collectProcessMetrics } from '../../shared/process-metrics.ts'
import type { Prober } from '../prober/check.ts'
import { type Family, familiesOf, family, type Sample } from './exposition.ts'
import { histogram } from './histogram.ts'

/** How the last reload of the configuration of checks went; `at` is a Unix time in milliseconds. */
export type Reload = { ok: boolean; at: number }

/** What the monitor tells of itself. */
export type MonitorSources = {
  version: string
  prober: Pick<Prober, 'numbers' | 'stall'>
  isLeader: () => boolean
  /** Undefined as long as nothing was reloaded. */
  reload?: (() => Reload | undefined) | undefined
}

/** The process, as prom-client knows it, and the monitor's own numbers. */
export function createMonitorFamilies({ version, prober, isLeader, reload }: MonitorSources): () => Promise<Family[]> {
  const registry = new Registry()
  collectProcessMetrics(registry)

  return async () => {
    const { runs, byState, running, waiting, startDelays, actions, skipped, abandoned } = prober.numbers
    const reloaded = reload?.()
    const actionSamples = Object.entries(actions).map(([outcome, count]): Sample => [{ outcome }, count])
    const runSamples = byState && Object.entries(byState).map(([state, count]): Sample => [{ state }, count])
    return [
      ...familiesOf(await registry.metrics()),
      family('gauge', 'skerry_monitor_build_info', 'Always 1; the version that runs.', [[{ version, node: process.version }, 1]]),
      family('gauge', 'skerry_monitor_leader', '1 while this replica is the one that publishes and acts.', isLeader() ? 1 : 0),
      family('counter', 'skerry_monitor_check_runs_total', 'Runs of checks that ended, by what they saw.', runSamples ?? runs),
      family(
        'counter',
        'skerry_monitor_check_runs_skipped_total',
        'Runs that fell out: the one before, or the monitor, took too long.',
        skipped,
      ),
      family('counter', 'skerry_monitor_check_runs_abandoned_total', 'Runs that did not end though they were told to.', abandoned),
      family('gauge', 'skerry_monitor_checks_running', 'Runs of checks under way.', running),
      family('gauge', 'skerry_monitor_checks_waiting', 'Checks that are due and wait for a place to run.', waiting),
      {
        name: 'skerry_monitor_check_start_delay_seconds',
        type: 'histogram',
        help: 'How late runs of checks began.',
        text: histogram('skerry_monitor_check_start_delay_seconds', '', startDelays),
      },
      family(
        'gauge',
        'skerry_monitor_stalled',
        '1 while the results of checks are not to be believed: they are late, or do not end.',
        prober.stall() === undefined ? 0 : 1,
      ),
      family('counter', 'skerry_monitor_actions_total', 'Actions of checks, by what became of them.', actionSamples),
      family(
        'gauge',
        'skerry_monitor_reload_successful',
        '1 if the configuration of checks was valid when it was last read again.',
        reloaded && (reloaded.ok ? 1 : 0),
      ),
      family(
        'gauge',
        'skerry_monitor_reload_timestamp_seconds',
        'When the configuration of checks was last read again.',
        reloaded && reloaded.at / 1000,
      ),
    ]
  }
}
