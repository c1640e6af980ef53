import type { ChangeBuffer } from './buffer.ts'
import { controls } from './commands.ts'
import type { TrackedModel } from './model.ts'
import { type BirthMetric, encodeBirth, encodeData, type Head } from './payload.ts'
import type { Publisher } from './publisher.ts'
import { carriedIndexOf, type Owner } from './tracked-metric.ts'

type Session = { bdSeq: number; hasNextServer: boolean }

/** What `createBirths` returns. */
export type Births = ReturnType<typeof createBirths>

/** The births and deaths of one connection. Each method returns whether all messages could be handed over. */
export function createBirths({ model, buffer }: { model: TrackedModel; buffer: ChangeBuffer }, publisher: Publisher, session: Session) {
  function markBorn(owner: Owner): true {
    owner.bornAt = buffer.end
    for (const metric of owner.metrics.values()) metric.carriedIndex = carriedIndexOf(metric)
    return true
  }

  /** The DBIRTH of one device. */
  function device(owner: Owner): boolean {
    return publisher.publishDevice('DBIRTH', owner.id as string, (head) => deviceBirth(owner, head)) && markBorn(owner)
  }

  return {
    device,
    /** NBIRTH, and right behind it the DBIRTH of every device [tck-id-payloads-dbirth-order]. A rebirth is the same. */
    all(): boolean {
      const { node, devices } = model
      if (!publisher.publishNode('NBIRTH', (head) => nodeBirth(node, session, head))) return false
      markBorn(node)
      return devices.values().every(device)
    },
    /** The DDEATH of a device. */
    death: ({ id }: Owner): boolean => publisher.publishDevice('DDEATH', id as string, (head) => encodeData([], head)),
    /** The connection has ended: neither the node nor a device is born any more. */
    end(): void {
      for (const owner of [model.node, ...model.devices.values()]) owner.bornAt = undefined
    },
  }
}

/** The payload of an NDEATH: bdSeq alone, and no seq [tck-id-topics-ndeath-payload] [tck-id-topics-ndeath-seq]. */
export function nodeDeath(bdSeq: number, timestamp: number): Buffer {
  return encodeBirth([{ name: 'bdSeq', datatype: 'Int64', value: bdSeq, timestamp }], { timestamp })
}

/** The payload of an NBIRTH. `Next Server` is listed only if there is another server. */
function nodeBirth(node: Owner, { bdSeq, hasNextServer }: Session, head: Head): Buffer {
  const metrics = oldestFirst(node)
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

function deviceBirth(device: Owner, head: Head): Buffer {
  const metrics = oldestFirst(device)
  return encodeBirth([control(controls.deviceRebirth, firstTime(metrics, head)), ...metrics], head)
}

/** Listed with the value false and without an alias [tck-id-operational-behavior-data-commands-rebirth-name-aliases]. */
function control(name: string, timestamp: number): BirthMetric {
  return { name, datatype: 'Boolean', value: false, timestamp }
}

/** The order that the specification asks of live metrics [tck-id-operational-behavior-data-publish-nbirth-order]. */
function oldestFirst(owner: Owner): readonly BirthMetric[] {
  return [...owner.metrics.values()].sort((a, b) => a.timestamp - b.timestamp)
}

/**
 * The controls have no alias, so they come first. No metric may be newer than the one that follows it, so the controls have the oldest time
 * of the birth: they have been false for at least that long, and nothing reads the time of bdSeq.
 */
function firstTime(metrics: readonly BirthMetric[], { timestamp }: Head): number {
  return metrics[0]?.timestamp ?? timestamp
}
