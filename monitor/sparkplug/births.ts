import { type BirthParts, type FittedBirth, fitBirth } from './birth-fit.ts'
import { controls } from './commands.ts'
import { type BirthMetric, type Encode, encodeBirth, encodeData, type Head } from './payload.ts'
import type { Publisher } from './publisher.ts'
import type { EndSession, SessionContext } from './session-context.ts'
import { carriedIndexOf, type Owner } from './tracked-metric.ts'

type Session = { bdSeq: number; hasNextServer: boolean; end: EndSession }
type BirthContext = Pick<SessionContext, 'model' | 'buffer' | 'counters' | 'packets' | 'log'>

/** What `createBirths` returns. */
export type Births = ReturnType<typeof createBirths>

/**
 * The births and deaths of one connection. Each method returns whether all messages could be handed over. A birth that is larger than the
 * server takes leaves something out and says so; a device whose smallest birth is too large is not born, and silences nobody else.
 */
export function createBirths({ model, buffer, counters, packets, log }: BirthContext, publisher: Publisher, session: Session) {
  /** The owners whose birth is reduced, or did not fit at all. */
  const reduced = new Map<Owner, string>()
  /** The devices whose death was published. They are not born again, also if some of their changes are not proven to be read. */
  const buried = new Set<Owner>()

  function markBorn(owner: Owner, leftOut: ReadonlySet<string>): true {
    owner.bornAt = buffer.end
    owner.leftOut = leftOut
    for (const metric of owner.metrics.values()) metric.carriedIndex = leftOut.has(metric.name) ? -1 : carriedIndexOf(metric)
    return true
  }

  /** Says once what a birth had to leave out. @param bytes size of the packet with everything */
  function note(owner: Owner, said: string | undefined, bytes: number): void {
    const isNews = said !== undefined && reduced.get(owner) !== said
    if (said === undefined) reduced.delete(owner)
    else reduced.set(owner, said)
    counters.reducedBirths = reduced.size
    if (!isNews) return
    const { bytes: limitBytes, source: limitFrom } = packets.limit
    log.warn(
      { device: owner.id, bytes, limitBytes, limitFrom, leftOut: said },
      'a birth is larger than the server takes: it leaves something out',
    )
  }

  /** Publishes the birth of one owner, as much of it as the server takes. */
  function bear(owner: Owner, parts: (head: Head) => BirthParts, publish: (encode: Encode) => boolean): 'born' | 'unsent' | 'too-large' {
    let fitted: FittedBirth | 'too-large' | undefined
    const isSent = publish((head, room) => {
      const birth = fitBirth(parts(head), head, room)
      fitted = birth ?? 'too-large'
      if (birth !== undefined) note(owner, birth.said, birth.wholeBytes + packets.limit.bytes - room)
      return birth?.payload
    })
    if (isSent && typeof fitted === 'object') markBorn(owner, fitted.leftOut)
    return isSent ? 'born' : fitted === 'too-large' ? 'too-large' : 'unsent'
  }

  /** The DBIRTH of one device. */
  function device(owner: Owner): boolean {
    const id = owner.id as string
    const result = bear(
      owner,
      (head) => deviceBirth(owner, head),
      (encode) => publisher.publishDevice('DBIRTH', id, encode),
    )
    if (result === 'too-large') {
      owner.bornAt = undefined
      if (reduced.get(owner) !== 'all') log.error({ device: id, ...packets.limit }, `even its smallest DBIRTH is too large: ${remedy}`)
      reduced.set(owner, 'all')
      counters.reducedBirths = reduced.size
    }
    return result !== 'unsent'
  }

  return {
    device,
    /**
     * NBIRTH, and right behind it the DBIRTH of every device [tck-id-payloads-dbirth-order], also of those that are gone and have history
     * to be sent. A rebirth is the same.
     */
    all(): boolean {
      const { node, devices, departed } = model
      const result = bear(
        node,
        (head) => nodeBirth(node, session, head),
        (encode) => publisher.publishNode('NBIRTH', encode),
      )
      if (result === 'too-large') {
        log.error(packets.limit, `even the smallest NBIRTH is larger than the server takes: ${remedy}`)
        session.end('refused', `even the smallest NBIRTH is larger than the ${packets.limit.bytes} bytes that the server takes: ${remedy}`)
      }
      const gone = departed.all().filter((owner) => !buried.has(owner))
      return result === 'born' && [...devices.values(), ...gone].every(device)
    },
    /** The DDEATH of a device: nothing of it is sent after that. */
    death(owner: Owner): boolean {
      owner.bornAt = undefined
      buried.add(owner)
      reduced.delete(owner)
      counters.reducedBirths = reduced.size
      return publisher.publishDevice('DDEATH', owner.id as string, (head) => encodeData([], head))
    },
    /** The connection has ended: neither the node nor a device is born any more. */
    end(): void {
      counters.reducedBirths = 0
      for (const owner of [model.node, ...model.devices.values(), ...model.departed.all()]) owner.bornAt = undefined
    },
  }
}

const remedy = 'raise its limit, or shorten the ids of the group, the node and the device'

/** The payload of an NDEATH: bdSeq alone, and no seq [tck-id-topics-ndeath-payload] [tck-id-topics-ndeath-seq]. */
export function nodeDeath(bdSeq: number, timestamp: number): Buffer {
  return encodeBirth([{ name: 'bdSeq', datatype: 'Int64', value: bdSeq, timestamp }], { timestamp })
}

/** The parts of an NBIRTH. `Next Server` is listed only if there is another server. */
function nodeBirth(node: Owner, { bdSeq, hasNextServer }: Session, head: Head): BirthParts {
  const metrics = [...node.metrics.values()]
  const timestamp = firstTime(metrics, head)
  const controlled = hasNextServer ? [controls.rebirth, controls.nextServer] : [controls.rebirth]
  return {
    controls: [{ name: 'bdSeq', datatype: 'Int64', value: bdSeq, timestamp }, ...controlled.map((name) => control(name, timestamp))],
    metrics,
  }
}

function deviceBirth(device: Owner, head: Head): BirthParts {
  const metrics = [...device.metrics.values()]
  return { controls: [control(controls.deviceRebirth, firstTime(metrics, head))], metrics }
}

/** Listed with the value false and without an alias [tck-id-operational-behavior-data-commands-rebirth-name-aliases]. */
function control(name: string, timestamp: number): BirthMetric {
  return { name, datatype: 'Boolean', value: false, timestamp }
}

/**
 * The controls have no alias, so they come first. No metric may be newer than the one that follows it, so the controls have the oldest time
 * of the birth: they have been false for at least that long, and nothing reads the time of bdSeq.
 */
function firstTime(metrics: readonly BirthMetric[], { timestamp }: Head): number {
  return metrics.length === 0 ? timestamp : metrics.reduce((oldest, each) => Math.min(oldest, each.timestamp), Number.POSITIVE_INFINITY)
}
