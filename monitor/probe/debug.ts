import { stringify } from 'yaml'
import { shownConfig } from '../../shared/config/shown.ts'
import { formatDuration } from '../../shared/fields.ts'
import type { PastProbe } from './history.ts'
import type { ProbeModule } from './modules/index.ts'
import { probers } from './probers/index.ts'

/** A module as it would be written in the configuration, with every default, and `<secret>` in place of secrets. */
export function shownModule({ prober, timeout, settings }: ProbeModule): Record<string, unknown> {
  return {
    prober,
    ...(timeout !== undefined && { timeout: formatDuration(timeout) }),
    [prober]: shownConfig(probers[prober].settings, settings),
  }
}

/** All that is known of a probe, in the form in which blackbox_exporter answers `debug=true` (`DebugOutput` of prober/handler.go). */
export function debugText({ log, series, module }: PastProbe): string {
  const configuration = stringify(shownModule(module), { lineWidth: 0 })
  return `Logs for the probe:\n${log}\n\n\nMetrics that would have been returned:\n${series}\n\n\nModule configuration:\n${configuration}`
}
