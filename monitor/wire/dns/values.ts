import { escapedByte, malformed } from './escapes.ts'
import type { Reader } from './reader.ts'

/** An address as Go prints it. An IPv4 address inside of IPv6 keeps its dots. */
export function addressText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.')
  const words = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16))
  if (words.slice(0, 6).join() === '0,0,0,0,0,ffff') return `::ffff:${bytes.subarray(12).join('.')}`
  return new URL(`http://[${words.join(':')}]`).hostname.slice(1, -1)
}

const degree = 3_600_000
const equator = 2 ** 31

/** A location (RFC 1876): latitude, longitude, altitude and three precisions. */
export function locationText(data: Reader): string {
  const [, size, horizontal, vertical] = [1, 1, 1, 1].map((length) => (data.isAtEnd ? 0 : data.number(length))) as [
    number,
    number,
    number,
    number,
  ]
  const [latitude, longitude, altitude] = [4, 4, 4].map((length) => (data.isAtEnd ? 0 : data.number(length))) as [number, number, number]
  const meters = altitude / 100 - 100_000
  return [
    angleText(latitude, 'N', 'S'),
    angleText(longitude, 'E', 'W'),
    `${meters.toFixed(altitude % 100 === 0 ? 0 : 2)}m`,
    ...[size, horizontal, vertical].map((each) => `${precisionText(each)}m`),
  ].join(' ')
}

/** Degrees, minutes and seconds. */
function angleText(value: number, above: string, below: string): string {
  const distance = Math.abs(value - equator)
  const parts = [distance / degree, (distance % degree) / 60_000].map((part) => String(Math.floor(part)).padStart(2, '0'))
  return `${parts.join(' ')} ${((distance % 60_000) / 1000).toFixed(3)} ${value > equator ? above : below}`
}

/** Centimetres as a digit and a power of ten, in metres. */
function precisionText(byte: number): string {
  const [digit, exponent] = [byte >> 4, byte & 15]
  if (exponent < 2) return `0.${String(exponent === 1 ? digit * 10 : digit).padStart(2, '0')}`
  return `${digit}${'0'.repeat(exponent - 2)}`
}

const parameters = ['mandatory', 'alpn', 'no-default-alpn', 'port', 'ipv4hint', 'ech', 'ipv6hint', 'dohpath', 'ohttp']

/** The parameters of a service binding (RFC 9460, section 2.1); undefined without any. */
export function serviceText(data: Reader): string | undefined {
  const found: string[] = []
  let last = -1
  while (!data.isAtEnd) {
    const [key, length] = [data.number(2), data.number(2)]
    if (key <= last || key === 65_535) throw malformed('the parameters of a service are out of order')
    last = key
    found.push(`${parameterName(key)}="${parameterText(key, data.bytes(length))}"`)
  }
  return found.length === 0 ? undefined : found.join(' ')
}

function parameterName(key: number): string {
  return parameters[key] ?? (key === 65_535 ? '' : `key${key}`)
}

function parameterText(key: number, value: Buffer): string {
  switch (parameters[key]) {
    case 'mandatory':
      return pieces(value, 2)
        .map((piece) => parameterName(piece.readUInt16BE()))
        .join(',')
    case 'alpn':
      return protocolsText(value)
    case 'no-default-alpn':
    case 'ohttp':
      if (value.length > 0) throw malformed('a parameter of a service has a value that it may not have')
      return ''
    case 'port':
      if (value.length !== 2) throw malformed('the port of a service is not two bytes')
      return String(value.readUInt16BE())
    case 'ipv4hint':
      return pieces(value, 4).map(addressText).join(',')
    case 'ipv6hint':
      return pieces(value, 16).map(addressText).join(',')
    case 'ech':
      return value.toString('base64')
    default:
      return [...value].map((byte) => escapedByte(byte, '"; \\')).join('')
  }
}

/** Names of protocols, each with its length before it. A comma or a backslash in a name is escaped twice (RFC 9460, appendix A.1). */
function protocolsText(value: Buffer): string {
  const names: string[] = []
  for (let at = 0; at < value.length; ) {
    const length = value[at] as number
    if (length === 0 || at + 1 + length > value.length) throw malformed('the protocols of a service do not fit')
    names.push(
      [...value.subarray(at + 1, at + 1 + length)]
        .map((byte) => (byte === 44 ? '\\\\\\044' : byte === 92 ? '\\\\\\092' : escapedByte(byte, '"; ')))
        .join(''),
    )
    at += 1 + length
  }
  return names.join(',')
}

function pieces(value: Buffer, length: number): Buffer[] {
  if (value.length % length !== 0) throw malformed('a parameter of a service has a wrong length')
  return Array.from({ length: value.length / length }, (_, index) => value.subarray(index * length, (index + 1) * length))
}
