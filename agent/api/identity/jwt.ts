import type { JWTPayload, JWTVerifyOptions } from 'jose'
import type { Clock } from '../../../shared/clock.ts'
import { shown } from '../../../shared/clock-wording.ts'
import { Problem } from '../../../shared/errors.ts'
import type { Part } from '../../../shared/lifecycle.ts'
import type { Log } from '../../../shared/log.ts'
import type { TokenTime } from '../../clock/index.ts'
import type { Identity, Scope } from '../http.ts'
import { scopes } from '../resources.ts'
import type { JwtConfig } from './config.ts'
import { createFileValue, type FileValue } from './file.ts'
import { createRemoteKeys, type KeySet, type Keys, parseKeys } from './keys.ts'
import { identityFrom } from './source.ts'

/** Verifies signed tokens. */
export type JwtVerifier = Part & {
  /**
   * @param sha256 of the token: a verified token is remembered by it for a minute
   * @throws Problem `unauthenticated` with the reason, `busy` when the keys cannot be fetched
   */
  verify(token: string, sha256: string): Identity | Promise<Identity>
  /** The last attempt to read newer keys failed. */
  isStale(): boolean
}

const rememberedMs = 60_000
const mostRemembered = 1_000
/** As OpenID Connect limits `sub`. A longer name is refused, not cut: two callers must not become one. */
const longestName = 255
/** Loads jose when it starts: an agent without signed tokens saves the memory. */
export function createJwtVerifier(config: JwtConfig, { clock, time, log }: { clock: Clock; time: TokenTime; log: Log }): JwtVerifier {
  /** `until` is a monotonic moment, `expiresAt` Unix milliseconds. */
  const remembered = new Map<string, { identity: Identity; until: number; expiresAt: number }>()
  let keysFile: FileValue<KeySet> | undefined
  let keys: Keys | undefined
  let verifyNow: ((token: string) => Promise<JWTPayload>) | undefined

  async function check(token: string, sha256: string): Promise<Identity> {
    if (verifyNow === undefined) throw new Problem('not-ready', 'The keys of signed tokens are not loaded yet.')
    const payload = await verifyNow(token)
    const identity = identityOf(payload, config)
    if (remembered.size >= mostRemembered) remembered.clear()
    const expiresAt = (payload.exp as number) * 1000
    remembered.set(sha256, { identity, until: clock.monotonic() + rememberedMs, expiresAt })
    return identity
  }

  return {
    name: 'signed tokens',
    async start(signal) {
      const jose = await import('jose')
      const parse = (text: string) => parseKeys(text, jose.createLocalJWKSet)
      if (config.jwksFile !== undefined) {
        const file = createFileValue(config.jwksFile, parse, { name: 'keys of signed tokens', clock, log })
        await file.start(signal)
        keysFile = file
        keys = { current: () => file.value(), renewed: async () => undefined, isStale: file.isStale }
      } else {
        keys = createRemoteKeys(config.jwksUrl as string, { parse, clock, log })
      }
      const inUse = keys
      verifyNow = (token) => verifyWith(inUse, token, { options: fixedOptions(config), time }, jose)
    },
    isStale: () => keys?.isStale() ?? false,
    async stop(deadline) {
      await keysFile?.stop(deadline)
    },
    verify(token, sha256) {
      const known = remembered.get(sha256)
      if (known !== undefined && clock.monotonic() < known.until && time.now() < known.expiresAt) return known.identity
      return check(token, sha256)
    },
  }
}

function fixedOptions({ issuer, audience, algorithms }: JwtConfig): JWTVerifyOptions {
  return { issuer, audience, algorithms, requiredClaims: ['exp'] }
}

/** @throws Problem */
async function verifyWith(
  keys: Keys,
  token: string,
  { options: fixed, time }: { options: JWTVerifyOptions; time: TokenTime },
  jose: Jose,
): Promise<JWTPayload> {
  const options = { ...fixed, currentDate: new Date(time.now()), clockTolerance: Math.ceil(time.leewayMs() / 1000) }
  const current = await currentOf(keys)
  try {
    return await verifiedBy(current, token, options, jose).catch(async (error: unknown) => {
      // The provider may have a new key, perhaps under the `kid` of the old one.
      const isUnfit = error instanceof jose.errors.JWKSNoMatchingKey || doesNotFit(error, jose)
      const renewed = isUnfit ? await keys.renewed(current) : undefined
      if (renewed === undefined) throw error
      return verifiedBy(renewed, token, options, jose)
    })
  } catch (error) {
    throw problemOf(error, time, jose)
  }
}

