import { type Family, family } from '../../shared/prometheus.ts'
import type { Prober } from '../prober/check.ts'
import { histogram } from './histogram.ts'

/** Whether the last reload of the checks succeeded; `at` is a Unix time in milliseconds. */
export type Reload = { ok: boolean; at: number }

/** What the monitor's own families are read from. */
type MonitorSources = {
  version: string
  prober: Pick<Prober, 'statistics' | 'stall'>
  isLeader: () => boolean
  /** Whether this replica sees that no replica leads. */
  isLeaderless?: (() => boolean) | undefined
  /** Undefined until something was reloaded. */
  reload?: (() => Reload | undefined) | undefined
}

const delaySamples = histogram('skerry_monitor_check_start_delay_seconds')

/** The monitor's own families. */
export function monitorFamilies({ version, prober, isLeader, isLeaderless, reload }: MonitorSources): Family[] {
  const gauge = (name: string, help: string, value: Parameters<typeof family>[3]) => family('gauge', `skerry_monitor_${name}`, help, value)
  const counter = (name: string, help: string, value: Parameters<typeof family>[3]) =>
    family('counter', `skerry_monitor_${name}_total`, help, value)
  const by = (label: string, counts: Record<string, number>) =>
    Object.entries(counts).map(([name, count]) => [{ [label]: name }, count] as const)
  const { runs, running, waiting, startDelays, actions, skipped, abandoned } = prober.statistics
  const reloaded = reload?.()
  return [
    gauge('build_info', 'Always 1; the version that runs.', [[{ version, node: process.version }, 1]]),
    gauge('leader', '1 while this replica publishes and takes actions.', isLeader() ? 1 : 0),
    gauge('leaderless', '1 while no replica publishes, as this one sees it: the Lease is not renewed.', isLeaderless?.() ? 1 : 0),
    counter('check_runs', 'Runs of checks that ended, by their result.', by('state', runs)),
    counter('check_runs_skipped', 'Runs that were skipped because the run before, or the monitor itself, took too long.', skipped),
    counter('check_runs_abandoned', 'Runs that did not end after they were aborted.', abandoned),
    gauge('checks_running', 'Runs of checks under way.', running),
    gauge('checks_waiting', 'Checks that are due and wait for a slot.', waiting),
    {
      name: 'skerry_monitor_check_start_delay_seconds',
      type: 'histogram',
      help: 'How late runs of checks began.',
      values: delaySamples(startDelays),
    },
    gauge('stalled', '1 while the results of checks are stale: runs are late or do not end.', prober.stall() === undefined ? 0 : 1),
    counter('actions', 'Actions of checks, by their outcome.', by('outcome', actions)),
    gauge('reload_successful', '1 if the configuration of checks was valid when it was last read.', reloaded && (reloaded.ok ? 1 : 0)),
    gauge('reload_timestamp_seconds', 'When the configuration of checks was last read.', reloaded && reloaded.at / 1000),
  ]
}
