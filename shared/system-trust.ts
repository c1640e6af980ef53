import { getCACertificates, setDefaultCACertificates } from 'node:tls'

let isDone = false

/**
 * Makes Node trust the CA certificates of the system too, wherever a connection names none of its own: those of `SSL_CERT_FILE` and
 * `SSL_CERT_DIR`, or of OpenSSL's usual places (`/etc/ssl/certs`). A CA of the site is installed there, for all programs. Those that are built
 * into Node, and those of `NODE_EXTRA_CA_CERTS`, stay trusted: an image may have no store.
 *
 * Call it before the first TLS connection. The store is read once, which takes 40 ms and 5 MiB, so a process without TLS does not pay for it.
 */
export function trustSystem(): void {
  if (isDone) return
  isDone = true
  const trusted = getCACertificates('default')
  const known = new Set(trusted)
  const more = new Set(getCACertificates('system').filter((certificate) => !known.has(certificate)))
  if (more.size > 0) setDefaultCACertificates([...trusted, ...more])
}
