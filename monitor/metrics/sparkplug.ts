import { type Family, family, type Sample } from '../../shared/prometheus.ts'
import { type SparkplugCounters, sizeBuckets } from '../sparkplug/counters.ts'

/** The families of the edge node; none without one. */
export function sparkplugFamilies(counters: SparkplugCounters | undefined): Family[] {
  if (counters === undefined) return []
  const { sent, dropped, buffer, server } = counters
  const by = (label: string, counts: Record<string, number>) =>
    Object.entries(counts).map(([name, value]) => [{ [label]: name }, value] as const)
  return [
    family('gauge', 'skerry_sparkplug_connected', '1 while there is a connection to an MQTT server.', counters.isConnected ? 1 : 0),
    family('gauge', 'skerry_sparkplug_online', '1 while births have been sent and data flows.', counters.isOnline ? 1 : 0),
    family(
      'gauge',
      'skerry_sparkplug_server_info',
      'Always 1; the MQTT server of the connection.',
      server === undefined ? [] : [[{ server }, 1]],
    ),
    family(
      'gauge',
      'skerry_sparkplug_keep_alive_seconds',
      'Keep-alive of the connection: the configured one, or that of the server.',
      counters.keepAliveSeconds,
    ),
    family(
      'gauge',
      'skerry_sparkplug_packet_limit_bytes',
      'Largest packet for the present server: configured, announced by it, or learned. Absent without a limit.',
      counters.packetLimitBytes,
    ),
    birthSizes(counters),
    family(
      'gauge',
      'skerry_sparkplug_reduced_births',
      'Births, of the node and of devices, that leave something out because of that limit.',
      counters.reducedBirths,
    ),
    family(
      'gauge',
      'skerry_sparkplug_storage_failing',
      '1 while bdSeq or buffered changes cannot be written to disk; readyz says why.',
      counters.storageTrouble === undefined ? 0 : 1,
    ),
    family('counter', 'skerry_sparkplug_messages_sent_total', 'Messages sent, by type.', by('type', sent)),
    family('counter', 'skerry_sparkplug_commands_total', 'Commands that were executed.', counters.commands),
    family('counter', 'skerry_sparkplug_messages_dropped_total', 'Received messages that were ignored, by reason.', by('reason', dropped)),
    family('counter', 'skerry_sparkplug_reconnects_total', 'Attempts to connect after the first connection.', counters.reconnects),
    family('counter', 'skerry_sparkplug_rebirths_total', 'Births that were sent again in a session.', counters.rebirths),
    family('gauge', 'skerry_sparkplug_buffer_changes', 'Changes in the buffer: not sent, or not confirmed as read.', buffer.length),
    family('counter', 'skerry_sparkplug_buffer_dropped_total', 'Changes lost because the buffer was full.', buffer.dropped),
    family(
      'counter',
      'skerry_sparkplug_buffer_unborn_total',
      'Changes that could not be sent because their metric no longer existed.',
      buffer.unborn,
    ),
    family(
      'counter',
      'skerry_sparkplug_buffer_too_large_total',
      'Changes that could not be sent because they are larger than the limit.',
      buffer.tooLarge,
    ),
    family('counter', 'skerry_sparkplug_buffer_historical_total', 'Changes sent as historical data.', buffer.historical),
    family(
      'counter',
      'skerry_sparkplug_refused_samples_total',
      'Samples that did not match the type of their metric, or had no metric.',
      counters.refusedSamples,
    ),
  ]
}

/** Sizes of births, as a histogram for each type. */
function birthSizes({ birthBytes }: SparkplugCounters): Family {
  const name = 'skerry_sparkplug_birth_bytes'
  const values = Object.entries(birthBytes).flatMap(([type, { buckets, sum, count }]): Sample[] => {
    let below = 0
    const counted = buckets.map((inBucket, place) => {
      below += inBucket
      return { metricName: `${name}_bucket`, labels: { type, le: sizeBuckets[place] ?? '+Inf' }, value: below }
    })
    return [
      ...counted,
      { metricName: `${name}_sum`, labels: { type }, value: sum },
      { metricName: `${name}_count`, labels: { type }, value: count },
    ]
  })
  return { name, type: 'histogram', help: 'Sizes of the births that were sent, in bytes with their headers, by type.', values }
}
