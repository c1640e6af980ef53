// The states of a watched node. They are certain only while the monitor itself is connected.
//
// | for its check | `Liveness` | means                                                                | its check |
// |---------------|------------|----------------------------------------------------------------------|-----------|
// | unheard       | unknown    | the monitor has no connection, so it can hear no node                | unknown   |
// | unseen        | unknown    | connected for less than the interval, and it was never heard         | degraded  |
// | online        | unknown    | connected for less than the interval, and it was heard before that   | up        |
// | online        | alive      | its last sign of life is within the interval                         | up        |
// | silent        | silent     | no sign of life for one interval; it is asked for a rebirth          | degraded  |
// | offline       | offline    | no sign of life for three intervals; `Alerts/Offline` is true        | down      |
// | dead          | any        | its NDEATH came, and no sign of life since                           | down      |
import type { Clock } from '../../shared/clock.ts'
import type { SparkplugNode } from './sparkplug-node.ts'
import type { NodeAddress } from './topics.ts'
import type { SparkplugMetric } from './tracked-metric.ts'

/** The state of a watched node, by its signs of life alone: see the table at the head of this file. */
export type Liveness = 'unknown' | 'alive' | 'silent' | 'offline'

/** What is known of one watched node. */
export type WatchedState = {
  liveness: Liveness
  address: NodeAddress | undefined
  /** Unix milliseconds of the last sign of life. */
  lastSeen: number | undefined
  /** How long it has been silent, as far as the monitor could hear; undefined while the monitor is not connected. */
  silentMs: number | undefined
  /** Its NDEATH came, from itself or from its server, and no sign of life since. */
  isDead: boolean
  rebirthRequests: number
}

/** After how many intervals without a sign of life a node is offline. */
const offlineAfter = 3

/** One watched node: its address, and when it was last heard. Its owner reports what it hears. */
export class WatchedNode {
  /** `namespace/name` of its resource. */
  readonly key: string
  /** The id of its device on the monitor's edge node. */
  readonly device: string
  spec: SparkplugNode
  /** From its resource or its last birth; undefined while it is unknown. */
  address: NodeAddress | undefined
  /** Unix milliseconds of its last sign of life. */
  lastSeen: number | undefined
  /** A Secret that it uses has changed, and it does not know yet. */
  isReloadDue = false
  readonly #clock: Clock
  readonly #random: () => number
  /** `Alerts/Offline`: undefined until the first sign of life or the third silent interval. */
  #isOffline: boolean | undefined
  /** It was heard on the present connection. */
  #wasHeard = false
  /** The monotonic moment from which silence counts. */
  #since: number
  #isDead = false
  /** The bdSeq of its last birth; undefined while none was heard on the present connection. */
  #bdSeq: number | undefined
  /** The monotonic moment of the next rebirth request. */
  #askAt: number
  #requests = 0

  constructor(
    { key, device }: { key: string; device: string },
    spec: SparkplugNode,
    { clock, random = Math.random }: { clock: Clock; random?: () => number },
  ) {
    this.key = key
    this.device = device
    this.spec = spec
    this.#clock = clock
    this.#random = random
    this.address = spec.address
    this.#since = clock.monotonic()
    this.#askAt = this.#since + this.#patience()
  }

  get isOffline(): boolean {
    return this.#isOffline === true
  }

  /** Only its UUID is given, and a birth may show where it is: it was not found yet, or is offline and may have moved. */
  get isSought(): boolean {
    const { address, uuid } = this.spec
    return address === undefined && uuid !== undefined && (this.address === undefined || this.isOffline)
  }

  /** The monitor has a new connection. The time without one does not count as silence, and a birth may have been missed. */
  connected(): void {
    this.#wasHeard = false
    this.#bdSeq = undefined
    this.#listenAgain()
  }

  /** Its NBIRTH came, which is a sign of life. */
  born(bdSeq: number | undefined): void {
    this.#bdSeq = bdSeq
    this.hear()
  }

  /** It gave a sign of life. */
  hear(): void {
    this.#wasHeard = true
    this.#isDead = false
    this.#isOffline = false
    this.lastSeen = this.#clock.now()
    this.#listenAgain()
  }

  /** Its NDEATH came. The will of an earlier session may come late, and says nothing about the present one [tck-id-payloads-ndeath-bdseq]. */
  die(bdSeq: number | undefined): void {
    const isOfAnother = bdSeq !== undefined && this.#bdSeq !== undefined && bdSeq !== this.#bdSeq
    if (!isOfAnother) this.#isDead = true
  }

  /** It is silent, and a request for a rebirth is due. */
  get isRebirthDue(): boolean {
    return this.#clock.monotonic() >= this.#askAt
  }

  /** The request was made, or could not be sent: the next one is due in an interval. */
  rebirthRequested(wasSent: boolean): void {
    this.#askAt = this.#clock.monotonic() + this.#patience()
    if (wasSent) this.#requests++
  }

  /** Checks the clock. @returns whether it has just become offline */
  turnOffline(): boolean {
    if (this.isOffline || this.#silentMs() < offlineAfter * this.spec.intervalMs) return false
    this.#isOffline = true
    return true
  }

  state(isConnected: boolean): WatchedState {
    const silentMs = isConnected ? this.#silentMs() : undefined
    return {
      liveness: this.#liveness(silentMs),
      address: this.address,
      lastSeen: this.lastSeen,
      silentMs,
      isDead: this.#isDead,
      rebirthRequests: this.#requests,
    }
  }

  /** The metrics of its device. */
  metrics(): SparkplugMetric[] {
    const { intervalMs } = this.spec
    const address = this.address && addressKey(this.address)
    return [
      {
        name: 'Alerts/Offline',
        datatype: 'Boolean',
        value: this.#isOffline ?? null,
        description: 'It gave no sign of life for three intervals',
      },
      {
        name: 'Last Seen',
        datatype: 'DateTime',
        value: this.lastSeen ?? null,
        // Otherwise every message of the node would lead to a message of ours.
        deadband: intervalMs,
        class: 'lastSeen',
        goesWith: ['Alerts/Offline'],
        description: 'Time of its last sign of life',
      },
      { name: 'Rebirth Requests', datatype: 'Int32', value: this.#requests, description: 'Number of rebirths requested of it' },
      { name: 'Address', datatype: 'String', value: address ?? null, description: 'Its group and node id' },
      { name: 'Interval', datatype: 'Int32', value: Math.round(intervalMs / 1000), unit: 's', description: 'How long it may be silent' },
    ]
  }

  #liveness(silentMs: number | undefined): Liveness {
    if (silentMs === undefined) return 'unknown'
    if (this.#isOffline) return 'offline'
    if (silentMs >= this.spec.intervalMs) return 'silent'
    return this.#wasHeard ? 'alive' : 'unknown'
  }

  #silentMs(): number {
    return this.#clock.monotonic() - this.#since
  }

  #listenAgain(): void {
    this.#since = this.#clock.monotonic()
    this.#askAt = this.#since + this.#patience()
  }

  /**
   * Requests are spread over half an interval, so that a hundred nodes whose link broke together are not all asked, and do not all answer,
   * in the same moment.
   */
  #patience(): number {
    return this.spec.intervalMs * (1 + this.#random() / 2)
  }
}

/** An address as one text. */
export function addressKey({ group, node }: NodeAddress): string {
  return `${group}/${node}`
}
