import { escapedByte, malformed } from './escapes.ts'
import { classText, type DnsType, dnsTypes, typeNamed, typeText } from './names.ts'
import type { Reader } from './reader.ts'
import { addressText, locationText, serviceText } from './values.ts'

/** One record of an answer. */
export type DnsRecord = {
  type: number
  /** The record as one line of a zone file, as miekg/dns prints it: name, TTL, class and type, each followed by a tab, and its data. */
  text: string
  /** The serial number of a zone, for a SOA record. */
  serial?: number
}

/** The kinds of fields. Each reads its field and returns its text; undefined leaves the field and its blank out. */
const kinds = {
  u8: (data: Reader) => numberText(data, 1),
  u16: (data: Reader) => numberText(data, 2),
  u32: (data: Reader) => numberText(data, 4),
  name: (data: Reader) => (data.isAtEnd ? '' : data.name()),
  ipv4: (data: Reader) => (data.isAtEnd ? undefined : addressText(data.bytes(4))),
  ipv6: (data: Reader) => (data.isAtEnd ? undefined : addressText(data.bytes(16))),
  string: (data: Reader) => (data.isAtEnd ? '' : stringText(data)),
  quoted: (data: Reader) => (data.isAtEnd ? '""' : `"${stringText(data)}"`),
  strings: (data: Reader) => {
    const texts: string[] = []
    while (!data.isAtEnd) texts.push(`"${stringText(data)}"`)
    return texts.join(' ')
  },
  octets: (data: Reader) => `"${octetsText(data.rest())}"`,
  raw: (data: Reader) => data.rest().toString('latin1'),
  hex: (data: Reader) => data.rest().toString('hex'),
  HEX: (data: Reader) => data.rest().toString('hex').toUpperCase(),
  base64: (data: Reader) => data.rest().toString('base64'),
  salt: (data: Reader) => sized(data).toString('hex').toUpperCase() || '-',
  base32: (data: Reader) => base32Of(sized(data)),
  type: (data: Reader) => typeText(data.isAtEnd ? 0 : data.number(2)),
  types: typesText,
  time: (data: Reader) => timeText(data.isAtEnd ? 0 : data.number(4)),
  eui48: (data: Reader) => groups(data, 6, 2, '-'),
  eui64: (data: Reader) => groups(data, 8, 2, '-'),
  node: (data: Reader) => groups(data, 8, 4, ':'),
  NODE: (data: Reader) => groups(data, 8, 4, ':').toUpperCase(),
  certificate: (data: Reader) => named(certificateTypes, data.isAtEnd ? 0 : data.number(2)),
  algorithm: (data: Reader) => named(algorithms, data.isAtEnd ? 0 : data.number(1)),
  location: locationText,
  service: serviceText,
} satisfies Record<string, (data: Reader) => string | undefined>

type Kind = keyof typeof kinds

const key: Kind[] = ['u16', 'u8', 'u8', 'base64']
const digest: Kind[] = ['u16', 'u8', 'u8', 'HEX']
const signature: Kind[] = ['type', 'u8', 'u8', 'u32', 'time', 'time', 'u16', 'name', 'base64']
const service: Kind[] = ['u16', 'name', 'service']

