import { isIP, type Socket } from 'node:net'
import { connect, createSecureContext, type SecureContext, type SecureVersion, type TLSSocket } from 'node:tls'
import * as z from 'zod'
import { type Secret, secretFile } from '../../shared/fields.ts'
import { trustSystem } from '../../shared/system-trust.ts'
import { CheckFailure } from './reasons.ts'

/** How a TLS server is trusted, and how the client identifies itself. Spread into the options of a kind. */
export const tlsFields = {
  caFile: secretFile().optional().describe('PEM file of the CA certificates to trust, instead of those of the system and those built in.'),
  certificateFile: secretFile().optional().describe('PEM file of a client certificate, if the server asks for one.'),
  keyFile: secretFile().optional().describe("PEM file of the client certificate's private key."),
  serverName: z
    .string()
    .min(1)
    .max(253)
    .optional()
    .describe('Server name to send (SNI) and to verify in the certificate; by default the host.'),
  verify: z.boolean().default(true).describe("Whether to verify the server's certificate. With false, any certificate is accepted."),
}

/** The output of `tlsFields`. */
export type TlsOptions = {
  caFile?: Secret | undefined
  certificateFile?: Secret | undefined
  keyFile?: Secret | undefined
  serverName?: string | undefined
  verify: boolean
  minVersion?: SecureVersion | undefined
  maxVersion?: SecureVersion | undefined
}

/** How to connect with TLS, by Node's names. */
export type TlsSettings = {
  secureContext: SecureContext
  rejectUnauthorized: boolean
  servername: string | undefined
  ALPNProtocols?: string[]
}

/** The settings to connect to a host. */
export function tlsOf(options: TlsOptions, host: string): TlsSettings {
  return { secureContext: contextOf(options), rejectUnauthorized: options.verify, servername: sniOf(options.serverName ?? host) }
}

/** The server name to send for a host; none for an address (RFC 6066, section 3), for which the certificate is verified all the same. */
export function sniOf(host: string): string | undefined {
  return isIP(host) === 0 ? host : undefined
}

const contexts = new WeakMap<TlsOptions, SecureContext>()

/** Each options object has one secure context, because reading the CA certificates costs most of a handshake. */
function contextOf(options: TlsOptions): SecureContext {
  const known = contexts.get(options)
  if (known !== undefined) return known
  const { caFile, certificateFile, keyFile, minVersion, maxVersion } = options
  if (caFile === undefined) trustSystem()
  try {
    const context = createSecureContext({
      ...(caFile && { ca: caFile.reveal() }),
      ...(certificateFile && { cert: certificateFile.reveal() }),
      ...(keyFile && { key: keyFile.reveal() }),
      ...(minVersion && { minVersion }),
      ...(maxVersion && { maxVersion }),
      // OpenSSL 3 has the ciphers of TLS 1.0 and 1.1 at this level only.
      ...(/^TLSv1(\.1)?$/.test(minVersion ?? '') && { ciphers: 'DEFAULT:@SECLEVEL=0' }),
    })
    contexts.set(options, context)
    return context
  } catch (error) {
    const files = [caFile, certificateFile, keyFile].flatMap((secret) => secret?.file ?? []).join(', ')
    throw new CheckFailure(
      'misconfigured',
      `The certificates or the key cannot be used. Check that each file is PEM, and that key and certificate match: ${files}`,
      { cause: error },
    )
  }
}

/**
 * Starts TLS on a connection.
 * @param host the name or address to verify in the certificate if the settings have no server name
 * @throws CheckFailure `connection_lost`, the handshake's error, or the error that the connection was destroyed with
 */
export function secure(tcp: Socket, settings: TlsSettings, host: string): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ socket: tcp, host, ...settings })
    socket.on('error', reject) // the listener stays: an error after the handshake must not end the process
    socket.once('secureConnect', () => resolve(socket))
    tcp.once('close', () =>
      reject(
        tcp.errored ?? new CheckFailure('connection_lost', 'The server closed the connection during the handshake. Is this a TLS port?'),
      ),
    )
  })
}

/**
 * When the first of the certificates that the peer sent expires, as a Unix time in milliseconds; NaN without a certificate. Call it last:
 * afterwards, getPeerCertificate of this socket has lost the certificates (seen with Node 24.21).
 */
export function earliestSentExpiry(socket: TLSSocket): number {
  const times: number[] = []
  // X509Certificate knows the issuers that were sent; getPeerCertificate adds those that are trusted here.
  for (let sent = socket.getPeerX509Certificate(); sent !== undefined; sent = sent.issuerCertificate) times.push(sent.validToDate.getTime())
  return times.length === 0 ? Number.NaN : Math.min(...times)
}

/** When the first certificate of the peer's chain, up to the one that is trusted, expires, as a Unix time in milliseconds; NaN without a certificate. */
export function earliestExpiry(socket: TLSSocket): number {
  const seen = new Set<string>()
  let earliest = Number.POSITIVE_INFINITY
  let certificate = socket.getPeerCertificate(true)
  while (certificate?.valid_to !== undefined && !seen.has(certificate.fingerprint256)) {
    seen.add(certificate.fingerprint256)
    earliest = Math.min(earliest, Date.parse(certificate.valid_to))
    certificate = certificate.issuerCertificate
  }
  return seen.size === 0 ? Number.NaN : earliest
}
