import { hash } from 'node:crypto'
import type { Clock } from '../../../shared/clock.ts'
import { isProblem, Problem } from '../../../shared/errors.ts'
import type { Part } from '../../../shared/lifecycle.ts'
import type { Log } from '../../../shared/log.ts'
import { header, remoteAddress } from '../header.ts'
import type { ApiContext, Identity } from '../http.ts'
import { createBuckets, type LimitsConfig } from '../limits.ts'
import { createClientCertificates } from './client-certificates.ts'
import type { IdentityConfig } from './config.ts'
import { createJwtVerifier } from './jwt.ts'
import { createTokens } from './tokens.ts'

/** Tells who sends a request. */
export type Authentication = Part & {
  /** @throws Problem `unauthenticated`, or `rate-limited` after too many failures from the same address */
  identify(c: ApiContext): Identity | Promise<Identity>
}

/** Longer ones are none of ours. A token of Cloudflare Access has about 1 KB. */
const maxCredentialLength = 8192
const mostFamiliar = 10_000
/** How long a connection that proved a credential is not asked to prove the same one again. A revoked one lives that long. */
const provenMs = 1_000

/**
 * Recognises static tokens, signed tokens and client certificates, in this order. A token that is presented and is wrong is
 * refused, even with a good certificate beside it.
 *
 * Failures slow down the address they come from: after some of them, a credential from there is no longer looked at for a while,
 * unless it was right before. All that comes through a tunnel has one address, and one caller with a wrong token must not lock
 * out the others.
 */
export function createAuthentication(
  config: IdentityConfig,
  limits: Pick<LimitsConfig, 'failuresPerMinute' | 'failuresBurst' | 'clientAddressHeader'>,
  { clock, log }: { clock: Clock; log: Log },
): Authentication {
  const tokens = config.tokensFile === undefined ? undefined : createTokens(config.tokensFile, { clock, log })
  const jwt = config.jwt === undefined ? undefined : createJwtVerifier(config.jwt, { clock, log })
  const certificates = createClientCertificates(config.certificates, clock)
  const failures = createBuckets({ perSecond: limits.failuresPerMinute / 60, burst: limits.failuresBurst }, clock)
  const familiar = new Set<string>()
  const proven = new WeakMap<object, { text: string; identity: Identity; until: number }>()
  const parts: Part[] = [tokens, jwt].filter((part) => part !== undefined)

  function recognise({ token, isJwt }: Presented, sha256: string): Identity | Promise<Identity> {
    const identity = isJwt ? undefined : tokens?.find(sha256)
    if (identity !== undefined) return identity
    if (jwt !== undefined && (isJwt || (config.jwt?.header === 'authorization' && looksSigned(token)))) return jwt.verify(token, sha256)
    throw new Problem('unauthenticated', 'The token is not known here.')
  }

  function identifyByCertificate(c: ApiContext): Identity {
    const certificate = c.env?.peer?.certificate
    const identity = certificate === undefined ? undefined : certificates.find(certificate)
    if (identity !== undefined) return identity
    const detail =
      certificate === undefined ? 'There is no credential in the request.' : 'The client certificate belongs to nobody known here.'
    throw new Problem('unauthenticated', detail)
  }

  function identify(c: ApiContext): Identity | Promise<Identity> {
    const credential = credentialIn(c, config.jwt?.header)
    if (credential === undefined) return identifyByCertificate(c)
    // What a connection compares with is only what it has shown itself, so that this tells nobody anything.
    const connection = c.env?.incoming?.socket
    const last = connection && proven.get(connection)
    if (last !== undefined && last.text === credential.text && clock.monotonic() < last.until) return last.identity

    const presented = presentedBy(credential)
    const address = clientAddress(c, limits.clientAddressHeader)
    const sha256 = hash('sha256', presented.token, 'hex')
    const key = `${address} ${sha256}`
    const wait = failures.wait(address)
    if (wait > 0 && !familiar.has(key)) throw tooManyFailures(wait)

    const failed = (error: unknown): never => {
      if (isProblem(error, 'unauthenticated')) {
        familiar.delete(key)
        failures.take(address)
      }
      throw error
    }
    const known = (identity: Identity): Identity => {
      if (connection) proven.set(connection, { text: credential.text, identity, until: clock.monotonic() + provenMs })
      if (familiar.has(key)) return identity
      if (familiar.size >= mostFamiliar) familiar.clear()
      familiar.add(key)
      return identity
    }
    try {
      const identity = recognise(presented, sha256)
      return identity instanceof Promise ? identity.then(known, failed) : known(identity)
    } catch (error) {
      return failed(error)
    }
  }

  return {
    name: 'authentication',
    async start(signal) {
      const started: Part[] = []
      try {
        for (const part of parts) {
          await part.start(signal)
          started.push(part)
        }
      } catch (error) {
        for (const part of started) await part.stop(0)
        throw error
      }
    },
    async stop(deadline) {
      for (const part of parts.toReversed()) await part.stop(deadline)
    },
    identify,
  }
}

function tooManyFailures(wait: number): Problem {
  const retryAfterSeconds = Math.max(1, Math.ceil(wait))
  const detail = `Too many credentials from this address were wrong. Come back in ${retryAfterSeconds} s.`
  return new Problem('rate-limited', detail, { retryAfterSeconds })
}

/** A header that holds a credential, as it stands. */
type Credential = { text: string; isAssertion: boolean }

function credentialIn(c: ApiContext, jwtHeader: string | undefined): Credential | undefined {
  const authorization = header(c, 'authorization')
  if (authorization !== undefined) return { text: authorization, isAssertion: false }
  const assertion = jwtHeader === undefined || jwtHeader === 'authorization' ? undefined : header(c, jwtHeader)
  return assertion === undefined ? undefined : { text: assertion, isAssertion: true }
}

/** `isJwt`: it stands in a header of its own, where only signed tokens are. */
type Presented = { token: string; isJwt: boolean }

function presentedBy({ text, isAssertion }: Credential): Presented {
  if (text.length > maxCredentialLength) throw new Problem('unauthenticated', 'The credential is too long to be one of ours.')
  if (isAssertion) {
    if (!looksSigned(text)) throw new Problem('unauthenticated', 'The signed token cannot be read.')
    return { token: text, isJwt: true }
  }
  const token = /^Bearer +([\w~+/.=-]+)$/i.exec(text)?.[1]
  if (token === undefined) throw new Problem('unauthenticated', 'The header Authorization is not "Bearer" and a token.')
  return { token, isJwt: false }
}

function looksSigned(token: string): boolean {
  return /^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)
}

/** The client's address: what the proxy in front says, if its header is configured, else the other end of the connection. */
export function clientAddress(c: ApiContext, headerName: string | undefined): string {
  const told = headerName === undefined ? undefined : header(c, headerName)?.split(',')[0]?.trim().slice(0, 45)
  return told || remoteAddress(c)
}
