import { DomainNames } from './domain-names.ts'
import { malformed } from './escapes.ts'
import { Reader } from './reader.ts'
import { type DnsRecord, recordOf } from './records.ts'

/** What to ask a name server. */
export type DnsQuestion = { id: number; name: string; type: number; class: number; recursionDesired: boolean }

/** A decoded answer. */
export type DnsAnswer = {
  id: number
  isResponse: boolean
  /** The response code, with the upper bits of EDNS if there are any. */
  code: number
  answer: DnsRecord[]
  authority: DnsRecord[]
  additional: DnsRecord[]
}

/** A query (RFC 1035, section 4.1) with one question. @throws RangeError if a label of the name is longer than 63 bytes */
export function queryOf({ id, name, type, class: number, recursionDesired }: DnsQuestion): Buffer {
  const head = Buffer.alloc(12)
  head.writeUInt16BE(id, 0)
  head.writeUInt16BE(recursionDesired ? 0x0100 : 0, 2)
  head.writeUInt16BE(1, 4)
  const labels = name.split('.').filter((label) => label !== '')
  const encoded = labels.flatMap((label) => {
    const bytes = Buffer.from(label)
    if (bytes.length > 63) throw new RangeError(`the label ${label} is longer than 63 bytes`)
    return [Buffer.from([bytes.length]), bytes]
  })
  const tail = Buffer.alloc(5)
  tail.writeUInt16BE(type, 1)
  tail.writeUInt16BE(number, 3)
  return Buffer.concat([head, ...encoded, tail])
}

/**
 * Decodes a message. Counts that promise more records than there are do not matter, as in miekg/dns.
 * @throws CheckFailure `protocol` if the message is malformed
 */
export function answerOf(message: Buffer): DnsAnswer {
  if (message.length < 12) throw malformed('it is shorter than a header')
  const [id, bits, questions, ...counts] = [0, 2, 4, 6, 8, 10].map((offset) => message.readUInt16BE(offset)) as [number, number, number]
  const reader = new Reader(message, new DomainNames(message), { at: 12, end: message.length })
  for (let left = questions; left > 0 && !reader.isAtEnd; left--) {
    reader.name()
    // miekg/dns takes a question that ends after its name, or after its type.
    for (let field = 0; field < 2 && !reader.isAtEnd; field++) reader.number(2)
  }
  const sections = counts.map((count) => section(reader, count))
  const [answer = [], authority = [], additional = []] = sections.map((each) => each.map(({ record }) => record))
  const extended = sections[2]?.find(({ extendedCode }) => extendedCode !== undefined)?.extendedCode ?? 0
  return { id, isResponse: (bits & 0x8000) !== 0, code: (bits & 15) | extended, answer, authority, additional }
}

function section(reader: Reader, count: number): { record: DnsRecord; extendedCode: number | undefined }[] {
  const found: { record: DnsRecord; extendedCode: number | undefined }[] = []
  for (let left = count; left > 0 && !reader.isAtEnd; left--) {
    const name = reader.name()
    const [type, number, ttl, length] = [2, 2, 4, 2].map((bytes) => reader.number(bytes)) as [number, number, number, number]
    const start = reader.at
    reader.bytes(length)
    const record = recordOf(
      { name, type, class: number, ttl },
      new Reader(reader.message, reader.names, { at: start, end: start + length }),
    )
    found.push({ record, extendedCode: type === 41 ? (ttl >>> 24) << 4 : undefined })
  }
  return found
}
