import { X509Certificate } from 'node:crypto'

/** Certificate revocation lists, as a server uses them. */
export type RevocationLists = {
  /** One list each, since Node reads only the first of a text. */
  pem: string[]
  /** When the first of them expires, Unix ms: from then on, OpenSSL accepts no certificate of its CA. Infinity if none says. */
  expiresAt: number
  /** When each of them expires. */
  expiries: number[]
  /** The CAs that have no list, by their subject. OpenSSL accepts no certificate of them. */
  without: string[]
}

const pemBlock = /-----BEGIN X509 CRL-----([\s\S]*?)-----END X509 CRL-----/g

/**
 * Reads lists in PEM, one after the other, or in DER.
 * @param authorities the CA certificates, in PEM
 * @throws Error with the fault
 */
export function parseRevocationLists(content: Buffer, authorities: string): RevocationLists {
  const text = content.toString('latin1')
  const blocks = [...text.matchAll(pemBlock)].map(([, base64 = '']) => Buffer.from(base64, 'base64'))
  const lists = (blocks.length > 0 ? blocks : split(content)).map((der) => ({ der, ...factsOf(der) }))
  if (lists.length === 0) throw new Error('holds no certificate revocation list')
  const expiries = lists.map(({ nextUpdate }) => nextUpdate)
  const issuers = new Set(lists.map(({ issuer }) => issuer))
  return {
    pem: lists.map(({ der }) => toPem(der)),
    expiresAt: Math.min(...expiries),
    expiries,
    without: certificatesIn(authorities)
      .filter((authority) => !issuers.has(subjectOf(authority.raw)))
      .map(({ subject }) => subject.replaceAll('\n', ', ')),
  }
}

/** The certificates of a PEM text. */
function certificatesIn(text: string): X509Certificate[] {
  return [...text.matchAll(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g)].map(([pem]) => new X509Certificate(pem))
}

function toPem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN X509 CRL-----\n${lines.join('\n')}\n-----END X509 CRL-----\n`
}

// RFC 5280, section 5.1: CertificateList ::= SEQUENCE { tbsCertList SEQUENCE { version INTEGER OPTIONAL, signature SEQUENCE, issuer Name,
// thisUpdate Time, nextUpdate Time OPTIONAL, … }, … }
function factsOf(der: Buffer): { issuer: string; nextUpdate: number } {
  const [tbs] = partsOf(elementAt(der, 0))
  const parts = tbs === undefined ? [] : partsOf(tbs)
  if (parts[0]?.tag === tags.integer) parts.shift()
  const [signature, issuer, thisUpdate, nextUpdate] = parts
  if (signature?.tag !== tags.sequence || issuer?.tag !== tags.sequence || thisUpdate === undefined || timeOf(thisUpdate) === undefined)
    throw new Error('holds something other than certificate revocation lists')
  return { issuer: issuer.whole.toString('hex'), nextUpdate: (nextUpdate && timeOf(nextUpdate)) ?? Number.POSITIVE_INFINITY }
}

// Section 4.1: TBSCertificate ::= SEQUENCE { version [0], serialNumber, signature, issuer, validity, subject, … }
function subjectOf(der: Buffer): string {
  const [tbs] = partsOf(elementAt(der, 0))
  const parts = tbs === undefined ? [] : partsOf(tbs)
  if (parts[0]?.tag === tags.version) parts.shift()
  return parts[4]?.whole.toString('hex') ?? ''
}

const tags = { integer: 0x02, utcTime: 0x17, generalizedTime: 0x18, sequence: 0x30, version: 0xa0 } as const

/** One value in DER (X.690): its tag, its content, and both with the length between them. */
type Element = { tag: number; content: Buffer; whole: Buffer }

function elementAt(bytes: Buffer, start: number): Element {
  const tag = bytes[start]
  const first = bytes[start + 1]
  if (tag === undefined || first === undefined) throw new Error('is cut off')
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f
  if (lengthBytes > 4 || (first >= 0x80 && lengthBytes === 0)) throw new Error('holds something other than DER')
  const begin = start + 2 + lengthBytes
  const length = lengthBytes === 0 ? first : begin <= bytes.length ? bytes.readUIntBE(start + 2, lengthBytes) : Number.POSITIVE_INFINITY
  if (begin + length > bytes.length) throw new Error('is cut off')
  return { tag, content: bytes.subarray(begin, begin + length), whole: bytes.subarray(start, begin + length) }
}

function partsOf({ content }: Element): Element[] {
  const found: Element[] = []
  for (let at = 0; at < content.length; ) {
    const element = elementAt(content, at)
    found.push(element)
    at += element.whole.length
  }
  return found
}

/** Lists in DER, one after the other. */
function split(content: Buffer): Buffer[] {
  const found: Buffer[] = []
  for (let at = 0; at < content.length; ) {
    const { whole } = elementAt(content, at)
    found.push(whole)
    at += whole.length
  }
  return found
}

/** A time in Unix ms; undefined for another element. Two digits of a year from 50 on are of the last century. */
function timeOf({ tag, content }: Element): number | undefined {
  if (tag !== tags.utcTime && tag !== tags.generalizedTime) return undefined
  const text = content.toString('latin1')
  const digits = tag === tags.generalizedTime ? text : `${Number(text.slice(0, 2)) < 50 ? '20' : '19'}${text}`
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(digits) ?? []
  const time = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  return Number.isNaN(time) ? undefined : time
}
