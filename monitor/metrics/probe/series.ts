import type { Socket } from 'node:net'
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls'
import { type Family, family, type Sample } from '../exposition.ts'
import type { Resolved } from './resolve.ts'

/** The series of one probe, as blackbox_exporter names them. */
export type ProbeSeries = {
  set(name: string, help: string, value: number): void
  /** One sample of a family with labels; the last one with the same labels counts. */
  setWith(name: string, help: string, labels: Record<string, string>, value: number): void
  families(): Family[]
}

export function createProbeSeries(): ProbeSeries {
  const found = new Map<string, { help: string; samples: Map<string, Sample> }>()
  function setWith(name: string, help: string, labels: Record<string, string>, value: number) {
    const known = found.get(name) ?? { help, samples: new Map<string, Sample>() }
    known.samples.set(JSON.stringify(labels), [labels, value])
    found.set(name, known)
  }
  return {
    set: (name, help, value) => setWith(name, help, {}, value),
    setWith,
    families: () => [...found].map(([name, { help, samples }]) => family('gauge', name, help, [...samples.values()])),
  }
}

/** What every kind tells of the address that it went to. */
export function tellAddress(series: ProbeSeries, { address, family, ms }: Resolved): void {
  series.set('probe_dns_lookup_time_seconds', 'How long the name took to resolve.', ms / 1000)
  series.set('probe_ip_protocol', 'Version of IP: 4 or 6.', family)
  series.set('probe_ip_addr_hash', 'Hash of the address, which shows when it changes.', addressHash(address))
}

/** FNV-1a with 32 bits over the bytes of the address, as blackbox_exporter makes it. */
export function addressHash(address: string): number {
  let hash = 0x811c9dc5
  for (const byte of bytesOf(address)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return hash
}

function bytesOf(address: string): number[] {
  if (!address.includes(':')) return address.split('.').map(Number)
  const [left = '', right] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const words = (text = '') => (text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16)))
  const [before, after] = [words(left), words(right)]
  const all = [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after]
  return all.flatMap((word) => [word >> 8, word & 255])
}

const expiryHelp = 'When the first certificate of the chain expires, as a Unix time.'
const chainHelp = 'When the first certificate of the chain that is trusted expires, as a Unix time.'
const versionHelp = 'Always 1; the version of TLS.'

/** When the chain expires, and the version of TLS. @param expiresAt Unix time in milliseconds */
export function tellTls(
  series: ProbeSeries,
  { expiresAt, version, trusted }: { expiresAt: number; version: string; trusted: boolean },
): void {
  series.set('probe_ssl_earliest_cert_expiry', expiryHelp, expiresAt / 1000)
  // Without a trusted chain there is none that could expire: blackbox_exporter then tells the zero of Go's time.
  series.set('probe_ssl_last_chain_expiry_timestamp_seconds', chainHelp, trusted ? expiresAt / 1000 : -62_135_596_800)
  series.setWith('probe_tls_version_info', versionHelp, { version: version.replace('TLSv', 'TLS ').replace(/ 1$/, ' 1.0') }, 1)
}

/** The certificate that the server showed of itself. */
export function tellCertificate(series: ProbeSeries, socket: TLSSocket): void {
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
  series.setWith('probe_ssl_last_chain_info', "Always 1; the server's own certificate.", labels, 1)
}

/** A distinguished name as RFC 2253 writes it: the last part first. */
function nameText(name: DetailedPeerCertificate['subject'] | undefined): string {
  const parts = Object.entries(name ?? {}) as [string, string | string[]][]
  return parts
    .flatMap(([key, value]) => (Array.isArray(value) ? value.map((each) => `${key}=${each}`) : [`${key}=${value}`]))
    .reverse()
    .join(',')
}

/** Ends a socket without an error for anybody. */
export function close(socket: Socket | undefined): void {
  socket?.on('error', () => {}).destroy()
}
