import { controls } from './commands.ts'
import type { Owner } from './model.ts'
import { type BirthMetric, encodeBirth, type Head } from './payload.ts'

/** The payload of an NBIRTH. `Next Server` is listed only if there is another server. */
export function encodeNodeBirth(node: Owner, { bdSeq, hasNextServer }: { bdSeq: number; hasNextServer: boolean }, head: Head): Buffer {
  const metrics = metricsOf(node)
  const timestamp = firstTime(metrics, head)
  return encodeBirth(
    [
      { name: 'bdSeq', datatype: 'Int64', value: bdSeq, timestamp },
      control(controls.rebirth, timestamp),
      ...(hasNextServer ? [control(controls.nextServer, timestamp)] : []),
      ...metrics,
    ],
    head,
  )
}

/** The payload of a DBIRTH. */
export function encodeDeviceBirth(device: Owner, head: Head): Buffer {
  const metrics = metricsOf(device)
  return encodeBirth([control(controls.deviceRebirth, firstTime(metrics, head)), ...metrics], head)
}

/** The payload of an NDEATH: bdSeq alone, and no seq [tck-id-topics-ndeath-payload] [tck-id-topics-ndeath-seq]. */
export function encodeNodeDeath(bdSeq: number, timestamp: number): Buffer {
  return encodeBirth([{ name: 'bdSeq', datatype: 'Int64', value: bdSeq, timestamp }], { timestamp })
}

/** Listed with the value false and without an alias [tck-id-operational-behavior-data-commands-rebirth-name-aliases]. */
function control(name: string, timestamp: number): BirthMetric {
  return { name, datatype: 'Boolean', value: false, timestamp }
}

/** Oldest first: the order that the specification asks of live metrics [tck-id-operational-behavior-data-publish-nbirth-order]. */
function metricsOf(owner: Owner): readonly BirthMetric[] {
  return [...owner.metrics.values()].sort((a, b) => a.timestamp - b.timestamp)
}

/**
 * The controls have no alias, so they come first. Nothing may be older than what follows it, so they bear the oldest time of the birth:
 * they have been false for at least that long, and nothing reads the time of bdSeq.
 */
function firstTime(metrics: readonly BirthMetric[], { timestamp }: Head): number {
  return metrics[0]?.timestamp ?? timestamp
}
