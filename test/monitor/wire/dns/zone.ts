import { dnsTypes } from '../../../../monitor/wire/dns/index.ts'

/** One record on the wire: its data as bytes, after the owner `quay.example`. */
export type WireRecord = { type: keyof typeof dnsTypes | number; data: Buffer; class?: number; ttl?: number; owner?: Buffer }

/** A name on the wire, without compression. A label is its text in Latin-1. */
export function wireName(...labels: string[]): Buffer {
  return Buffer.concat([...labels.map((label) => sized(Buffer.from(label, 'latin1'))), Buffer.from([0])])
}

/** Bytes with their length before them. */
export function sized(bytes: Buffer | string): Buffer {
  const content = Buffer.from(bytes as string, 'latin1')
  return Buffer.concat([Buffer.from([content.length]), content])
}

/** A number in two bytes. */
export function two(value: number): Buffer {
  return Buffer.from([value >> 8, value & 255])
}

/** A number in four bytes. */
export function four(value: number): Buffer {
  return Buffer.from([value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255])
}

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')
const join = (...parts: Buffer[]) => Buffer.concat(parts)
const quay = wireName('quay', 'example')

/** The question `quay.example`, in the message from its header on: what a record's owner may point to. */
export const pointer = Buffer.from([0xc0, 12])

/** A record for each type with data of a usual kind, and some with data of an unusual one. */
export const zone: readonly WireRecord[] = [
  { type: 'A', data: hex('7f000001') },
  { type: 'A', data: hex('c0000201'), class: 3, ttl: 0 },
  { type: 'A', data: hex('c0000201'), class: 255, ttl: 4_294_967_295 },
  { type: 'A', data: hex('c0000201'), class: 7, owner: wireName('a.b', 'x y', '\x00\xff(@);"\\', "it's") },
  { type: 'A', data: hex('c0000201'), owner: wireName() },
  { type: 'A', data: hex('') },
  { type: 'NS', data: join(sized('ns1'), pointer) },
  { type: 'MD', data: quay },
  { type: 'MF', data: quay },
  { type: 'CNAME', data: wireName('a;b', 'c.d', 'example') },
  {
    type: 'SOA',
    data: join(quay, wireName('host.master', 'example'), four(2_026_112_901), four(7200), four(3600), four(4_294_967_295), four(0)),
  },
  { type: 'MB', data: quay },
  { type: 'MG', data: quay },
  { type: 'MR', data: quay },
  { type: 'PTR', data: pointer },
  { type: 'HINFO', data: join(sized('amd"64'), sized('Linux')) },
  { type: 'MINFO', data: join(quay, pointer) },
  { type: 'MX', data: join(two(10), sized('mail'), pointer) },
  { type: 'MX', data: two(10) },
  { type: 'TXT', data: join(sized('v=spf1 -all'), sized('quote " back \\ tab\t é'), sized('')) },
  { type: 'RP', data: join(quay, quay) },
  { type: 'AFSDB', data: join(two(1), quay) },
  { type: 'X25', data: sized('31"1') },
  { type: 'ISDN', data: join(sized('150862028003217'), sized('004')) },
  { type: 'RT', data: join(two(2), quay) },
  { type: 'NSAP-PTR', data: quay },
  { type: 'SIG', data: join(two(1), hex('0802'), four(3600), four(1_700_000_000), four(1_690_000_000), two(4711), quay, hex('00ff00')) },
  { type: 'KEY', data: hex('0100 03 08 00ff00') },
  { type: 'PX', data: join(two(3), quay, quay) },
  { type: 'GPOS', data: join(sized('-32.6882'), sized('116.8652'), sized('10.0')) },
  { type: 'AAAA', data: hex('20010db8000000000000000000000001') },
  { type: 'AAAA', data: hex('00000000000000000000ffffc0000201') },
  { type: 'AAAA', data: hex('00000000000000000000000000000000') },
  { type: 'AAAA', data: hex('20010000000100000000000100000001') },
  { type: 'AAAA', data: hex('00000000000000000000000001020304') },
  { type: 'LOC', data: hex('00121613 89173264 7048fb9b 00989a4c'.replace('89173264', '89173264')) },
  { type: 'LOC', data: hex('00000110 75a8d1bc 9048fb9b 00989680') },
  { type: 'EID', data: hex('00ff') },
  { type: 'NIMLOC', data: hex('00ff') },
  { type: 'SRV', data: join(two(1), two(2), two(5060), quay) },
  { type: 'ATMA', data: hex('00ff') },
  { type: 'NAPTR', data: join(two(100), two(10), sized('u'), sized('sip+E2U'), sized('!^.*$!sip:"a\\1"@b!'), wireName()) },
  { type: 'NAPTR', data: join(two(100), two(10)) },
  { type: 'KX', data: join(two(1), quay) },
  { type: 'CERT', data: hex('0001 0002 08 00ff00') },
  { type: 'CERT', data: hex('ffff 0002 09 00ff00') },
  { type: 'DNAME', data: quay },
  { type: 'DS', data: hex('1267 08 02 00ff00ab') },
  { type: 'SSHFP', data: hex('0402 00ff00ab') },
  { type: 'RRSIG', data: join(two(28), hex('0d02'), four(3600), four(1_700_000_000), four(0), two(4711), quay, hex('00ff00')) },
  { type: 'NSEC', data: join(quay, hex('0006 400100000003 0101 40')) },
  { type: 'NSEC', data: quay },
  { type: 'DNSKEY', data: hex('0101 03 0d 00ff00') },
  { type: 'DHCID', data: hex('000201') },
  { type: 'NSEC3', data: hex('01 00 000a 02 abcd 05 0011223344 0001 40') },
  { type: 'NSEC3', data: hex('01 01 0000 00 03 001122') },
  { type: 'NSEC3PARAM', data: hex('01 00 000a 00') },
  { type: 'TLSA', data: hex('03 01 01 00ffAB') },
  { type: 'SMIMEA', data: hex('03 01 01 00ffAB') },
  { type: 'NINFO', data: sized('x') },
  { type: 'RKEY', data: hex('0000 03 08 00ff00') },
  { type: 'TALINK', data: join(quay, quay) },
  { type: 'CDS', data: hex('1267 08 02 00ff') },
  { type: 'CDNSKEY', data: hex('0101 03 0d 00ff00') },
  { type: 'OPENPGPKEY', data: hex('00ff00') },
  { type: 'CSYNC', data: hex('00000042 0003 0001 40') },
  { type: 'ZONEMD', data: hex('78a3b2c1 01 01 00ff') },
  { type: 'SVCB', data: join(two(0), quay) },
  {
    type: 'HTTPS',
    data: join(
      two(1),
      wireName(),
      hex('0000 0004 0001 0003'),
      hex('0001 000f 02 6832 02 6833 08 612c625c63 22 3b20'),
      hex('0002 0000'),
      hex('0003 0002 01bb'),
      hex('0004 0008 c0000201 c0000202'),
      hex('0005 0003 00ff00'),
      hex('0006 0010 20010db8000000000000000000000001'),
      hex('029a 0005 61 20 5c ff 22'),
    ),
  },
  { type: 'SPF', data: sized('v=spf1 -all') },
  { type: 'UINFO', data: sized('x"y') },
  { type: 'UID', data: four(4_000_000_000) },
  { type: 'GID', data: four(7) },
  { type: 'UNSPEC', data: hex('00ff') },
  { type: 'NID', data: hex('000a 0014 4fff ff20 ee64') },
  { type: 'L32', data: hex('000a c0000201') },
  { type: 'L64', data: hex('000a 2001 0DB8 1140 1000') },
  { type: 'LP', data: join(two(10), quay) },
  { type: 'EUI48', data: hex('00005e0053 2a') },
  { type: 'EUI64', data: hex('00005eef1000002a') },
  { type: 'URI', data: join(two(10), two(1), Buffer.from('https://a"b\\.c\\\\\\065\\q\u00e9', 'latin1')) },
  { type: 'CAA', data: join(hex('80'), sized('issue'), Buffer.from('ca.example; x="\\')) },
  { type: 'AVC', data: sized('x') },
  { type: 'TA', data: hex('1267 08 02 00ff') },
  { type: 'DLV', data: hex('1267 08 02 00ff') },
  { type: 'NULL', data: Buffer.from('abc') },
  { type: 65_280, data: hex('00ff'), class: 3 },
  { type: 65_281, data: hex('') },
]

