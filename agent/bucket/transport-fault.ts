import { tlsMeaning } from '../../shared/tls-errors.ts'
import type { Address } from './address.ts'
import { BucketFault, type BucketFaultCode } from './fault.ts'

type Row = [codes: RegExp, fault: BucketFaultCode, says: (address: Address, error: NodeJS.ErrnoException) => string]

/** What the codes of Node, of the resolver and of OpenSSL mean. The first that fits counts. */
const rows: readonly Row[] = [
  [/^(ENOTFOUND|ENODATA|EAI_NONAME|EAI_NODATA)$/, 'NameUnknown', ({ host }) => `The DNS of the cluster does not know the name ${host}.`],
  [/^EAI_|^(ESERVFAIL|EREFUSED|ETIMEOUT)$/, 'NameServerFailed', ({ host }) => `The DNS of the cluster does not answer for ${host}.`],
  [
    /^ECONNREFUSED$/,
    'ConnectionRefused',
    (address, error) => `${destination(address, error)} refuses the connection: nothing listens there.`,
  ],
  [
    /^(EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL|EACCES|EPERM)$/,
    'Unreachable',
    (address, error) => `${destination(address, error)} cannot be reached from the cluster.`,
  ],
  [/^ETIMEDOUT$/, 'TimedOut', (address, error) => `${destination(address, error)} does not answer.`],
  [
    /^ERR_PROXY_/,
    'ProxyFailed',
    ({ authority }, { message }) => `The proxy of the agent does not lead to ${authority}: ${message.slice(0, 200)}`,
  ],
  [
    /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    'TlsWrongName',
    ({ host }, error) => `The certificate of the store is not valid for ${host}, but for: ${namesIn(error)}.`,
  ],
  [/^CERT_HAS_EXPIRED$/, 'TlsExpired', ({ authority }) => `The certificate of ${authority}, or one of its chain, has expired.`],
  [/^CERT_NOT_YET_VALID$/, 'TlsNotYetValid', ({ authority }) => `The certificate of ${authority} is not valid yet.`],
  [
    /^(SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|INVALID_CA|CERT_UNTRUSTED)/,
    'TlsUntrusted',
    ({ authority }) =>
      `The certificate of ${authority} is not trusted: its issuer is neither among the CAs of the system nor among those built in.`,
  ],
  [/^HPE_/, 'NotS3', ({ authority }) => `What answers at ${authority} is not HTTP.`],
]

/** A fault of the network, of TLS or of a proxy in the words of this house, and what is a BucketFault already as it is. */
export function transportFault(error: unknown, address: Address, user: 'agent' | 'database'): BucketFault {
  const errors = chain(error)
  const own = errors.find((each) => each instanceof BucketFault)
  if (own !== undefined) return own
  for (const each of errors) {
    const [, fault, says] = rows.find(([codes]) => codes.test(each.code ?? '')) ?? []
    if (fault === 'TlsUntrusted' && user === 'database') return untrustedByCrateDb(address, error)
    if (fault !== undefined && says !== undefined) return new BucketFault(fault, says(address, each), { cause: error })
  }
  const meaning = tlsMeaning(error)
  if (meaning !== undefined) return new BucketFault('TlsFailed', `${address.authority}: ${meaning}`, { cause: error })
  // Node's word for a body that ends too early, and for a connection that ends without an answer.
  const isBody = errors.some(({ message }) => message === 'aborted')
  if (isBody) return new BucketFault('AnswerCut', `The answer of ${address.authority} was cut.`, { cause: error })
  return new BucketFault('ConnectionCut', `${address.authority} closes the connection without an answer.`, { cause: error })
}

function untrustedByCrateDb({ authority }: Address, cause: unknown): BucketFault {
  return new BucketFault('TlsUntrusted', `The certificate of ${authority} is of no public authority, and CrateDB trusts no other.`, {
    cause,
    action: 'Give the store a certificate of a public authority. It must send its whole chain.',
  })
}

/** The error, its causes, and the errors of several attempts. */
function chain(error: unknown, depth = 0): NodeJS.ErrnoException[] {
  if (!(error instanceof Error) || depth > 5) return []
  const several = error instanceof AggregateError ? error.errors.flatMap((each) => chain(each, depth + 1)) : []
  return [error, ...several, ...chain(error.cause, depth + 1)]
}

/** Behind a proxy, whoever refuses is the proxy, and its address says so. */
function destination({ authority, host }: Address, error: NodeJS.ErrnoException): string {
  const { address, port } = error as { address?: string; port?: number }
  return address === undefined || address === host ? authority : `${authority} (${address}, port ${port})`
}

function namesIn(error: NodeJS.ErrnoException): string {
  return String((error as { reason?: unknown }).reason)
    .replace(/^.*altnames: /, '')
    .slice(0, 200)
}
