import type { EndedBy } from './connection.ts'

/** Where a limit comes from: the configuration, the server's CONNACK, or connections that the server closed. */
export type LimitSource = 'configured' | 'announced' | 'learned'

/** The largest packet for a server, in bytes. Infinity while no limit is known. */
export type Limit = { bytes: number; source: LimitSource | undefined }

/** A limit that was learned: it is below `packetBytes`, the packet upon which the server closed the connection. */
export type Lesson = { limitBytes: number; packetBytes: number }

/** Whatever closes connections upon packets as small as this, their size is not the reason. */
const leastBytes = 512

/**
 * How many connections in a row the server must close before a limit is learned: when a packet was larger than any before, and when it was
 * not. The second is for a server whose limit was lowered.
 */
const closings = { larger: 2, usual: 4 }

/**
 * The largest packet that one server takes. Only MQTT 5 has a way to tell it: a server of 3.1.1 closes the connection when a packet is too
 * large, without a word, and the same births would meet the same end for ever.
 *
 * So the sizes of the packets are compared with the proof that the server has read them. A connection that the server closes while births
 * have not been read is suspicious: the next one may end the same way. Servers close connections for other reasons too, so one closing is
 * not enough. After several in a row, packets stay below half of the largest one that was not read, but not below what the server has
 * taken. A limit that was learned stays for the life of the process.
 */
export class PacketLimit {
  readonly #configured: number | undefined
  #announced: number | undefined
  #learned: number | undefined
  /** The largest packet that the server is known to have read. */
  #passed = 0
  /** The largest packet before the last PINGREQ, and behind it; 0 when there is none. */
  #asked = 0
  #since = 0
  /** The server has read something on this connection. */
  #isProven = false
  #closings = 0

  /** @param configured the limit of the configuration, in bytes */
  constructor(configured?: number | undefined) {
    this.#configured = configured
  }

  /** A connection begins. @param announced the limit in its CONNACK */
  open(announced: number | undefined): void {
    this.#announced = announced
    this.#asked = 0
    this.#since = 0
    this.#isProven = false
  }

  get limit(): Limit {
    const known = (['configured', 'announced', 'learned'] as const).map((source) => ({ source, bytes: this.#bytesOf(source) }))
    return known.reduce<Limit>((least, each) => (each.bytes < least.bytes ? each : least), {
      bytes: Number.POSITIVE_INFINITY,
      source: undefined,
    })
  }

  #bytesOf(source: LimitSource): number {
    const bytes = source === 'configured' ? this.#configured : source === 'announced' ? this.#announced : this.#learned
    return bytes ?? Number.POSITIVE_INFINITY
  }

  /** A packet was handed to the socket. */
  sent(bytes: number): void {
    this.#since = Math.max(this.#since, bytes)
  }

  /** A packet is larger than any that the server is known to have read: proof is wanted soon. */
  get isWondering(): boolean {
    return this.#since > this.#passed
  }

  /** A PINGREQ is sent. @returns a function to call with its answer: then the server has read all that was sent before */
  ask(): () => void {
    this.#asked = Math.max(this.#asked, this.#since)
    this.#since = 0
    return () => {
      if (this.#asked === 0) return
      this.#passed = Math.max(this.#passed, this.#asked)
      this.#asked = 0
      this.#isProven = true
      this.#closings = 0
    }
  }

  /** The connection has ended. @returns the limit that was learned from that, if any */
  closed(by: EndedBy | undefined): Lesson | undefined {
    const packetBytes = Math.max(this.#asked, this.#since)
    const isLarger = packetBytes > this.#passed
    if (by === 'node' || by === 'other-client' || packetBytes <= leastBytes || (!isLarger && this.#isProven)) return undefined
    this.#closings++
    if (by !== 'too-large' && this.#closings < (isLarger ? closings.larger : closings.usual)) return undefined
    if (!isLarger) this.#passed = 0
    // The next closing in a row teaches again.
    this.#closings = closings.larger - 1
    const limitBytes = Math.max(leastBytes, this.#passed, Math.floor(packetBytes / 2))
    this.#learned = Math.min(limitBytes, this.#learned ?? limitBytes)
    return { limitBytes: this.#learned, packetBytes }
  }
}