/** The fields of each type's data. Types that are not here are shown by RFC 3597, section 5. */
const formats: Partial<Record<DnsType, readonly Kind[]>> = {
  A: ['ipv4'],
  NS: ['name'],
  MD: ['name'],
  MF: ['name'],
  CNAME: ['name'],
  SOA: ['name', 'name', 'u32', 'u32', 'u32', 'u32', 'u32'],
  MB: ['name'],
  MG: ['name'],
  MR: ['name'],
  NULL: ['raw'],
  PTR: ['name'],
  HINFO: ['quoted', 'quoted'],
  MINFO: ['name', 'name'],
  MX: ['u16', 'name'],
  TXT: ['strings'],
  RP: ['name', 'name'],
  AFSDB: ['u16', 'name'],
  X25: ['string'],
  ISDN: ['quoted', 'quoted'],
  RT: ['u16', 'name'],
  'NSAP-PTR': ['name'],
  SIG: signature,
  KEY: key,
  PX: ['u16', 'name', 'name'],
  GPOS: ['string', 'string', 'string'],
  AAAA: ['ipv6'],
  LOC: ['location'],
  NXT: ['name', 'types'],
  EID: ['HEX'],
  NIMLOC: ['HEX'],
  SRV: ['u16', 'u16', 'u16', 'name'],
  NAPTR: ['u16', 'u16', 'quoted', 'quoted', 'quoted', 'name'],
  KX: ['u16', 'name'],
  CERT: ['certificate', 'u16', 'algorithm', 'base64'],
  DNAME: ['name'],
  DS: digest,
  SSHFP: ['u8', 'u8', 'HEX'],
  RRSIG: signature,
  NSEC: ['name', 'types'],
  DNSKEY: key,
  DHCID: ['base64'],
  NSEC3: ['u8', 'u8', 'u16', 'salt', 'base32', 'types'],
  NSEC3PARAM: ['u8', 'u8', 'u16', 'salt'],
  TLSA: ['u8', 'u8', 'u8', 'hex'],
  SMIMEA: ['u8', 'u8', 'u8', 'hex'],
  NINFO: ['strings'],
  RKEY: key,
  TALINK: ['name', 'name'],
  CDS: digest,
  CDNSKEY: key,
  OPENPGPKEY: ['base64'],
  CSYNC: ['u32', 'u16', 'types'],
  ZONEMD: ['u32', 'u8', 'u8', 'hex'],
  SVCB: service,
  HTTPS: service,
  SPF: ['strings'],
  UINFO: ['quoted'],
  UID: ['u32'],
  GID: ['u32'],
  NID: ['u16', 'node'],
  L32: ['u16', 'ipv4'],
  L64: ['u16', 'NODE'],
  LP: ['u16', 'name'],
  EUI48: ['eui48'],
  EUI64: ['eui64'],
  NXNAME: [],
  ANY: [],
  URI: ['u16', 'u16', 'octets'],
  CAA: ['u8', 'string', 'octets'],
  AVC: ['strings'],
  RESINFO: ['strings'],
  TA: digest,
  DLV: digest,
}

/**
 * A record with this header. Data that ends early leaves the remaining fields empty, as in miekg/dns.
 * @throws CheckFailure `protocol` if the data does not fit its type
 */
export function recordOf(header: { name: string; type: number; class: number; ttl: number }, data: Reader): DnsRecord {
  const { name, type, ttl } = header
  const mnemonic = typeNamed(type)
  if (mnemonic === 'OPT') return { type, text: optionsText(header, data) }
  const format = mnemonic && formats[mnemonic]
  if (format === undefined) {
    const length = data.end - data.at
    return { type, text: `${name}\t${ttl}\tCLASS${header.class}\tTYPE${type}\t\\# ${length} ${data.rest().toString('hex')}` }
  }
  const fields = format.map((kind) => kinds[kind](data))
  if (!data.isAtEnd) throw malformed(`a record of type ${mnemonic} is longer than its data`)
  const text = `${name}\t${ttl}\t${classText(header.class)}\t${mnemonic}\t${fields.filter((field) => field !== undefined).join(' ')}`
  // Data of the type NULL has no text of its own.
  if (type === dnsTypes.NULL) return { type, text: `;${text}` }
  return { type, text, ...(type === dnsTypes.SOA && { serial: Number(fields[2]) }) }
}

/** The pseudo record of EDNS (RFC 6891): its header only. A query without EDNS is not answered with options. */
function optionsText({ class: size, ttl }: { class: number; ttl: number }, data: Reader): string {
  data.rest()
  const flags = `${ttl & 0x8000 ? ' do' : ''}${ttl & 0x4000 ? ' co' : ''}`
  const reserved = ttl & 0x3fff
  const unknown = reserved === 0 ? '' : `MBZ: 0x${reserved.toString(16).padStart(4, '0')}, `
  return `\n;; OPT PSEUDOSECTION:\n; EDNS: version ${(ttl >> 16) & 255}; flags:${flags}; ${unknown}udp: ${size}`
}

