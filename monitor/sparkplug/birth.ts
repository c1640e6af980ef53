import type { BirthMetric } from './birth-writer.ts'
import { controls } from './commands.ts'
import { definitionOf, type Owner } from './model.ts'
import { encodeBirth, encodeDefinition } from './payload.ts'

const definitions = {
  bdSeq: encodeDefinition({ name: 'bdSeq', datatype: 'Int64' }),
  // Listed with the value false and without an alias [tck-id-operational-behavior-data-commands-rebirth-name-aliases].
  rebirth: encodeDefinition({ name: controls.rebirth, datatype: 'Boolean' }),
  nextServer: encodeDefinition({ name: controls.nextServer, datatype: 'Boolean' }),
  deviceRebirth: encodeDefinition({ name: controls.deviceRebirth, datatype: 'Boolean' }),
}

/** The time of sending, and the number that is due. */
type Head = { timestamp: number; seq: number }

/** The payload of an NBIRTH. The controls are listed only if they work: `Next Server` if there is another one. */
export function encodeNodeBirth(node: Owner, { bdSeq, hasNextServer }: { bdSeq: number; hasNextServer: boolean }, head: Head): Buffer {
  const metrics = metricsOf(node)
  const timestamp = firstTime(metrics, head)
  return encodeBirth(
    [
      { definition: definitions.bdSeq, datatype: 'Int64', value: bdSeq, timestamp },
      { definition: definitions.rebirth, datatype: 'Boolean', value: false, timestamp },
      ...(hasNextServer ? [{ definition: definitions.nextServer, datatype: 'Boolean' as const, value: false, timestamp }] : []),
      ...metrics,
    ],
    head,
  )
}

/** The payload of a DBIRTH. */
export function encodeDeviceBirth(device: Owner, head: Head): Buffer {
  const metrics = metricsOf(device)
  const timestamp = firstTime(metrics, head)
  return encodeBirth([{ definition: definitions.deviceRebirth, datatype: 'Boolean', value: false, timestamp }, ...metrics], head)
}

/** The payload of an NDEATH: bdSeq alone, and no seq [tck-id-topics-ndeath-payload] [tck-id-topics-ndeath-seq]. */
export function encodeNodeDeath(bdSeq: number, timestamp: number): Buffer {
  return encodeBirth([{ definition: definitions.bdSeq, datatype: 'Int64', value: bdSeq, timestamp }], { timestamp })
}

/** Oldest first, as metrics that are no history must stand [tck-id-operational-behavior-data-publish-nbirth-order]. */
function metricsOf(owner: Owner): BirthMetric[] {
  const metrics: BirthMetric[] = []
  let isSorted = true
  let last = 0
  for (const metric of owner.metrics.values()) {
    const { datatype, value, timestamp } = metric
    metrics.push({ definition: definitionOf(metric), datatype, value, timestamp })
    if (timestamp < last) isSorted = false
    last = timestamp
  }
  return isSorted ? metrics : metrics.sort((a, b) => a.timestamp - b.timestamp)
}

/**
 * The controls have no alias, so they come first, and since nothing may be older than what stands behind it they bear the oldest time
 * in the birth. They have been false for at least that long; nothing reads the time of bdSeq.
 */
function firstTime(metrics: readonly BirthMetric[], { timestamp }: Head): number {
  return metrics[0]?.timestamp ?? timestamp
}
