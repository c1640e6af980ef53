import type { JWTPayload, JWTVerifyGetKey } from 'jose'
import type { Clock } from '../../../shared/clock.ts'
import { Problem } from '../../../shared/errors.ts'
import type { Part } from '../../../shared/lifecycle.ts'
import type { Log } from '../../../shared/log.ts'
import type { Identity, Scope } from '../http.ts'
import { scopes } from '../resources.ts'
import type { JwtConfig } from './config.ts'
import { createFileValue, type FileValue } from './file.ts'

/** Verifies signed tokens. */
export type JwtVerifier = Part & {
  /**
   * @param sha256 of the token: a verified token is remembered by it for a minute
   * @throws Problem `unauthenticated` with the reason, `busy` when the keys cannot be fetched
   */
  verify(token: string, sha256: string): Identity | Promise<Identity>
}

const rememberedMs = 60_000
const mostRemembered = 1_000
const keysTimeoutMs = 5_000
const keysCooldownMs = 30_000
const keysMaxAgeMs = 600_000
/** The clocks of two machines may differ by this much. */
const toleranceSeconds = 30

/** Loads jose when it starts: an agent without signed tokens saves the memory. */
export function createJwtVerifier(config: JwtConfig, { clock, log }: { clock: Clock; log: Log }): JwtVerifier {
  const remembered = new Map<string, { identity: Identity; until: number }>()
  let keysFile: FileValue<JWTVerifyGetKey> | undefined
  let verifyNow: ((token: string) => Promise<JWTPayload>) | undefined

  async function check(token: string, sha256: string): Promise<Identity> {
    if (verifyNow === undefined) throw new Problem('not-ready', 'The keys of signed tokens are not loaded yet.')
    const payload = await verifyNow(token)
    const identity = identityOf(payload, config)
    if (remembered.size >= mostRemembered) remembered.clear()
    const expiresAt = (payload.exp as number) * 1000
    remembered.set(sha256, { identity, until: Math.min(clock.now() + rememberedMs, expiresAt) })
    return identity
  }

  return {
    name: 'signed tokens',
    async start(signal) {
      const jose = await import('jose')
      let keys: JWTVerifyGetKey
      if (config.jwksFile !== undefined) {
        const parse = (text: string) => jose.createLocalJWKSet(JSON.parse(text))
        const file = createFileValue(config.jwksFile, parse, { name: 'keys of signed tokens', clock, log })
        await file.start(signal)
        keysFile = file
        keys = (header, token) => file.value()(header, token)
      } else {
        keys = jose.createRemoteJWKSet(new URL(config.jwksUrl as string), {
          timeoutDuration: keysTimeoutMs,
          cooldownDuration: keysCooldownMs,
          cacheMaxAge: keysMaxAgeMs,
        })
      }
      verifyNow = async (token) => {
        try {
          const { payload } = await jose.jwtVerify(token, keys, {
            issuer: config.issuer,
            audience: config.audience,
            algorithms: config.algorithms,
            clockTolerance: toleranceSeconds,
            requiredClaims: ['exp'],
            currentDate: new Date(clock.now()),
          })
          return payload
        } catch (error) {
          throw problemOf(error, jose)
        }
      }
    },
    async stop(deadline) {
      await keysFile?.stop(deadline)
    },
    verify(token, sha256) {
      const known = remembered.get(sha256)
      if (known !== undefined && clock.now() < known.until) return known.identity
      return check(token, sha256)
    },
  }
}

/** A refusal by jose, in words for the caller. It reveals nothing but what the caller's own token says. */
function problemOf(error: unknown, { errors }: typeof import('jose')): Problem {
  const unauthenticated = (detail: string) => new Problem('unauthenticated', detail, { cause: error })
  if (error instanceof errors.JWTExpired) return unauthenticated('The token has expired.')
  if (error instanceof errors.JWTClaimValidationFailed)
    return unauthenticated(`The claim "${error.claim}" of the token is not accepted here.`)
  if (error instanceof errors.JOSEAlgNotAllowed) return unauthenticated('The signature algorithm of the token is not accepted here.')
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys)
    return unauthenticated('The key that signed the token is unknown here.')
  if (error instanceof errors.JWTInvalid || error instanceof errors.JWSInvalid) return unauthenticated('The token is malformed.')
  if (error instanceof errors.JWSSignatureVerificationFailed) return unauthenticated('The signature of the token is wrong.')
  if (error instanceof errors.JOSENotSupported) return unauthenticated('The signature algorithm of the token is not accepted here.')
  return new Problem('busy', 'The keys of the identity provider cannot be fetched.', {
    cause: error,
    retryAfterSeconds: keysCooldownMs / 1000,
  })
}

function identityOf(payload: JWTPayload, config: JwtConfig): Identity {
  const name = config.nameClaims.map((claim) => claimAt(payload, claim)).find((value) => typeof value === 'string' && value !== '')
  if (typeof name !== 'string') throw new Problem('unauthenticated', `The token has none of the claims ${config.nameClaims.join(', ')}.`)
  const granted = new Set<Scope>(scopesIn(claimAt(payload, config.scopesClaim)))
  for (const { claim, value, scopes: more } of config.grants) {
    const given = claimAt(payload, claim)
    const fits = Array.isArray(given) ? given.includes(value) : given === value
    if (fits) for (const scope of more) granted.add(scope)
  }
  return { name: name.slice(0, 100), scopes: granted }
}

/** Skerry's scopes among those in a claim, which may have others for other programs. */
function scopesIn(claim: unknown): Scope[] {
  const given = typeof claim === 'string' ? claim.split(' ') : Array.isArray(claim) ? claim : []
  return scopes.filter((scope) => given.includes(scope))
}

/** A claim by its name or its path: `custom.scopes`. */
function claimAt(payload: JWTPayload, path: string): unknown {
  if (Object.hasOwn(payload, path)) return payload[path]
  let here: unknown = payload
  for (const piece of path.split('.')) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, piece)) return undefined
    here = (here as Record<string, unknown>)[piece]
  }
  return here
}