function numberText(data: Reader, length: number): string {
  return data.isAtEnd ? '0' : String(data.number(length))
}

function stringText(data: Reader): string {
  return [...sized(data)].map((byte) => escapedByte(byte, '"\\')).join('')
}

/** A text without a length before it. miekg/dns reads escapes in it: `\.` stays, three digits are a byte, else the backslash is dropped. */
function octetsText(bytes: Buffer): string {
  let text = ''
  for (let at = 0; at < bytes.length; at++) {
    let byte = bytes[at] as number
    if (byte === 92) {
      const next = bytes[at + 1]
      if (next === undefined) break
      const digits = /^\d{3}$/.exec(bytes.toString('latin1', at + 1, at + 4))?.[0]
      if (next === 46) {
        text += '\\.'
        at++
        continue
      }
      byte = digits === undefined ? next : Number(digits) & 255
      at += digits === undefined ? 1 : 3
    }
    text += escapedByte(byte, '"\\')
  }
  return text
}

/** Bytes with their length in one byte before them. */
function sized(data: Reader): Buffer {
  return data.isAtEnd ? Buffer.alloc(0) : data.bytes(data.number(1))
}

/** Base32 with the extended hex alphabet, without padding (RFC 4648, section 7; RFC 5155). */
function base32Of(bytes: Buffer): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  return (bits.match(/.{1,5}/g) ?? []).map((five) => Number.parseInt(five.padEnd(5, '0'), 2).toString(32).toUpperCase()).join('')
}

/** The bitmap of types (RFC 4034, section 4.1.2); undefined without one. */
function typesText(data: Reader): string | undefined {
  const found: string[] = []
  let last = -1
  while (!data.isAtEnd) {
    const [window, length] = [data.number(1), data.number(1)]
    if (window <= last || length === 0 || length > 32) throw malformed('a bitmap of types is out of order')
    last = window
    for (const [index, byte] of data.bytes(length).entries())
      for (let bit = 0; bit < 8; bit++) if (byte & (128 >> bit)) found.push(typeText(window * 256 + index * 8 + bit))
  }
  return found.length === 0 ? undefined : found.join(' ')
}

/** A time in seconds since 1970 modulo 2^32 (RFC 4034, section 3.1.5), as miekg/dns prints it. */
function timeText(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(/[-:T]|\.\d+Z$/g, '')
}

function groups(data: Reader, length: number, digits: number, between: string): string {
  const hex = data.isAtEnd ? '00'.repeat(length) : data.bytes(length).toString('hex')
  return (hex.match(new RegExp(`.{${digits}}`, 'g')) ?? []).join(between)
}

/** RFC 4398, section 2.1. */
const certificateTypes = {
  1: 'PKIX',
  2: 'SPKI',
  3: 'PGP',
  4: 'IPIX',
  5: 'ISPKI',
  6: 'IPGP',
  7: 'ACPKIX',
  8: 'IACPKIX',
  253: 'URI',
  254: 'OID',
}

/** IANA's registry of DNSSEC algorithm numbers, in the spelling of miekg/dns. */
const algorithms = {
  1: 'RSAMD5',
  2: 'DH',
  3: 'DSA',
  5: 'RSASHA1',
  6: 'DSA-NSEC3-SHA1',
  7: 'RSASHA1-NSEC3-SHA1',
  8: 'RSASHA256',
  10: 'RSASHA512',
  12: 'ECC-GOST',
  13: 'ECDSAP256SHA256',
  14: 'ECDSAP384SHA384',
  15: 'ED25519',
  16: 'ED448',
  252: 'INDIRECT',
  253: 'PRIVATEDNS',
  254: 'PRIVATEOID',
}

function named(names: Readonly<Record<number, string>>, number: number): string {
  return names[number] ?? String(number)
}