/** The answer to a query: these records in a section each, under the id and the question of the query. */
export function answerTo(
  query: Buffer,
  sections: { answer?: readonly WireRecord[]; authority?: readonly WireRecord[]; additional?: readonly WireRecord[] },
  { code = 0, extra = Buffer.alloc(0) }: { code?: number; extra?: Buffer } = {},
): Buffer {
  const { answer = [], authority = [], additional = [] } = sections
  const head = Buffer.concat([
    query.subarray(0, 2),
    Buffer.from([0x81, 0x80 | code, 0, 1]),
    two(answer.length),
    two(authority.length),
    two(additional.length),
  ])
  return Buffer.concat([head, questionOf(query), ...[...answer, ...authority, ...additional].map(recordOnWire), extra])
}

/** The question of a query, from its header on. */
export function questionOf(query: Buffer): Buffer {
  let at = 12
  while (query[at] !== 0) at += 1 + (query[at] as number)
  return query.subarray(12, at + 5)
}

function recordOnWire({ type, data, class: number = 1, ttl = 300, owner = pointer }: WireRecord): Buffer {
  const typeNumber = typeof type === 'number' ? type : dnsTypes[type]
  return Buffer.concat([owner, two(typeNumber), two(number), four(ttl), two(data.length), data])
}

/** The text of the one record of a section. */
export function recordText([record, ...others]: readonly { text: string }[]): string {
  if (record === undefined || others.length > 0) throw new Error('not one record')
  return record.text
}
