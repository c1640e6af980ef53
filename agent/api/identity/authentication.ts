import { hash } from 'node:crypto'
import type { Clock } from '../../../shared/clock.ts'
import { isProblem, Problem } from '../../../shared/errors.ts'
import { type Part, together } from '../../../shared/lifecycle.ts'
import type { Log } from '../../../shared/log.ts'
import { TokenTime } from '../../clock/index.ts'
import type { ApiContext, Identity } from '../http.ts'
import { createBuckets, type LimitsConfig } from '../limits.ts'
import { createClientAddresses } from './client-address.ts'
import { identityOfCertificate } from './client-certificates.ts'
import type { IdentityConfig } from './config.ts'
import { createJwtVerifier } from './jwt.ts'
import { createTokens } from './tokens.ts'

/** Finds out who sends a request. */
export type Authentication = Part & {
  /** @throws Problem `unauthenticated`, or `rate-limited` after too many failures from the same address */
  identify(c: ApiContext): Promise<Identity>
  /** By source, `tokens` and `keys`: whether its present content cannot be used, so that credentials are judged by an earlier one. */
  stale(): Record<string, boolean>
}

/** A longer credential is refused unread. A token of Cloudflare Access has about 1 KB. */
const maxCredentialLength = 8192

/**
 * Recognises static tokens, signed tokens and client certificates, in this order. A wrong token is refused, even with a valid
 * certificate beside it.
 *
 * Only failures are limited, by the address that they come from. Every credential is looked at first: all requests through a tunnel may have
 * one address, and strangers must not lock out the caller with the right one. Guessing gains nothing from that: a token has 256 bits.
 *
 * @param time by which validity is judged; our own clock when left out
 */
export function createAuthentication(
  config: IdentityConfig,
  limits: Pick<LimitsConfig, 'failuresPerMinute' | 'failuresBurst' | 'clientAddressHeader' | 'trustedProxies'>,
  { clock, time = new TokenTime(clock), log }: { clock: Clock; time?: TokenTime; log: Log },
): Authentication {
  const tools = { clock, time, log }
  const tokens = config.tokensFile === undefined ? undefined : createTokens(config.tokensFile, tools)
  const jwt = config.jwt === undefined ? undefined : createJwtVerifier(config.jwt, tools)
  const failures = createBuckets({ perSecond: limits.failuresPerMinute / 60, burst: limits.failuresBurst }, clock)
  const addresses = createClientAddresses(limits)
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
    const identity = identityOfCertificate(certificate, config.certificates, time)
    if (identity !== undefined) return identity
    throw new Problem('unauthenticated', 'The client certificate is not assigned to an identity.')
  }

  function look(c: ApiContext): Identity | Promise<Identity> {
    const credential = credentialIn(c, config.jwt?.header)
    if (credential === undefined) return identifyByCertificate(c)
    const presented = presentedBy(credential)
    return recognise(presented, hash('sha256', presented.token, 'hex'))
  }

  async function identify(c: ApiContext): Promise<Identity> {
    try {
      return await look(c)
    } catch (error) {
      const wait = isProblem(error, 'unauthenticated') ? failures.take(addresses.of(c)) : 0
      throw wait > 0 ? tooManyFailures(wait) : error
    }
  }

  const stale = () => ({ ...(tokens && { tokens: tokens.isStale() }), ...(jwt && { keys: jwt.isStale() }) })
  return { ...together('authentication', parts), identify, stale }
}

function tooManyFailures(wait: number): Problem {
  const retryAfterSeconds = Math.max(1, Math.ceil(wait))
  const detail = `The request carries no valid credential, and too many such requests came from this address. Try again in ${retryAfterSeconds} s.`
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
