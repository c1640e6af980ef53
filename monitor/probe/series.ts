import type { Socket } from 'node:net'
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls'
import type { Family, Labels, Sample } from '../../shared/prometheus.ts'
import { earliestExpiry, earliestSentExpiry } from '../wire/tls.ts'
import { wordsOf } from './access/index.ts'
import type { Resolved } from './resolve.ts'

/** What `createProbeSeries` returns. */
export type ProbeSeries = ReturnType<typeof createProbeSeries>

/** The series of one probe, as blackbox_exporter names them. */
export function createProbeSeries() {
  const found = new Map<string, { help: string; samples: Map<string, Sample> }>()
  return {
    /** Sets a sample. It replaces an earlier one with the same name and labels. */
    set(name: string, help: string, value: number, labels: Labels = {}): void {
      const known = found.get(name) ?? { help, samples: new Map<string, Sample>() }
      known.samples.set(JSON.stringify(labels), { labels, value })
      found.set(name, known)
    },
    families: (): Family[] => [...found].map(([name, { help, samples }]) => ({ name, type: 'gauge', help, values: [...samples.values()] })),
  }
}

const addressSeries = {
  probe_dns_lookup_time_seconds: 'Time to resolve the name.',
  probe_ip_protocol: 'IP version: 4 or 6.',
  probe_ip_addr_hash: 'Hash of the IP address, which shows when the address changes.',
}

/** Sets the series about the address, which every kind of probe has, to 0. */
export function beginAddress(series: ProbeSeries): void {
  for (const [name, help] of Object.entries(addressSeries)) series.set(name, help, 0)
}

/** Sets the series about the address to their values. */
export function setAddress(series: ProbeSeries, { address, family, ms }: Resolved): void {
  const tell = (name: keyof typeof addressSeries, value: number) => series.set(name, addressSeries[name], value)
  tell('probe_dns_lookup_time_seconds', ms / 1000)
  tell('probe_ip_protocol', family)
  tell('probe_ip_addr_hash', addressHash(address))
}

/** The 32-bit FNV-1a hash of the address' bytes, as in blackbox_exporter. */
function addressHash(address: string): number {
  let hash = 0x811c9dc5
  for (const byte of bytesOf(address)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return hash
}

function bytesOf(address: string): number[] {
  return wordsOf(address)?.flatMap((word) => [word >> 8, word & 255]) ?? address.split('.').map(Number)
}

const expiryHelp = 'When the first certificate of the chain expires, as a Unix time.'
const chainHelp = 'When the first certificate of the trusted chain expires, as a Unix time.'
const versionHelp = 'Always 1; the TLS version is a label.'

/**
 * Sets the series about the certificates and the TLS version of a connection.
 * @param isVerified whether the chain was verified; undefined for a prober that tells nothing of the chain up to the trusted certificate
 */
export function setTls(series: ProbeSeries, socket: TLSSocket, isVerified?: boolean): void {
  setCertificate(series, socket)
  const chainExpiresAt = earliestExpiry(socket)
  series.set('probe_ssl_earliest_cert_expiry', expiryHelp, earliestSentExpiry(socket) / 1000)
  const version = (socket.getProtocol() ?? '').replace('TLSv', 'TLS ').replace(/ 1$/, ' 1.0')
  series.set('probe_tls_version_info', versionHelp, 1, { version })
  if (isVerified === undefined) return
  // Without a trusted chain, blackbox_exporter shows the zero of Go's time.
  series.set('probe_ssl_last_chain_expiry_timestamp_seconds', chainHelp, isVerified ? chainExpiresAt / 1000 : -62_135_596_800)
}

/** Sets the series about the server's own certificate. */
function setCertificate(series: ProbeSeries, socket: TLSSocket): void {
  const { fingerprint256, issuer, subject, subjectaltname } = socket.getPeerCertificate(true)
  if (fingerprint256 === undefined) return
  const labels = {
    fingerprint_sha256: fingerprint256.replaceAll(':', '').toLowerCase(),
    issuer: nameText(issuer),
    subject: nameText(subject),
    subjectalternative: (subjectaltname ?? '')
      .split(', ')
      .filter((each) => each.startsWith('DNS:'))
      .map((each) => each.slice('DNS:'.length))
      .join(','),
  }
  series.set('probe_ssl_last_chain_info', "Always 1; the labels describe the server's own certificate.", 1, labels)
}

/** A distinguished name in the order of RFC 2253: the last part first. */
function nameText(name: DetailedPeerCertificate['subject'] | undefined): string {
  const parts = Object.entries(name ?? {}) as [string, string | string[]][]
  return parts
    .flatMap(([key, value]) => (Array.isArray(value) ? value.map((each) => `${key}=${each}`) : [`${key}=${value}`]))
    .reverse()
    .join(',')
}

/** Destroys a socket and ignores its errors. */
export function close(socket: Socket | undefined): void {
  socket?.on('error', () => {}).destroy()
}
