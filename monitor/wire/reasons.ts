/** Why a check is not up. A new one is one new row; each becomes a value of a label, so there are few. */
export const reasons = {
  timeout: 'No answer in time. See whether the process hangs, the machine is overloaded, or a firewall drops packets.',
  connection_refused: 'Nothing listens there. See whether the service runs, and whether host and port are right.',
  connection_lost: 'The connection was closed before the answer was complete. See the log of the service.',
  unreachable: 'There is no route to the host. See whether it is switched on, and the network and its policies.',
  dns: 'The name does not resolve. See whether it is spelt right, and the name servers.',
  tls: 'The TLS handshake failed, or the certificate is not to be trusted. See its chain, its names and its dates.',
  unauthorized: 'The credentials were refused. See whether they are current, and what they are allowed.',
  protocol: 'The answer is not what this protocol allows. See whether this is the right service and port.',
  too_large: 'The answer is larger than the check takes.',
  unexpected_answer: 'It answered, but not what was expected.',
  missing: 'What should be checked is not there.',
  failing: 'It says itself that something in it has failed.',
  unavailable: 'It is not ready to serve.',
  partly_unavailable: 'Some parts of it are not available.',
  limit: 'A measured value is beyond its limit.',
  expiring: 'Something expires soon.',
  monitor_disconnected: 'The monitor itself has no connection, and cannot know: the check is unknown. See /readyz of the monitor.',
  misconfigured: 'The check cannot be run as it is configured.',
  error: 'It failed in a way that has no name here.',
} as const satisfies Record<string, string>

/** The key of a row in `reasons`. */
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

/** Why, by the code, the name or the cause of an error. */
export function reasonOf(error: unknown): Reason {
  if (error instanceof CheckFailure) return error.reason
  if (!(error instanceof Error)) return 'error'
  // Several addresses were tried: the first one that has a meaning speaks for all.
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

/** What an error says, on behalf of all of its parts; the text of another value. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return [...new Set(error.errors.map(messageOf))].join(', ')
  if (!(error instanceof Error)) return String(error)
  if (error.name === 'TimeoutError' || error.name === 'AbortError') return 'No answer in time'
  return error.message.replace(/\.$/, '') || ((error as NodeJS.ErrnoException).code ?? error.name)
}
