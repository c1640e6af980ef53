import { tlsMeaning } from '../../shared/tls-errors.ts'

/** Why a check is not up, and where to look. A new reason is one new row. Reasons become values of a label, so there are few. */
export const reasons = {
  timeout: 'No answer in time. Check whether the process hangs, the machine is overloaded, or a firewall drops packets.',
  connection_refused: 'Nothing listens on that port. Check that the service is running, and that host and port are right.',
  connection_lost: 'The connection was closed before the answer was complete. See the log of the service.',
  unreachable: 'There is no route to the host. Check that the host is switched on, and check the network and its policies.',
  dns: 'The name does not resolve. Check its spelling, and check the name servers.',
  tls: 'The TLS handshake failed, or the certificate is not trusted. Check its chain, names and dates.',
  unauthorized: 'The credentials were rejected. Check that they are current, and what they permit.',
  protocol: 'The answer violates the protocol. Check that this is the right service and port.',
  too_large: 'The answer is larger than the check accepts.',
  unexpected_answer: 'The target answered, but not as expected.',
  missing: 'The target does not exist.',
  failing: 'The target reports that a part of it has failed.',
  unavailable: 'The target is not ready to serve.',
  partly_unavailable: 'Some parts of the target are unavailable.',
  limit: 'A measured value is beyond its limit.',
  expiring: 'Something expires soon.',
  monitor_disconnected: 'The monitor itself has no connection and cannot tell, so the check is unknown. See /readyz of the monitor.',
  misconfigured: 'The check cannot run as configured.',
  error: 'The check failed for another reason.',
} as const satisfies Record<string, string>

/** A key of `reasons`. */
export type Reason = keyof typeof reasons

/** A failure whose reason is known. A check throws it where it cannot go on; the check is then down. */
export class CheckFailure extends Error {
  override readonly name = 'CheckFailure'
  readonly reason: Reason

  /** @param detail a sentence for people, without secrets */
  constructor(reason: Reason, detail: string, { cause }: { cause?: unknown } = {}) {
    super(detail, { cause })
    this.reason = reason
  }
}

const codes: Record<string, Reason> = {
  ECONNREFUSED: 'connection_refused',
  ENOENT: 'connection_refused', // a Unix socket that is not there
  ECONNRESET: 'connection_lost',
  EPIPE: 'connection_lost',
  ECONNABORTED: 'connection_lost',
  ERR_STREAM_PREMATURE_CLOSE: 'connection_lost',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  EADDRNOTAVAIL: 'unreachable',
  EHOSTDOWN: 'unreachable',
  ENETDOWN: 'unreachable',
  ETIMEDOUT: 'timeout',
  ETIMEOUT: 'timeout', // how c-ares spells it
  ABORT_ERR: 'timeout',
  ENOTFOUND: 'dns',
  EAI_AGAIN: 'dns',
  ENODATA: 'dns',
  ESERVFAIL: 'dns',
  EREFUSED: 'dns',
  EFORMERR: 'dns',
  EBADRESP: 'dns',
  EACCES: 'unauthorized', // a Unix socket that this user may not open
  EPERM: 'unauthorized',
  EPROTO: 'tls',
  SELF_SIGNED_CERT_IN_CHAIN: 'tls',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'tls',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'tls',
  UNABLE_TO_GET_ISSUER_CERT: 'tls',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'tls',
  HOSTNAME_MISMATCH: 'tls',
  INVALID_CA: 'tls',
  CERT_UNTRUSTED: 'tls',
}

/** The reason that an error's code, name or cause stands for. */
export function reasonOf(error: unknown): Reason {
  if (error instanceof CheckFailure) return error.reason
  if (!(error instanceof Error)) return 'error'
  // Several addresses were tried. The first error with a meaning speaks for all of them.
  if (error instanceof AggregateError && error.errors.length > 0)
    return error.errors.map(reasonOf).find((reason) => reason !== 'error') ?? 'error'
  const code = (error as NodeJS.ErrnoException).code
  if (typeof code === 'string') {
    const known = codes[code]
    if (known !== undefined) return known
    if (/^(ERR_TLS|ERR_SSL|CERT_|ERR_OSSL)/.test(code)) return 'tls'
    if (code.startsWith('HPE_') || code.startsWith('ERR_HTTP')) return 'protocol'
  }
  if (error.name === 'TimeoutError' || error.name === 'AbortError') return 'timeout'
  if (error instanceof SyntaxError) return 'protocol'
  return error.cause === undefined ? 'error' : reasonOf(error.cause)
}

/** What happened and what to do: one or two sentences, without secrets, as long as the message that was thrown. */
export function explain(error: unknown): string {
  if (error instanceof CheckFailure) return error.message
  const meaning = tlsMeaning(error)
  if (meaning !== undefined) return meaning
  const hint = reasons[reasonOf(error)]
  const said = `${messageOf(error)}.`
  return hint.startsWith(`${said} `) ? hint : `${said} ${hint}`
}

/** What happened, without a full stop: the message of a thrown value or, of a fault of TLS, what it means. */
export function messageOf(error: unknown): string {
  const meaning = tlsMeaning(error)
  if (meaning !== undefined) return meaning.replace(/\.$/, '')
  if (error instanceof AggregateError && error.errors.length > 0) return [...new Set(error.errors.map(messageOf))].join(', ')
  if (!(error instanceof Error)) return String(error)
  if (error.name === 'TimeoutError' || error.name === 'AbortError') return 'No answer in time'
  return error.message.replace(/\.$/, '') || ((error as NodeJS.ErrnoException).code ?? error.name)
}
