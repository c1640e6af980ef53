import { X509Certificate } from 'node:crypto'
import { checkServerIdentity, type PeerCertificate, type TLSSocket } from 'node:tls'
import * as z from 'zod'
import { farewell } from '../wire/farewell.ts'
import { host, hostAndPort, port } from '../wire/fields.ts'
import { CheckFailure, reasonOf } from '../wire/reasons.ts'
import { openSocket } from '../wire/socket.ts'
import { askForTls, goodbyes, startTlsProtocols } from '../wire/starttls.ts'
import { secure, tlsFields, tlsOf } from '../wire/tls.ts'
import { expiryOf, shorten } from '../wire/wording.ts'
import { type CheckResult, checkKind } from './kind.ts'

const { verify, ...trust } = tlsFields

const options = z.strictObject({
  host: host.describe('Host name or IP address.'),
  port: port.default(443).describe('TCP port.'),
  starttls: z
    .enum(startTlsProtocols)
    .optional()
    .describe(
      'Protocol that the connection begins with, before TLS starts on it, such as `smtp` at port 25 or 587. By default TLS starts at once.',
    ),
  warnDays: z.number().min(0).default(14).describe('Degraded when a certificate of the chain expires within this many days.'),
  downDays: z.number().min(0).default(0).describe('Down when a certificate of the chain expires within this many days.'),
  verify: verify.describe('Whether to verify the chain and the names. With false, only the dates count.'),
  ...trust,
})

type TlsCheckOptions = z.output<typeof options>
type ChainPart = { name: string; from: number; until: number }

/** Up when the handshake succeeds, the chain is trusted for the name, and none of its certificates expires soon. */
export const tls = checkKind({
  about:
    'Makes a TLS handshake, after `STARTTLS` if configured, and inspects the certificate chain. Down when the chain is not trusted, not valid for the name, not valid yet, or expired. Degraded when one of its certificates expires within `warnDays`.',
  example: { host: 'shop.example.com', warnDays: 21 },
  options,
  measures: {
    skerry_tls_certificate_expiry_timestamp_seconds: { type: 'gauge', help: "When the first certificate in the server's chain expires." },
    skerry_tls_certificate_start_timestamp_seconds: { type: 'gauge', help: "When the server's own certificate becomes valid." },
    skerry_tls_chain_certificates: { type: 'gauge', help: 'Certificates in the chain, as far as the chain is known.' },
    skerry_tls_handshake_seconds: { type: 'gauge', help: 'Time for connection and handshake.' },
    skerry_tls_info: {
      type: 'gauge',
      help: 'Always 1; version and cipher of the connection are its labels.',
      labels: ['version', 'cipher'],
    },
  },
  target: hostAndPort,
  async check(options, { signal, now = Date.now }) {
    const started = performance.now()
    const tcp = await openSocket(options, signal)
    const goodbye = options.starttls && goodbyes[options.starttls]
    let secured: TLSSocket | undefined
    try {
      if (options.starttls !== undefined) await askForTls(tcp, options.starttls, signal)
      // The chain is verified after the handshake, so that a faulty chain is measured and its fault is named.
      const socket = await secure(tcp, { ...tlsOf(options, options.host), rejectUnauthorized: false }, options.host)
      secured = socket
      const seconds = (performance.now() - started) / 1000
      const chain = chainOf(socket)
      const [own] = chain
      if (own === undefined) throw new CheckFailure('tls', 'The server presented no certificate. See its configuration.')
      const measurements = [
        { name: 'skerry_tls_certificate_expiry_timestamp_seconds', value: Math.min(...chain.map((part) => part.until)) / 1000 },
        { name: 'skerry_tls_certificate_start_timestamp_seconds', value: own.from / 1000 },
        { name: 'skerry_tls_chain_certificates', value: chain.length },
        { name: 'skerry_tls_handshake_seconds', value: seconds },
        { name: 'skerry_tls_info', labels: { version: socket.getProtocol() ?? '', cipher: socket.getCipher().name }, value: 1 },
      ]
      return { ...judge(options, socket, chain, now()), measurements }
    } finally {
      if (secured !== undefined && goodbye !== undefined) farewell(secured, goodbye)
      else tcp.destroy()
    }
  },
})

function chainOf(socket: TLSSocket): ChainPart[] {
  const chain: ChainPart[] = []
  const seen = new Set<string>()
  let certificate = socket.getPeerCertificate(true)
  while (certificate?.raw !== undefined && !seen.has(certificate.fingerprint256)) {
    seen.add(certificate.fingerprint256)
    const { validFromDate, validToDate } = new X509Certificate(certificate.raw)
    chain.push({ name: nameOf(certificate), from: validFromDate.getTime(), until: validToDate.getTime() })
    certificate = certificate.issuerCertificate
  }
  return chain
}

function nameOf({ subject, subjectaltname }: PeerCertificate): string {
  return shorten(String(subject?.CN ?? subjectaltname?.split(',')[0]?.replace(/^\w+:/, '') ?? 'without a name'), 80)
}

function judge(
  options: TlsCheckOptions,
  socket: TLSSocket,
  chain: ChainPart[],
  now: number,
): Pick<CheckResult, 'state' | 'reason' | 'detail'> {
  const [first] = [...chain].sort((a, b) => a.until - b.until) as [ChainPart, ...ChainPart[]]
  const days = (first.until - now) / 86_400_000
  const detail = `The certificate ${first.name} ${expiryOf(days)}.`
  if (first.until <= now) return { state: 'down', reason: 'tls', detail: `${detail} Renew it.` }
  const early = chain.find((part) => part.from > now)
  if (early)
    return {
      state: 'down',
      reason: 'tls',
      detail: `The certificate ${early.name} is not valid before ${new Date(early.from).toISOString()}. Check the clocks of both machines.`,
    }
  if (options.verify) {
    const fault = distrust(options, socket)
    if (fault !== undefined) return { state: 'down', reason: 'tls', detail: fault }
  }
  if (days < options.downDays) return { state: 'down', reason: 'expiring', detail: `${detail} Renew it.` }
  if (days < options.warnDays) return { state: 'degraded', reason: 'expiring', detail: `${detail} Renew it.` }
  return { state: 'up', detail }
}

function distrust(options: TlsCheckOptions, socket: TLSSocket): string | undefined {
  const unnamed = checkServerIdentity(options.serverName ?? options.host, socket.getPeerCertificate())
  if (unnamed)
    return `The certificate is not valid for ${options.serverName ?? options.host}: ${shorten(unnamed.message, 200)}. Issue it for this name, or set serverName.`
  const fault = socket.authorizationError as Error | string | null
  // The name was verified above. Node reports it here as well, because rejectUnauthorized is off.
  if (!fault || String(fault).includes('ALTNAME')) return undefined
  const code = typeof fault === 'string' ? fault : ((fault as NodeJS.ErrnoException).code ?? reasonOf(fault))
  return `The chain is not trusted (${shorten(code, 80)}). Configure the server to send the whole chain, or set caFile to its CA certificate.`
}
