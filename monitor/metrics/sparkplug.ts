import { type Family, family } from '../../shared/prometheus.ts'
import type { SparkplugCounters } from '../sparkplug/counters.ts'

/** What the edge node counts. Without one, there is nothing to tell. */
export function sparkplugFamilies(counters: SparkplugCounters | undefined): Family[] {
  if (counters === undefined) return []
  const { sent, dropped, buffer, server } = counters
  const by = (label: string, counts: Record<string, number>) =>
    Object.entries(counts).map(([name, value]) => [{ [label]: name }, value] as const)
  return [
    family('gauge', 'skerry_sparkplug_connected', '1 while there is a connection to an MQTT server.', counters.isConnected ? 1 : 0),
    family('gauge', 'skerry_sparkplug_online', '1 while births are out and data flows.', counters.isOnline ? 1 : 0),
    family(
      'gauge',
      'skerry_sparkplug_server_info',
      'Always 1; the MQTT server that it is connected to.',
      server === undefined ? [] : [[{ server }, 1]],
    ),
    family('counter', 'skerry_sparkplug_messages_sent_total', 'Messages sent, by type.', by('type', sent)),
    family('counter', 'skerry_sparkplug_commands_total', 'Commands that were acted upon.', counters.commands),
    family(
      'counter',
      'skerry_sparkplug_messages_dropped_total',
      'What came from outside and was not acted upon, by reason.',
      by('reason', dropped),
    ),
    family('counter', 'skerry_sparkplug_reconnects_total', 'Connections after the first one that were tried.', counters.reconnects),
    family('counter', 'skerry_sparkplug_rebirths_total', 'Births that were sent anew in a session.', counters.rebirths),
    family('gauge', 'skerry_sparkplug_buffer_changes', 'Changes kept: not sent, or not proven to have been read.', buffer.length),
    family('counter', 'skerry_sparkplug_buffer_dropped_total', 'Changes lost because the buffer was full.', buffer.dropped),
    family(
      'counter',
      'skerry_sparkplug_buffer_unborn_total',
      'Changes of metrics that no longer existed when they could be sent.',
      buffer.unborn,
    ),
    family('counter', 'skerry_sparkplug_buffer_historical_total', 'Changes sent as historical data.', buffer.historical),
    family(
      'counter',
      'skerry_sparkplug_refused_samples_total',
      'Samples that did not fit the type of their metric, or named none.',
      counters.refusedSamples,
    ),
  ]
}
