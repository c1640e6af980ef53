import { controls } from './commands.ts'
import type { TrackedModel } from './model.ts'
import { type BirthMetric, encodeBirth, encodeData, type Head } from './payload.ts'
import type { Publisher } from './publisher.ts'
import { carriedIndexOf, type Owner } from './tracked-metric.ts'

/** The births and deaths of one connection. Each method returns false when a message could not be handed over. */
export class Births {
  readonly #model: TrackedModel
  readonly #publisher: Publisher
  readonly #given: { bdSeq: number; hasNextServer: boolean }
  /** Where the buffer ends now. */
  readonly #endOfBuffer: () => number

  constructor(model: TrackedModel, publisher: Publisher, given: { bdSeq: number; hasNextServer: boolean; endOfBuffer: () => number }) {
    this.#model = model
    this.#publisher = publisher
    this.#given = given
    this.#endOfBuffer = given.endOfBuffer
  }

  /** NBIRTH, and right behind it the DBIRTH of every device [tck-id-payloads-dbirth-order]. A rebirth is the same. */
  all(): boolean {
    const { node, devices } = this.#model
    if (!this.#publisher.publishNode('NBIRTH', (head) => nodeBirth(node, this.#given, head))) return false
    this.#markBorn(node)
    for (const device of devices.values()) if (!this.device(device)) return false
    return true
  }

  /** The DBIRTH of one device. */
  device(device: Owner): boolean {
    if (!this.#publisher.publishDevice('DBIRTH', device.id as string, (head) => deviceBirth(device, head))) return false
    this.#markBorn(device)
    return true
  }

  /** The DDEATH of a device. */
  death(device: Owner): boolean {
    return this.#publisher.publishDevice('DDEATH', device.id as string, (head) => encodeData([], head))
  }

  /** The connection has ended: nobody is born any more. */
  end(): void {
    for (const owner of [this.#model.node, ...this.#model.devices.values()]) owner.bornAt = undefined
  }

  #markBorn(owner: Owner): void {
    owner.bornAt = this.#endOfBuffer()
    for (const metric of owner.metrics.values()) metric.carriedIndex = carriedIndexOf(metric)
  }
}

/** The payload of an NDEATH: bdSeq alone, and no seq [tck-id-topics-ndeath-payload] [tck-id-topics-ndeath-seq]. */
export function nodeDeath(bdSeq: number, timestamp: number): Buffer {
  return encodeBirth([{ name: 'bdSeq', datatype: 'Int64', value: bdSeq, timestamp }], { timestamp })
}

/** The payload of an NBIRTH. `Next Server` is listed only if there is another server. */
function nodeBirth(node: Owner, { bdSeq, hasNextServer }: { bdSeq: number; hasNextServer: boolean }, head: Head): Buffer {
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
 * The controls have no alias, so they come first. Nothing may be older than what follows it, so they bear the oldest time of the birth:
 * they have been false for at least that long, and nothing reads the time of bdSeq.
 */
function firstTime(metrics: readonly BirthMetric[], { timestamp }: Head): number {
  return metrics[0]?.timestamp ?? timestamp
}