async function currentOf(keys: Keys): Promise<KeySet> {
  try {
    return await keys.current()
  } catch (cause) {
    throw new Problem('busy', 'The keys of the identity provider cannot be fetched.', { cause, retryAfterSeconds: 30 })
  }
}

/** Whether another key may verify the token. What is no error of jose's is about the key: it is too short, or malformed. */
function doesNotFit(error: unknown, { errors }: Jose): boolean {
  return error instanceof errors.JWSSignatureVerificationFailed || !(error instanceof errors.JOSEError)
}

/** Verifies with the key of the set that fits; if several do, as without a `kid`, with each. */
async function verifiedBy(keys: KeySet, token: string, options: JWTVerifyOptions, jose: Jose): Promise<JWTPayload> {
  const { jwtVerify, errors } = jose
  try {
    return (await jwtVerify(token, keys, options)).payload
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error
    for await (const key of error) {
      try {
        return (await jwtVerify(token, key, options)).payload
      } catch (refusal) {
        if (!doesNotFit(refusal, jose)) throw refusal
      }
    }
    throw new errors.JWSSignatureVerificationFailed()
  }
}

type Jose = typeof import('jose')

/** A refusal by jose, in words for the caller. It reveals nothing but what the caller's own token says. */
function problemOf(error: unknown, time: TokenTime, { errors }: Jose): Problem {
  const unauthenticated = (detail: string) => new Problem('unauthenticated', detail, { cause: error })
  if (error instanceof errors.JWTExpired) return unauthenticated(`The token expired at ${momentOf(error.payload.exp)}; ${time.told()}`)
  if (error instanceof errors.JWTClaimValidationFailed && error.claim === 'nbf' && typeof error.payload.nbf === 'number')
    return unauthenticated(`The token is valid from ${momentOf(error.payload.nbf)} on; ${time.told()}`)
  if (error instanceof errors.JWTClaimValidationFailed)
    return unauthenticated(`The claim "${error.claim}" of the token is not accepted here.`)
  if (error instanceof errors.JOSEAlgNotAllowed) return unauthenticated('The signature algorithm of the token is not accepted here.')
  if (error instanceof errors.JWKSNoMatchingKey) return unauthenticated('The key that signed the token is unknown here.')
  if (error instanceof errors.JWTInvalid || error instanceof errors.JWSInvalid) return unauthenticated('The token is malformed.')
  if (error instanceof errors.JWSSignatureVerificationFailed) return unauthenticated('The signature of the token is wrong.')
  if (error instanceof errors.JOSENotSupported) return unauthenticated('The signature algorithm of the token is not accepted here.')
  return unauthenticated('The key that signed the token cannot be used here.')
}

/** A time in a token. Anything may stand there. */
function momentOf(seconds: number | undefined): string {
  const at = (seconds ?? 0) * 1000
  return Math.abs(at) <= 8.64e15 ? shown(at) : 'a time that is no date'
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
  if (name.length > longestName || /\p{Cc}/u.test(name))
    throw new Problem('unauthenticated', `The name in the token must have at most ${longestName} characters, and no control characters.`)
  return identityFrom(`jwt:${config.issuer}`, name, { scopes: granted, projects: projectsIn(payload, config) })
}

/** Skerry's scopes among those in a claim, which may have others for other programs. */
function scopesIn(claim: unknown): Scope[] {
  const given = listIn(claim)
  return scopes.filter((scope) => given.includes(scope))
}

/**
 * The projects that a token is bound to; undefined for all. Providers leave a claim out for a user who has nothing in it, so a missing claim
 * stands for none. An entry that is no id of a project binds to nothing that exists.
 */
function projectsIn(payload: JWTPayload, { projectsClaim }: JwtConfig): string[] | undefined {
  if (projectsClaim === undefined) return undefined
  const given = listIn(claimAt(payload, projectsClaim))
  return given.includes('*') ? undefined : given
}

function listIn(claim: unknown): string[] {
  if (typeof claim === 'string') return claim.split(' ')
  return Array.isArray(claim) ? claim.filter((each) => typeof each === 'string') : []
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
