import { escapedByte, malformed } from './escapes.ts'

/** A name at some place of a message. */
type DomainName = {
  /** As in a zone file, with the final dot; empty for the root. */
  text: string
  /** Bytes without compression, without the root's. */
  bytes: number
  pointers: number
  /** Where the bytes of the name end at this place. */
  after: number
  /** The highest end of any part of the name. */
  last: number
}

/** A name has at most 255 bytes on the wire, the root's among them (RFC 1035, section 2.3.4). */
const maxBytes = 254
/** No name of that length needs more pointers. */
const maxPointers = 126

/**
 * The names of one message. Names share their ends by pointers (RFC 1035, section 4.1.4), so each place is read once: a small answer can
 * point a thousand times to a long name.
 */
export class DomainNames {
  readonly #message: Buffer
  readonly #known = new Map<number, DomainName | 'unfinished'>()

  constructor(message: Buffer) {
    this.#message = message
  }

  /** The name at a place. @throws CheckFailure `protocol` */
  at(place: number): DomainName {
    const known = this.#known.get(place)
    if (known === 'unfinished') throw malformed('a name points in a circle')
    if (known !== undefined) return known
    this.#known.set(place, 'unfinished')
    const name = this.#read(place)
    this.#known.set(place, name)
    return name
  }

  #read(place: number): DomainName {
    const length = this.#byte(place)
    const after = place + 1
    if (length === 0) return { text: '', bytes: 0, pointers: 0, after, last: after }
    if (length >= 192) {
      const target = this.at(((length & 63) << 8) | this.#byte(after))
      if (target.pointers >= maxPointers) throw malformed('a name has too many pointers')
      return { ...target, pointers: target.pointers + 1, after: after + 1, last: Math.max(after + 1, target.last) }
    }
    if (length >= 64) throw malformed('a name has a label of an unknown kind')
    const end = after + length
    if (end > this.#message.length) throw malformed('a name is longer than the message')
    const rest = this.at(end)
    const bytes = rest.bytes + length + 1
    if (bytes > maxBytes) throw malformed('a name is longer than 255 bytes')
    let text = ''
    for (let index = after; index < end; index++) text += escapedByte(this.#message[index] as number, `. '@;()"\\`)
    return { ...rest, text: `${text}.${rest.text}`, bytes }
  }

  #byte(place: number): number {
    const byte = this.#message[place]
    if (byte === undefined) throw malformed('a name is longer than the message')
    return byte
  }
}
