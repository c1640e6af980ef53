/** What a fault of a TLS connection means and what to do about it, by the code of Node or OpenSSL. The first that fits counts. */
const meanings: readonly (readonly [code: RegExp, meaning: string])[] = [
  // What a server without TLS answers is read as a record of TLS, whose version or length is then absurd.
  [
    /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|BAD_RECORD_TYPE|HTTP_REQUEST|UNKNOWN_PROTOCOL/,
    'The server does not answer with TLS. Is this a TLS port? Correct the port, or connect without TLS.',
  ],
  [
    /SELF_SIGNED|UNABLE_TO_(VERIFY|GET)|CERT_UNTRUSTED|INVALID_CA/,
    'The certificate of the server is not trusted: its issuer is neither among the CAs of the system nor among those built in. Set caFile to the CA certificate, or let the server send its whole chain.',
  ],
  [
    /CERT_HAS_EXPIRED/,
    'The certificate of the server, or one of its chain, has expired. Renew it; if its dates are right, check the clock of this machine.',
  ],
  [/CERT_NOT_YET_VALID/, 'The certificate of the server is not valid yet. Check the clocks of both machines.'],
  [/CERT_REVOKED/, 'The certificate of the server is revoked. Renew it.'],
  [/CERTIFICATE_REQUIRED/, 'The server asks for a client certificate. Set the files of a certificate and its key.'],
  [
    /ALERT_(BAD_CERTIFICATE|UNKNOWN_CA|CERTIFICATE_\w+|UNSUPPORTED_CERTIFICATE)/,
    'The server rejects the client certificate. Check that it is current, and that the server trusts its issuer.',
  ],
  [/UNRECOGNIZED_NAME/, 'The server has no certificate for this name. Set serverName to one that it has.'],
  [
    /PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|NO_PROTOCOLS_AVAILABLE/,
    'The server speaks no version of TLS that is accepted here: 1.2 or later. Enable one on the server.',
  ],
  [
    /HANDSHAKE_FAILURE|NO_SHARED_CIPHER|INSUFFICIENT_SECURITY/,
    'The server refuses the handshake. See its log: it may share no cipher, ask for a client certificate, or not know the name.',
  ],
  [/NO_APPLICATION_PROTOCOL/, 'The server does not speak the protocol that was asked for over TLS (ALPN). Is this the right port?'],
  [/(CA|KEY|EE_KEY|MD)_TOO_(SMALL|WEAK)/, 'The certificate or the key exchange of the server is too weak. Renew it with a longer key.'],
]

/** The longest chain of causes that is followed. */
const maxCauses = 5

/**
 * What an error of a TLS connection means and what to do, in place of OpenSSL's text and of Node's advice on its own flags; undefined for any
 * other error. The causes of the error, and the errors of several attempts, are looked at too.
 */
export function tlsMeaning(error: unknown, depth = 0): string | undefined {
  if (!(error instanceof Error) || depth > maxCauses) return undefined
  const { code, host, reason } = error as { code?: unknown; host?: unknown; reason?: unknown }
  // Node's own words, for a connection that ends before the handshake has.
  if (error.message.startsWith('Client network socket disconnected before secure TLS'))
    return 'The server closed the connection during the TLS handshake. Is this a TLS port? See the log of the server.'
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const names = String(reason).replace(/^.*altnames: /, '')
    return `The certificate of the server is not valid for ${host}, but for: ${names.slice(0, 200)}. Issue it for this name, or set serverName.`
  }
  const opensslReason = /\berror:[0-9A-F]{6,8}:[^:]*:[^:]*:([^:]{1,80})/.exec(error.message)?.[1]
  if (
    opensslReason !== undefined ||
    (typeof code === 'string' && /^(ERR_(TLS|SSL)_|CERT_|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|INVALID_CA)/.test(code))
  ) {
    const names = `${code} ${(opensslReason ?? '').toUpperCase().replace(/[^A-Z0-9]+/g, '_')}`
    const [, known] = meanings.find(([pattern]) => pattern.test(names)) ?? []
    if (known !== undefined) return known
    if (opensslReason !== undefined) return `The TLS handshake failed: ${opensslReason.trim()}. See the log of the server.`
  }
  if (error instanceof AggregateError) return error.errors.map((each) => tlsMeaning(each, depth + 1)).find((found) => found !== undefined)
  return tlsMeaning(error.cause, depth + 1)
}
