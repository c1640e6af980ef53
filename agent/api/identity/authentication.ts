import { hash } from 'node:crypto'
import type { Clock } from '../../../shared/clock.ts'
import { isProblem, Problem } from '../../../shared/errors.ts'
import { type Part, together } from '../../../shared/lifecycle.ts'
import type { Log } from '../../../shared/log.ts'
import type { ApiContext, Identity } from '../http.ts'
import { createBuckets, type LimitsConfig } from '../limits.ts'
import { identityOfCertificate } from './client-certificates.ts'
import type { IdentityConfig } from './config.ts'
import { createJwtVerifier } from './jwt.ts'
import { createTokens } from './tokens.ts'

/** Finds out who sends a request. */
export type Authentication = Part & {
  /** @throws Problem `unauthenticated`, or `rate-limited` after too many failures from the same address */
  identify(c: ApiContext): Promise<Identity>
}

/** A longer credential is refused unread. A token of Cloudflare Access has about 1 KB. */
const maxCredentialLength = 8192
const mostFamiliar = 10_000

/**
 * Recognises static tokens, signed tokens and client certificates, in this order. A wrong token is refused, even with a valid
 * certificate beside it.
 *
 * Failures slow down the address they come from: after some of them, credentials from that address are refused unread for a while,
 * except those that were right before. All requests through a tunnel have one address, and a caller with a wrong token must not lock
 * the others out.
 */
export function createAuthentication(
  config: IdentityConfig,
  limits: Pick<LimitsConfig, 'failuresPerMinute' | 'failuresBurst' | 'clientAddressHeader'>,
  { clock, log }: { clock: Clock; log: Log },
): Authentication {
  const tokens = config.tokensFile === undefined ? undefined : createTokens(config.tokensFile, { clock, log })
  const jwt = config.jwt === undefined ? undefined : createJwtVerifier(config.jwt, { clock, log })
  const failures = createBuckets({ perSecond: limits.failuresPerMinute / 60, burst: limits.failuresBurst }, clock)
  const familiar = new Set<string>()
  const parts: Part[] = [tokens, jwt].filter((part) => part !== undefined)

  function recognise({ token, isJwt }: Presented, sha256: string): Identity | Promise<Identity> {
    const identity = isJwt ? undefined : tokens?.find(sha256)
    if (identity !== undefined) return identity
    if (jwt !== undefined && (isJwt || (config.jwt?.header === 'authorization' && looksSigned(token)))) return jwt.verify(token, sha256)
    throw new Problem('unauthenticated', 'The token is not valid here.')
  }

  function identifyByCertificate(c: ApiContext): Identity {
    const certificate = c.env?.peer?.certificate
    if (certificate === undefined) throw new Problem('unauthenticated', 'The request has no credential.')
    const identity = identityOfCertificate(certificate, config.certificates, clock)
    if (identity !== undefined) return identity
    throw new Problem('unauthenticated', 'The client certificate is not assigned to an identity.')
  }

  async function identify(c: ApiContext): Promise<Identity> {
    const credential = credentialIn(c, config.jwt?.header)
    if (credential === undefined) return identifyByCertificate(c)
    const presented = presentedBy(credential)
    const address = clientAddress(c, limits.clientAddressHeader)
    const sha256 = hash('sha256', presented.token, 'hex')
    const key = `${address} ${sha256}`
    const wait = failures.wait(address)
    if (wait > 0 && !familiar.has(key)) throw tooManyFailures(wait)
    try {
      const identity = await recognise(presented, sha256)
      if (familiar.size >= mostFamiliar && !familiar.has(key)) familiar.clear()
      familiar.add(key)
      return identity
    } catch (error) {
      if (isProblem(error, 'unauthenticated')) {
        familiar.delete(key)
        failures.take(address)
      }
      throw error
    }
  }

  return { ...together('authentication', parts), identify }
}

function tooManyFailures(wait: number): Problem {
  const retryAfterSeconds = Math.max(1, Math.ceil(wait))
  const detail = `Too many wrong credentials came from this address. Try again in ${retryAfterSeconds} s.`
  return new Problem('rate-limited', detail, { retryAfterSeconds })
}

/** The header with the credential, unparsed. `isAssertion`: it is a header of its own for signed tokens. */
type Credential = { text: string; isAssertion: boolean }

function credentialIn(c: ApiContext, jwtHeader: string | undefined): Credential | undefined {
  const authorization = c.req.header('authorization')
  if (authorization !== undefined) return { text: authorization, isAssertion: false }
  const assertion = jwtHeader === undefined || jwtHeader === 'authorization' ? undefined : c.req.header(jwtHeader)
  return assertion === undefined ? undefined : { text: assertion, isAssertion: true }
}

/** `isJwt`: it came in the header for signed tokens, which takes nothing else. */
type Presented = { token: string; isJwt: boolean }

function presentedBy({ text, isAssertion }: Credential): Presented {
  if (text.length > maxCredentialLength)
    throw new Problem('unauthenticated', `The credential has more than ${maxCredentialLength} characters.`)
  if (isAssertion) {
    if (!looksSigned(text)) throw new Problem('unauthenticated', 'The signed token is malformed.')
    return { token: text, isJwt: true }
  }
  const token = /^Bearer +([\w~+/.=-]+)$/i.exec(text)?.[1]
  if (token === undefined) throw new Problem('unauthenticated', 'The header Authorization must be "Bearer" and a token.')
  return { token, isJwt: false }
}

function looksSigned(token: string): boolean {
  return /^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)
}

/**
 * The client's address: from the proxy's header if one is configured, else the other end of the connection. Without such a header,
 * every request through the tunnel has the address of cloudflared.
 */
export function clientAddress(c: ApiContext, headerName: string | undefined): string {
  const told = headerName === undefined ? undefined : c.req.header(headerName)?.split(',')[0]?.trim().slice(0, 45)
  return told || (c.env?.peer?.address ?? 'unknown')
}
