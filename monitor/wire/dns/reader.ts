import type { DomainNames } from './domain-names.ts'
import { malformed } from './escapes.ts'

/** Reads a part of a message. Every read that would pass the end of the part is a failure `protocol`. */
export class Reader {
  readonly message: Buffer
  readonly names: DomainNames
  readonly end: number
  at: number

  constructor(message: Buffer, names: DomainNames, { at, end }: { at: number; end: number }) {
    this.message = message
    this.names = names
    this.at = at
    this.end = end
  }

  get isAtEnd(): boolean {
    return this.at === this.end
  }

  /** The next bytes, without a copy. */
  bytes(length: number): Buffer {
    if (this.at + length > this.end) throw malformed('a field is longer than its record')
    this.at += length
    return this.message.subarray(this.at - length, this.at)
  }

  /** Everything up to the end. */
  rest(): Buffer {
    return this.bytes(this.end - this.at)
  }

  /** An unsigned number of 1 to 6 bytes. */
  number(length: number): number {
    return this.bytes(length).readUIntBE(0, length)
  }

  /** A domain name as in a zone file, with the final dot. */
  name(): string {
    const { text, after, last } = this.names.at(this.at)
    if (last > this.end) throw malformed('a name points behind its record')
    this.at = after
    return text === '' ? '.' : text
  }
}
