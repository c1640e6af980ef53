import type { X509Certificate } from 'node:crypto'
import { shown } from '../../../shared/clock-wording.ts'
import { Problem } from '../../../shared/errors.ts'
import type { TokenTime } from '../../clock/index.ts'
import type { Identity } from '../http.ts'
import type { CertificateEntry } from './config.ts'
import { identityFrom } from './source.ts'

/**
 * The identity of a client certificate; undefined when no entry matches. The handshake has verified the certificate: signed by a CA of the
 * listener, and valid at that time.
 * @throws Problem `unauthenticated` when it has expired since the handshake
 */
export function identityOfCertificate(
  certificate: X509Certificate,
  entries: readonly CertificateEntry[],
  time: TokenTime,
): Identity | undefined {
  if (entries.length === 0) return undefined
  const validTo = certificate.validToDate.getTime()
  if (validTo <= time.now()) throw new Problem('unauthenticated', `The client certificate expired at ${shown(validTo)}; ${time.told()}`)
  const commonName = commonNameOf(certificate)
  const uris = urisOf(certificate)
  const fingerprint = certificate.fingerprint256.replaceAll(':', '').toLowerCase()
  const found = entries.find(
    (entry) =>
      (entry.commonName === undefined || entry.commonName === commonName) &&
      (entry.uri === undefined || uris.includes(entry.uri)) &&
      (entry.fingerprint === undefined || entry.fingerprint === fingerprint),
  )
  return found && identityFrom('cert', found.name, found)
}

/** The CN of the subject, if there is exactly one. */
function commonNameOf(certificate: X509Certificate): string | undefined {
  const { CN } = certificate.toLegacyObject().subject as { CN?: string | string[] }
  return typeof CN === 'string' ? CN : undefined
}

/** The URIs among the subject alternative names. Node writes a name that contains a comma or a quote as a JSON string. */
function urisOf(certificate: X509Certificate): string[] {
  const found: string[] = []
  for (const [, name, value] of (certificate.subjectAltName ?? '').matchAll(/(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,"]*)/g)) {
    if (name !== 'URI' || value === undefined) continue
    try {
      found.push(value.startsWith('"') ? (JSON.parse(value) as string) : value)
    } catch {
      // A malformed name matches nothing.
    }
  }
  return found
}
